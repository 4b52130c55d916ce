"""README, recipes, --help, explain and schema say the same: what one of them names, the others know."""
import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRAFT = os.environ.get("GRAFT_BIN", str(ROOT / "build/bin/graft"))
DOCUMENTS = [path for path in [ROOT / "README.md", ROOT / "recipes/README.md", *sorted((ROOT / "recipes").rglob("*.yaml"))] if path.exists()]


def graft(*arguments):
    return subprocess.run([GRAFT, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, env={**os.environ, "GRAFT_RECIPES": str(ROOT / "recipes")})


def output(*arguments):
    result = graft(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_list_is_the_folder():
    listed = {entry["name"] for entry in json.loads(output("recipe", "list", "--json"))}
    assert listed == {str(path.relative_to(ROOT / "recipes").with_suffix("")) for path in (ROOT / "recipes").rglob("*.yaml")}


def test_show_prints_the_file_to_the_byte():
    for path in (ROOT / "recipes").rglob("*.yaml"):
        assert output("recipe", "show", str(path.relative_to(ROOT / "recipes").with_suffix(""))) == path.read_text()


def test_every_key_of_the_schema_is_explained():
    def walk(schema, path):
        for form in [schema, *schema.get("anyOf", [])]:
            for name, child in form.get("properties", {}).items():
                yield f"{path}.{name}".lstrip(".")
                yield from walk(child, f"{path}.{name}")

    schema = json.loads(output("recipe", "schema"))
    keys = list(walk(schema, ""))
    assert len(keys) > 80
    explained = output("recipe", "explain")
    for key in keys:
        assert re.search(rf"^ *{re.escape(key)}:", explained, re.M), key


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_keys_and_recipes_named_in_documents_exist(document):
    text = document.read_text()
    for key in set(re.findall(r"(?<![\w./-])~?((?:model|quant|adapter|data|batch|train|memory|runtime|eval|checkpoint|log)(?:\.[a-z_0-9]+)+)=", text)):
        assert graft("recipe", "explain", key).returncode == 0, f"{document.name} overrides {key}, which is no key"
    for name in set(re.findall(r"\brecipes/[\w./-]+\.yaml\b", text)):
        assert (ROOT / name).exists(), f"{document.name} names {name}"


def test_commands_named_in_the_readme_exist():
    documented = set(re.findall(r"\bgraft (train|plan|resume|generate|eval|score|tokenize|merge|quantize|adapter|data|recipe|bench|doctor|selftest)\b",
                                "\n".join(path.read_text() for path in DOCUMENTS)))
    for command in documented:
        assert graft(command, "--help").returncode == 0, f"graft {command} is documented but has no --help"


def test_help_of_recipe_commands_explains_overrides():
    for command in ("train", "plan"):
        help_text = output(command, "--help")
        assert "key.path=value" in help_text and "~key.path" in help_text
