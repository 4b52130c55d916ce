"""Wrong recipes end in 78 with the place and the nearest key, and nothing is written."""
import os

import pytest
from conftest import BASE
from graft_cli import ROOT, graft_json, run_graft


@pytest.mark.parametrize("change, place", [
    ({"adaptor": {"rank": 4}}, "adapter"), ({"adapter": {"rnak": 4}}, "rank"), ({"adapter": {"rank": 0}}, "adapter.rank"), ({"adapter": {"rank": "four"}}, "rank"),
    ({"adapter": {"target": ["q_porj"]}}, "q_proj"), ({"train": {"steps": 3, "epochs": 1}}, "train.steps"), ({"model": {"path": "nowhere"}}, "nowhere"),
    ({"data": {"train": [{"path": "nowhere.jsonl", "format": "messages"}]}}, "nowhere.jsonl"),
    ({"model": {"path": str(BASE), "max_length": 100000}}, "max_length"), ({"schema": None}, "schema")])
@pytest.mark.parametrize("command", ["plan", "train"])
def test_a_wrong_recipe_is_78_and_writes_nothing(recipe, tmp_path, command, change, place):
    process = run_graft(command, recipe(**change), check=False)
    assert process.returncode == 78, process.stderr
    assert process.stdout == "" and place in process.stderr
    assert not (tmp_path / "run").exists()


def test_a_wrong_override_is_78_and_names_the_override(recipe):
    process = run_graft("plan", recipe(), "adapter.rnk=3", check=False)
    assert process.returncode == 78 and "adapter.rnk" in process.stderr and "adapter.rank" in process.stderr


def test_an_override_twice_is_an_error(recipe):
    assert run_graft("plan", recipe(), "adapter.rank=3", "adapter.rank=4", check=False).returncode == 78


def test_activations_are_offloaded_from_a_gpu_only(recipe):
    offload = recipe(memory={"checkpointing": "full", "offload_activations": True})
    for command in ("plan", "train"):
        refused = run_graft(command, offload, "memory.checkpointing=none", check=False)
        assert refused.returncode == 78 and f"{offload}:" in refused.stderr and "set memory.checkpointing: full" in refused.stderr
        on_cpu = run_graft(command, offload, "--device", "cpu", check=False)
        assert on_cpu.returncode == 78 and "runtime.device is cpu" in on_cpu.stderr
    without_gpu = dict(os.environ, CUDA_VISIBLE_DEVICES="")
    process = run_graft("train", offload, check=False, env=without_gpu)
    assert process.returncode == 78 and "this run has no GPU" in process.stderr
    plan = graft_json("plan", offload, env=without_gpu)
    assert any("offload_activations needs a GPU" in line for line in plan["warnings"]) and plan["predicted_pinned_host_bytes"] == 0


def test_a_missing_path_beside_the_recipe_is_pointed_out(recipe, tmp_path):
    (tmp_path / "rows.jsonl").write_text("{}\n")
    process = run_graft("plan", recipe(data={"train": [{"path": "rows.jsonl", "format": "messages"}]}), check=False)
    assert process.returncode == 78 and "beside" in process.stderr


def test_a_bad_row_is_65_with_its_line(recipe, tmp_path):
    rows = tmp_path / "rows.jsonl"
    good = (ROOT / "recipes/quickstart/acorn_eval.jsonl").read_text().splitlines()[0]
    rows.write_text(good + "\n" + '{"messages": 3}\n')
    data = {"train": [{"path": str(rows), "format": "messages"}], "cache": "none"}
    process = run_graft("plan", recipe(data=data), check=False)
    assert process.returncode == 65 and f"{rows}:2" in process.stderr
    skipped = run_graft("plan", recipe(data=dict(data, on_bad_sample="skip")))
    assert "1 bad rows skipped" in skipped.stdout + skipped.stderr


def test_a_file_without_a_usable_sample_is_65(recipe, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("")
    assert run_graft("plan", recipe(data={"train": [{"path": str(rows), "format": "messages"}]}), check=False).returncode == 65
