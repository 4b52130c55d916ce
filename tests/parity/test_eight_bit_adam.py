"""AdamW with moments in 8 bits (train.optimizer.state: int8) against bitsandbytes 0.50 on the CPU: the maps to the bit, a step from any state, and
thirty steps of training against PEFT + bitsandbytes.optim.AdamW8bit; and against float32 moments.

bitsandbytes' CPU code looks codes up in a coarse table (steps of 1.5e-5 of a block's maximum), takes weight decay first, and lets a tiny mean become
zero; its CUDA kernel, which graft follows, takes the nearest entry, decays last, and keeps the sign.
"""
import hashlib
import json
import pathlib
import subprocess

import bnb_reference  # noqa: F401  (first: it sets up bitsandbytes)
import bitsandbytes
import bitsandbytes.functional as bnb
import pytest
import test_train
import torch
from conftest import GRAFT, graft_json, run_graft
from safetensors.torch import load_file, save_file
from test_train import base  # noqa: F401  (a fixture)

PROBE = pathlib.Path(GRAFT).parent / "quant_probe"
RANK = ["adapter.rank=64", "adapter.alpha=128"]
EIGHT = [*RANK, "train.optimizer.state=int8"]  # rank 64 of 64 columns: every A and B has 4096 entries or more but k's and v's B


