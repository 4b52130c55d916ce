"""graft plan predicts how long the steps take, from what `graft bench train` measured on this machine."""
import json
import os

import pytest

from conftest import BASE
from graft_cli import graft_json, run_graft


@pytest.fixture
def home(tmp_path):
    return {**{k: v for k, v in os.environ.items() if k != "GRAFT_BENCH_FILE"}, "XDG_CACHE_HOME": str(tmp_path / "cache")}


def bench(home, *more):
    return graft_json("bench", "train", "--shape", BASE, "--batch", 1, "--seq", 128, "--rank", 4, "--steps", 3, "--warmup", 1, "--device", "cpu",
                      "--dtype", "fp32", *more, env=home)


def plan(path, home, *more):
    return graft_json("plan", path, "--device", "cpu", *more, env=home)


def test_without_a_measurement_plan_says_how_to_make_one(recipe, home):
    path = recipe()
    found = plan(path, home)
    assert found["predicted_seconds"] is None and found["predicted_tokens_per_second"] is None and found["bench_record"] is None
    text = run_graft("plan", path, "--device", "cpu", env=home).stdout
    (line,) = [line for line in text.splitlines() if line.startswith("time")]
    assert "nothing was measured" in line
    command = line.split("`")[1].split()
    assert command[0] == "graft"
    run_graft(*command[1:], "--steps", 1, "--warmup", 0, env=home)  # the line it prints works as it is
    assert plan(path, home)["predicted_seconds"] > 0


def test_a_measurement_becomes_a_prediction(recipe, home, tmp_path):
    path = recipe(train={"steps": 40})
    measured = bench(home)
    found = plan(path, home)
    record = found["bench_record"]
    assert record["tokens_per_second"] == measured["tokens_per_second"] and record["parameters"] == measured["parameters"] == found["total_parameters"]
    assert record["seq"] == 128 and record["quant"] == "none" and record["dtype"] == "fp32"
    # The same model in rows as long: operations per token differ by attention's part in shorter documents and by the supervised share.
    assert found["predicted_tokens_per_second"] == pytest.approx(measured["tokens_per_second"], rel=0.5)
    tokens = found["tokens_per_epoch"] * found["steps"] / found["steps_per_epoch"] / found["packing_efficiency"]
    assert found["predicted_seconds"] == pytest.approx(tokens / found["predicted_tokens_per_second"], rel=1e-6)
    assert plan(path, home, "train.steps=80")["predicted_seconds"] == pytest.approx(2 * found["predicted_seconds"], rel=1e-6)
    assert "time        about" in run_graft("plan", path, "--device", "cpu", env=home).stdout
    # Another kind of base, or number format, is not guessed from this one.
    assert plan(path, home, "quant.type=nf4")["predicted_seconds"] is None
    assert plan(path, home, "model.dtype=bf16")["predicted_seconds"] is None
    bench(home, "--quant", "nf4")
    assert plan(path, home, "quant.type=nf4")["bench_record"]["quant"] == "nf4"
    assert plan(path, home, "quant.type=fp8")["predicted_seconds"] is None and "--quant fp8" in run_graft("plan", path, "quant.type=fp8", "--device", "cpu", env=home).stdout
    bench(home, "--quant", "fp8")
    assert plan(path, home, "quant.type=fp8")["bench_record"]["quant"] == "fp8"
    assert plan(path, home)["bench_record"] == record


def test_the_same_setting_is_replaced_and_a_profile_is_not_kept(home, tmp_path):
    bench(home)
    second = bench(home)
    bench(home, "--profile", tmp_path / "trace.json")
    (record,) = json.loads((tmp_path / "cache/graft/bench.json").read_text())["records"]
    assert record["tokens_per_second"] == second["tokens_per_second"]


def test_another_file_by_environment_and_a_damaged_one(recipe, home, tmp_path):
    path = recipe()
    elsewhere = {**home, "GRAFT_BENCH_FILE": str(tmp_path / "mine.json")}
    bench(elsewhere)
    assert plan(path, elsewhere)["predicted_seconds"] > 0 and plan(path, home)["predicted_seconds"] is None
    (tmp_path / "mine.json").write_text("{")
    found = plan(path, elsewhere)
    assert found["predicted_seconds"] is None and any("mine.json" in warning for warning in found["warnings"])
    bench(elsewhere)
    assert plan(path, elsewhere)["predicted_seconds"] > 0
    blocked = {**home, "GRAFT_BENCH_FILE": str(tmp_path / "mine.json/below.json")}
    assert bench(blocked)["tokens_per_second"] > 0  # said, and no reason to fail
