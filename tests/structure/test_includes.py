"""Dependencies run one way, the core has no LibTorch header, public headers include nothing private."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"

# folder -> folders it may include from (besides itself). The order of the README's folder map.
ALLOWED = {
    "base": set(),
    "ops": {"base"},
    "quant": {"base", "ops"},
    "io": {"base", "ops"},
    "adapters": {"base", "ops", "quant", "io"},
    "models": {"base", "io", "ops"},
    "text": {"base"},
    "data": {"base", "text"},
    "dist": {"base"},
    "train": {"base", "adapters", "data", "dist", "io", "ops", "quant"},
    "recipe": {"base"},
}
EVERYTHING = {"app", "cli"}
# Only these may be reached by the executable without opening the job library.
CLI_ONLY = {"CLI11": "cli", "CLI/": "cli"}
TORCH = re.compile(r'#include <(torch/|ATen/|c10/)')
THIRD_PARTY = re.compile(r'#include <(nlohmann|yaml-cpp|spdlog|CLI|pcre2|utf8proc|openssl)')


def includes(path):
    return re.findall(r'^#include "(graft|cli)/([^"]+)"', path.read_text(), re.M)


def sources():
    return [p for p in SOURCE.rglob("*") if p.suffix in (".h", ".cpp", ".cu", ".cuh")]


def folder_of(path):
    parts = path.relative_to(SOURCE).parts
    return parts[1] if parts[0] == "graft" and len(parts) > 2 else parts[0]


def test_includes_follow_the_direction():
    wrong = []
    for path in sources():
        folder = folder_of(path)
        if folder in EVERYTHING or path.name == "graft.h":
            continue
        for top, rest in includes(path):
            target = rest.split("/")[0] if top == "graft" else "cli"
            if target != folder and target not in ALLOWED[folder]:
                wrong.append(f"{path.relative_to(ROOT)} includes {top}/{rest}")
    assert not wrong, "\n".join(wrong)


def test_every_folder_is_in_the_map():
    folders = {p.name for p in (SOURCE / "graft").iterdir() if p.is_dir() and any(p.rglob("*.cpp"))}
    assert folders <= set(ALLOWED) | EVERYTHING
    missing = [f for f in folders if not (SOURCE / "graft" / f / "README.md").exists()]
    assert not missing, f"folders without a README.md: {missing}"


def test_the_umbrella_header_reaches_public_headers_only():
    pending, seen = ["graft/graft.h"], set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        text = (SOURCE / name).read_text()
        assert not THIRD_PARTY.search(text), f"{name} is installed and includes a third-party header"
        assert not re.search(r'#include "graft/(recipe|app)/', text), f"{name} is installed and includes recipe or app"
        pending += [f"graft/{rest}" for top, rest in includes(SOURCE / name) if top == "graft"]
    assert len(seen) > 5


def test_every_cpp_test_is_built():
    """A file that no CMakeLists.txt names, nor a glob takes, would be a test that never runs."""
    left_out = []
    for path in sorted((ROOT / "tests").glob("*/test_*.cpp")):
        lists = "".join(file.read_text() for file in (*path.parent.glob("CMakeLists.txt"), *path.parent.glob("*.cmake")))
        patterns = [word for globs in re.findall(r"file\(GLOB(?:_RECURSE)? \w+ (?:CONFIGURE_DEPENDS )?([^)]*)\)", lists) for word in globs.split()]
        if path.name not in lists and not any(path.match(pattern) for pattern in patterns):
            left_out.append(str(path.relative_to(ROOT)))
    assert not left_out


def test_cli11_only_in_cli():
    wrong = [str(p) for p in sources() if folder_of(p) != "cli" and "#include <CLI/" in p.read_text()]
    assert not wrong
