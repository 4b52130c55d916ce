"""bench train: what it measures on a tiny shape, and what it refuses."""
import json

import pytest
from conftest import BASE
from graft_cli import graft_json, run_graft

TINY = {
    "model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "hidden_act": "silu", "rms_norm_eps": 1e-5, "tie_word_embeddings": False}


@pytest.fixture
def shape(tmp_path):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(TINY))
    return path


def bench(shape, *more, **options):
    return graft_json("bench", "train", "--shape", shape, "--batch", 2, "--seq", 32, "--rank", 4, "--device", "cpu", *more, **options)


def test_a_document_with_every_number(shape):
    found = bench(shape, "--steps", 6, "--warmup", 2)
    assert found["setting"] == {
        "shape": str(shape), "batch": 2, "seq": 32, "rank": 4, "alpha": 8, "targets": "all-linear", "quant": "none", "recompute": "none", "dtype": "bf16",
        "offload_activations": False, "adapter_dtype": "fp32", "dropout": 0.0, "supervised": 1.0, "documents": 0, "warmup_steps": 2, "steps": 6, "device": "cpu"}
    assert 0 < found["step_seconds_p10"] <= found["step_seconds_median"] <= found["step_seconds_p90"]
    assert found["tokens_per_second"] == pytest.approx(64 / found["step_seconds_median"])
    assert found["peak_memory_bytes"] > 1e7 and found["peak_reserved_bytes"] is None  # a CPU has no caching allocator
    # The process starts, opens LibTorch and takes one step before the six that are timed: seconds, never a clock's epoch.
    assert found["step_seconds_p10"] < found["start_to_first_step_seconds"] < 300
    block = 64 * 64 * 2 + 64 * 32 * 2 + 64 * 128 * 3
    assert found["flop_per_token"] == pytest.approx(4 * 2 * block + 4 * 64 * 512 * 31 / 32)
    assert found["share_of_gemm"] == pytest.approx(found["flop_per_token"] * found["tokens_per_second"] / found["gemm_flops_per_second"])
    assert found["parameters"] == 2 * (block + 2 * 64) + 64 + 2 * 64 * 512
    assert found["trainable_parameters"] == 2 * 4 * ((64 + 64) * 2 + (64 + 32) * 2 + (64 + 128) * 3)
    # Weights of deviation 0.02 make nearly flat logits; a few steps on random ids move the loss little: ln 512 = 6.24.
    assert found["last_loss"] == pytest.approx(6.24, abs=0.5)


def test_the_options_change_what_runs(shape):
    plain = bench(shape, "--steps", 2, "--warmup", 1, "--dtype", "float32")
    recomputed = bench(shape, "--steps", 2, "--warmup", 1, "--dtype", "float32", "--recompute", "full")
    assert recomputed["last_loss"] == plain["last_loss"]  # recompute changes no bit
    roomy = bench(shape, "--steps", 2, "--warmup", 1, "--dtype", "float32", "--recompute", "auto")
    assert roomy["recompute_every"] == 0 and roomy["last_loss"] == plain["last_loss"]  # a tiny model fits without
    assert roomy["flop_per_token"] == plain["flop_per_token"]
    assert recomputed["flop_per_token"] > plain["flop_per_token"]
    half = bench(shape, "--steps", 2, "--warmup", 1, "--dtype", "float32", "--supervised", "0.5")
    assert half["last_loss"] != plain["last_loss"] and half["flop_per_token"] < plain["flop_per_token"]
    dropped = bench(shape, "--steps", 2, "--warmup", 1, "--dtype", "float32", "--dropout", "0.5")
    # B starts at zero: dropout shows from the second step on.
    assert dropped["last_loss"] != plain["last_loss"] and dropped["last_loss"] == pytest.approx(plain["last_loss"], abs=0.1)
    halved = bench(shape, "--steps", 2, "--warmup", 1, "--dtype", "float32", "--adapter-dtype", "bf16")
    assert halved["last_loss"] != plain["last_loss"] and halved["setting"]["adapter_dtype"] == "bf16"
    packed = bench(shape, "--steps", 2, "--warmup", 1, "--dtype", "float32", "--documents", "5")
    assert packed["last_loss"] != plain["last_loss"] and packed["flop_per_token"] < plain["flop_per_token"]  # first tokens carry no loss