def probe(*words):
    result = subprocess.run([PROBE, *map(str, words)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_maps_to_the_bit(tmp_path):
    probe("maps", tmp_path / "maps")
    maps = load_file(tmp_path / "maps")
    assert torch.equal(maps["signed"], bnb.create_dynamic_map(signed=True)) and torch.equal(maps["unsigned"], bnb.create_dynamic_map(signed=False))


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("count", [4096, 5000, 256 * 37])
def test_a_step_from_the_same_state(tmp_path, count, decay):
    rate, beta1, beta2, epsilon = 1e-3, 0.9, 0.99, 1e-8
    torch.manual_seed(count)
    blocks = -(-count // 256)
    state = {"parameter": torch.randn(count), "mean": torch.zeros(count, dtype=torch.uint8), "square": torch.zeros(count, dtype=torch.uint8),
             "mean_absmax": torch.zeros(blocks), "square_absmax": torch.zeros(blocks)}
    maps = {"mean": bnb.create_dynamic_map(signed=True), "square": bnb.create_dynamic_map(signed=False)}
    coarse = 0
    for step in range(1, 9):
        state["gradient"] = torch.randn(count) * 10 ** (-4 * torch.rand(count))
        save_file(state, tmp_path / "in")
        probe("adamw", tmp_path / "in", tmp_path / "out", rate, beta1, beta2, epsilon, decay, step)
        ours, theirs = load_file(tmp_path / "out"), {name: tensor.clone() for name, tensor in state.items()}
        bnb.optimizer_update_8bit_blockwise("adam", theirs["gradient"], theirs["parameter"], theirs["mean"], theirs["square"], beta1, beta2, 0.0, 0.0, epsilon,
                                            step, rate, maps["mean"], maps["square"], theirs["mean_absmax"], theirs["square_absmax"], decay)
        # Float32 sums in another order, and the order of update and decay: rate² · decay.
        torch.testing.assert_close(ours["parameter"], theirs["parameter"], rtol=1e-6, atol=1e-6)
        g = state["gradient"].double()
        for name, truth in {"mean": beta1 * decoded(state, "mean", maps) + (1 - beta1) * g, "square": beta2 * decoded(state, "square", maps) + (1 - beta2) * g * g}.items():
            torch.testing.assert_close(ours[name + "_absmax"], theirs[name + "_absmax"], rtol=1e-6, atol=0)
            scale = theirs[name + "_absmax"].double().repeat_interleave(256)[:count]
            error, peers = ((decoded(found, name, maps) - truth).abs() / scale for found in (ours, theirs))
            nearest = (truth / scale - maps[name].double().unsqueeze(1)).abs().min(0).values
            # Float32's rounding; a mean next to zero keeps its side: 5.5e-7 is that side's smallest entry.
            assert (error - nearest).max() <= 1e-6 + (5.5e-7 if name == "mean" else 0)
            assert (peers - error).abs().max() <= 3.1e-5  # two steps of the peer's table
            coarse += (ours[name] != theirs[name]).sum().item()
        state = theirs  # the next step from the peer's state, with its codes
    print(f"{coarse} of {16 * count} codes are not the peer's: there its table was further from the value, or as far")


def decoded(state, name, maps):
    return maps[name].double()[state[name].int()] * state[name + "_absmax"].double().repeat_interleave(256)[: state[name].numel()]


def test_training_follows_bitsandbytes_and_float32(base, tmp_path, monkeypatch):  # noqa: F811
    samples = test_train.make_samples(8, 1) * test_train.STEPS  # the same eight again and again: something to learn
    rows, first, _ = test_train.train(base, tmp_path / "run", samples, *EIGHT)
    full, *_ = test_train.train(base, tmp_path / "full", samples, *RANK)
    monkeypatch.setattr(torch.optim, "AdamW", bitsandbytes.optim.AdamW8bit)
    expected, _ = test_train.reference_curve(base, first, test_train.in_file_order(samples))
    apart = max(abs(row["loss"] / e["loss"] - 1) for row, e in zip(rows, expected))
    from_full = max(abs(row["loss"] / e["loss"] - 1) for row, e in zip(rows, full))
    print(f"8-bit moments: {apart:.1e} from bitsandbytes', {from_full:.1e} from float32 moments; the loss fell from {rows[0]['loss']} to {rows[-1]['loss']}")
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    # A code that differs at a threshold changes a moment by up to a few per cent, for one step of thirty.
    assert apart <= 2e-3
    # A moment in 8 bits is known to about one per cent: the promise is a loss within 1 % of float32's at every step.
    assert 1e-7 < from_full <= 1e-2
    state = load_file(first.parent / f"step-{test_train.STEPS:08}" / "trainer_state.safetensors")
    codes = [name for name, tensor in state.items() if tensor.dtype == torch.uint8]
    assert len(codes) == 2 * sum(tensor.numel() >= 4096 for tensor in load_file(first / "adapter_model.safetensors").values()) > 40
    for name in codes:
        assert state[name.replace("exp_avg_sq.", "exp_avg_sq_absmax.").replace("exp_avg.", "exp_avg_absmax.")].numel() == state[name].numel() // 256


def test_a_killed_run_ends_with_the_same_bytes(base, tmp_path):  # noqa: F811
    samples = test_train.make_samples(8 * test_train.STEPS, 3)
    options = [*EIGHT, "checkpoint.every=4 steps"]
    whole, run = test_train.whole_and_killed(base, tmp_path, samples, options)
    for name in ("adapter/adapter_model.safetensors", f"checkpoints/step-{test_train.STEPS:08}/trainer_state.safetensors"):
        assert hashlib.sha256((run / name).read_bytes()).hexdigest() == hashlib.sha256((whole / name).read_bytes()).hexdigest()


def test_the_plan_counts_the_bytes(base, tmp_path):  # noqa: F811
    samples = test_train.make_samples(8 * test_train.STEPS, 3)
    _, first, _ = test_train.train(base, tmp_path / "run", samples, *EIGHT, "train.steps=3")
    state = load_file(first / "trainer_state.safetensors")
    plan = graft_json("plan", tmp_path / "run/recipe.yaml", "--device", "cpu", *EIGHT, "train.steps=3")
    assert plan["predicted_memory_parts"]["optimizer"] == sum(tensor.numel() * tensor.element_size() for name, tensor in state.items() if name != "step")
    paged = run_graft("plan", tmp_path / "run/recipe.yaml", "train.optimizer.state=paged-int8", check=False)
    assert paged.returncode == 78 and "paged-int8" in paged.stderr
    assert json.loads(run_graft("recipe", "schema").stdout)
