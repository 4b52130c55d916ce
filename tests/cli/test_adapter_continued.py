"""`plan` counts what `train` trains when an adapter of another tool is continued: the file decides, not the names in its configuration."""
import json

import pytest

from graft_cli import graft_json, run_graft


@pytest.mark.parametrize("change", [{"target_modules": None}, {"modules_to_save": ["head"]}], ids=["no target_modules", "the end of a name"])
def test_plan_counts_the_tensors_of_the_file(recipe, tmp_path, change):
    run_graft("train", recipe(adapter={"rank": 4, "target": ["q_proj", "v_proj"], "modules_to_save": ["lm_head"], "bias": "lora_only"}))
    config = tmp_path / "run/adapter/adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    continued = recipe("continued.yaml", adapter={"init_from": str(tmp_path / "run/adapter")})
    planned = graft_json("plan", continued)
    run_graft("train", continued, f"output_dir={tmp_path / 'out'}", "train.steps=1")
    assert planned["adapted_modules"] > 0
    assert json.loads((tmp_path / "out/report.json").read_text())["trainable_parameters"] == planned["trainable_parameters"]


def test_an_adapter_that_contradicts_its_configuration_is_refused_by_plan(recipe, tmp_path):
    run_graft("train", recipe(adapter={"rank": 4, "target": ["q_proj"]}))
    config = tmp_path / "run/adapter/adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "r": 8}))
    refused = run_graft("plan", recipe("continued.yaml", adapter={"init_from": str(tmp_path / "run/adapter")}), check=False)
    assert refused.returncode == 65 and "rank 4 in the file, 8 in adapter_config.json" in refused.stderr, refused.stderr
