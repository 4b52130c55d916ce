"""How the Python tests run graft."""
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRAFT = os.environ.get("GRAFT_BIN", str(ROOT / "build/bin/graft"))
# Real material beside the project; tests that need it say so when it is not there.
DATA = pathlib.Path(os.environ.get("GRAFT_TEST_DATA", ROOT.parent / "shared/data"))


def is_sanitized():
    """Whether GRAFT is built with AddressSanitizer, which reserves terabytes of address space for itself."""
    return "libasan" in subprocess.run(["ldd", GRAFT], capture_output=True, text=True).stdout


def run_graft(*arguments, check=True, input=None, cwd=None, env=None):
    """Runs graft; returns the finished process. With check, a failure shows stderr."""
    process = subprocess.run([GRAFT, *map(str, arguments)], capture_output=True, text=True, input=input, cwd=cwd, env=env)
    if check:
        assert process.returncode == 0, f"graft {' '.join(map(str, arguments))} ended with {process.returncode}\n{process.stderr}"
    return process


def graft_json(*arguments, **options):
    return json.loads(run_graft(*arguments, "--json", **options).stdout)
