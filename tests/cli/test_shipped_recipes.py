"""`plan` runs on every shipped recipe against its family's and size's real config.json, before anybody downloads a weight."""
import json
import pathlib

import pytest
from graft_cli import ROOT, graft_json, run_graft

CONFIGS = {path.stem: path for path in (ROOT / "tests/recipe/configs").glob("*.json")}
RECIPES = sorted(path.relative_to(ROOT / "recipes").with_suffix("").as_posix() for path in (ROOT / "recipes").glob("*/*_*.yaml"))


def config_of(recipe):
    family, name = recipe.split("/")
    return CONFIGS[f"{family}-{name.split('_')[0]}"]


def test_there_is_a_recipe_per_family_and_common_size():
    assert {name.split("/")[0] for name in RECIPES} >= {"llama", "mistral", "qwen2.5", "qwen3", "smollm2"}
    assert len(RECIPES) >= 17
    assert {name.split("/")[0] for name in RECIPES if name.endswith("_qlora")} >= {"llama", "mistral", "qwen2.5"}
    assert {name.split("/")[0] for name in RECIPES if name.endswith("_fp8")} >= {"llama", "mistral", "qwen2.5"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_plan_of_a_shipped_recipe(recipe, tmp_path):
    model, rows = tmp_path / "model", tmp_path / "rows.jsonl"
    model.mkdir()
    config = json.loads(config_of(recipe).read_text())
    (model / "config.json").write_text(json.dumps(config))
    rows.write_text("".join(json.dumps({"input_ids": [i % 100 for i in range(n)]}) + "\n" for n in range(20, 60)))
    plan = graft_json("plan", ROOT / f"recipes/{recipe}.yaml", f"model.path={model}", f"data.train=[{{path: {rows}, format: tokens}}]", "~data.eval", "data.cache=none", f"output_dir={tmp_path / 'run'}")
    assert plan["steps"] > 0 and 0 < plan["trainable_parameters"] < plan["total_parameters"] / 10
    # The weights alone are a lower bound: two bytes a parameter, in a QLoRA recipe half a byte and the scales, in an FP8 one a byte.
    quantized, fp8 = recipe.endswith("_qlora"), recipe.endswith("_fp8")
    assert plan["predicted_peak_memory_bytes"] > (0.5 if quantized else 1 if fp8 else 2) * plan["total_parameters"]
    if fp8:  # embeddings and head stay in two bytes
        assert plan["predicted_memory_parts"]["weights"] < 1.3 * plan["total_parameters"]
    if quantized:
        # Embeddings and head stay in two bytes: an 8B comes to 0.71 bytes a parameter, a 1B with its large vocabulary to 0.83.
        assert plan["predicted_memory_parts"]["weights"] < 0.9 * plan["total_parameters"]
    assert not (tmp_path / "run").exists()


def test_shipped_recipes_are_listed_shown_and_copied(tmp_path):
    names = {entry["name"] for entry in graft_json("recipe", "list")}
    assert "quickstart" in names and set(RECIPES) <= names
    copy = tmp_path / "mine.yaml"
    run_graft("recipe", "copy", "quickstart", copy)
    assert copy.read_text() == run_graft("recipe", "show", "quickstart").stdout
    assert run_graft("recipe", "copy", "quickstart", copy, check=False).returncode == 64


def test_the_reference_recipe_loads(tmp_path):
    assert "adapter:" in run_graft("recipe", "show", "reference").stdout