@pytest.mark.parametrize("quant", ["nf4", "fp8"])
def test_a_quantized_base(shape, quant):
    """The same seed draws the same weights in another order, so only the loss of nearly flat logits is known; parameters count as dense ones."""
    found = bench(shape, "--steps", 3, "--warmup", 1, "--quant", quant)
    assert found["setting"]["quant"] == quant
    assert found["last_loss"] == pytest.approx(6.24, abs=0.5)
    assert found["trainable_parameters"] == bench(shape, "--steps", 1, "--warmup", 0)["trainable_parameters"]


def test_a_model_directory_is_a_shape_and_text_is_the_default():
    process = run_graft("bench", "train", "--shape", BASE, "--batch", 1, "--seq", 16, "--rank", 2, "--steps", 1, "--warmup", 0, "--device", "cpu")
    for word in ("step ", "tokens/s", "peak memory", "of GEMM rate", "first step"):
        assert word in process.stdout


def test_a_profile_is_a_trace_of_one_step(shape, tmp_path):
    bench(shape, "--steps", 1, "--warmup", 1, "--profile", tmp_path / "trace.json")
    names = {event.get("name") for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]}
    assert "aten::mm" in names or "aten::addmm_" in names


@pytest.mark.parametrize("arguments, code, text", [
    (["--shape", "llama-9b"], 64, "llama-8b"),
    (["--shape", "nowhere/config.json"], 64, "neither a built-in shape nor a file"),
    (["--quant", "int3"], 64, "quant"),
    (["--seq", "512"], 64, "256 positions"),
    (["--seq", "1"], 64, "seq"),
    (["--rank", "0"], 64, "rank"),
    (["--steps", "0"], 64, "steps"),
    (["--dropout", "1.5"], 64, "dropout"),
    (["--batch", "16777216", "--seq", "256"], 64, "2^31 tokens"),
    (["--profile", "nowhere/trace.json"], 64, "folder of --profile"),
    (["--profile", "trace.json", "--steps", "1", "--warmup", "0"], 64, "a step before"),
])
def test_what_cannot_be_measured_is_said(shape, arguments, code, text):
    given = {"--shape": str(shape), "--batch": "1", "--seq": "16", "--rank": "4", "--device": "cpu"}
    given.update(zip(arguments[::2], arguments[1::2]))
    process = run_graft("bench", "train", "--json", *[word for pair in given.items() for word in pair], check=False)
    assert process.returncode == code and text in process.stderr and process.stdout == "", process.stderr


@pytest.mark.parametrize("recompute, text", [("none", "add --recompute full"), ("full", "the device is cpu")])
def test_what_cannot_be_offloaded_is_said(shape, recompute, text):
    process = run_graft(
        "bench", "train", "--shape", shape, "--batch", 1, "--seq", 16, "--rank", 4, "--recompute", recompute, "--offload", "--device", "cpu", check=False)
    assert process.returncode == 64 and text in process.stderr, process.stderr


def test_a_malformed_shape_names_the_file(tmp_path):
    path = tmp_path / "broken.json"
    path.write_text("{\"model_type\": \"llama\"")
    process = run_graft("bench", "train", "--shape", path, "--batch", 1, "--seq", 16, "--rank", 4, check=False)
    assert process.returncode == 65 and "broken.json" in process.stderr
    path.write_text(json.dumps({**TINY, "model_type": "lama"}))
    process = run_graft("bench", "train", "--shape", path, "--batch", 1, "--seq", 16, "--rank", 4, check=False)
    assert process.returncode == 65 and "llama" in process.stderr
