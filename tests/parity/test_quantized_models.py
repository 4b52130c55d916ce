"""Models in 4 bits, both ways: `graft quantize` writes what transformers + bitsandbytes load, and graft loads what they wrote; score, eval, generate
and train run on them, and training follows PEFT's curve.

Promise: the same logits, within three times the peer's own rounding error below float32; a loss curve within 1e-3 of PEFT + bitsandbytes' in float32.
bitsandbytes repacks eval-mode weights on some CPUs and then computes at bf16 accuracy: its modules are compared in train mode.
"""
import json
import shutil

import bnb_reference  # first: it sets up bitsandbytes
import pytest
import test_train
import torch
from bitsandbytes.nn import Params4bit
from conftest import graft_json, run_graft
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

IDS = list(range(3, 60))
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
FLOAT_ERROR = 1e-5  # relative to the largest logit: sums of a hundred products in another order
SIZES = dict(vocab_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, initializer_range=0.15)
SHAPES = {  # widths that are whole blocks of 64, and widths that are not
    "llama": (LlamaConfig, LlamaForCausalLM, dict(hidden_size=64, intermediate_size=128)),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, dict(hidden_size=64, intermediate_size=192, tie_word_embeddings=True)),
    "llama odd": (LlamaConfig, LlamaForCausalLM, dict(hidden_size=48, intermediate_size=88)),
    "qwen2 odd": (Qwen2Config, Qwen2ForCausalLM, dict(hidden_size=72, intermediate_size=100)),
}


@pytest.fixture(autouse=True)
def straddling_blocks(request, monkeypatch):
    if "odd" in request.node.name:
        bnb_reference.use_everywhere(monkeypatch)


def make_base(path, shape, dtype):
    config, model, keys = SHAPES[shape]
    torch.manual_seed(5)
    model(config(**SIZES, **keys)).to(DTYPES[dtype]).save_pretrained(path)
    return path


def peer_logits(path, dtype, all_of_it=False, **options):
    model = AutoModelForCausalLM.from_pretrained(path, device_map="cpu", dtype=DTYPES[dtype], attn_implementation="eager", **options).train()
    if all_of_it:  # transformers leaves the dense part of a quantized directory in the dtype on disk
        for parameter in model.parameters():
            if not isinstance(parameter, Params4bit):
                parameter.data = parameter.data.to(DTYPES[dtype])
    with torch.no_grad():
        return model, model(torch.tensor([IDS])).logits[0].float()


def graft_logits(path, folder, *options):
    (folder / "in.jsonl").write_text(json.dumps({"tokens": IDS}) + "\n")
    run_graft("score", "--model", path, "--input", folder / "in.jsonl", "--output", folder / "out.safetensors", "--logits", "--device", "cpu", *options)
    return load_file(folder / "out.safetensors")["logits.0"]


def true_logits(path, folder):
    """The same 4-bit weights with everything else in float32: what both computations round."""
    shutil.rmtree(folder / "wide", ignore_errors=True)
    shutil.copytree(path, folder / "wide")
    config = json.loads((folder / "wide/config.json").read_text())
    config["quantization_config"]["bnb_4bit_compute_dtype"] = "float32"
    (folder / "wide/config.json").write_text(json.dumps(config))
    return peer_logits(folder / "wide", "fp32", all_of_it=True)[1]


def require_close(found, expected, dtype, truth=None):
    """float32: the same but for the order of sums. Otherwise: not further from the truth than three times the peer's own rounding."""
    if dtype == "fp32":
        error, allowed = (found - expected).abs().max().item(), FLOAT_ERROR * expected.abs().max().item()
    else:
        error, allowed = (found - truth).abs().max().item(), 3 * (expected - truth).abs().max().item()
    print(f"{dtype}: worst difference {error:.2e}, allowed {allowed:.2e}")
    assert error <= allowed


CASES = [("llama", "nf4", True, "bf16"), ("llama", "nf4", False, "fp32"), ("llama", "fp4", True, "fp16"), ("qwen2", "nf4", True, "fp32"),
         ("qwen2", "fp4", False, "bf16"), ("llama odd", "nf4", True, "fp32"), ("qwen2 odd", "nf4", False, "bf16"), ("qwen2 odd", "fp4", True, "fp32")]


@pytest.mark.parametrize("shape, quant_type, double, dtype", CASES, ids=[" ".join(map(str, case)) for case in CASES])
def test_both_directions(tmp_path, shape, quant_type, double, dtype):
    base = make_base(tmp_path / "base", shape, dtype)
    report = graft_json("quantize", "--model", base, "--output", tmp_path / "ours", "--type", quant_type, *(["--double"] if double else []))
    assert report["quantized_modules"] == 14 and 0.08 < report["relative_error"] < 0.13
    _, expected = peer_logits(tmp_path / "ours", dtype)
    ours = graft_logits(tmp_path / "ours", tmp_path)
    require_close(ours, expected, dtype, true_logits(tmp_path / "ours", tmp_path))
    _, dense = peer_logits(base, dtype)
    assert (expected - dense).abs().max() > 3 * (ours - expected).abs().max(), "quantization changes nothing: the test would be empty"

    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=quant_type, bnb_4bit_use_double_quant=double, bnb_4bit_compute_dtype=DTYPES[dtype])
    model, expected = peer_logits(base, dtype, quantization_config=config)
    model.save_pretrained(tmp_path / "theirs")
    require_close(graft_logits(tmp_path / "theirs", tmp_path), expected, dtype, true_logits(tmp_path / "theirs", tmp_path))
    compare_files(tmp_path, quant_type)


def compare_files(folder, quant_type):
    """What graft and transformers wrote: the same keys and shapes, the same bytes but for codes at a threshold."""
    ours, theirs = (load_file(folder / name / "model.safetensors") for name in ("ours", "theirs"))
    assert {k: (v.dtype, v.shape) for k, v in ours.items()} == {k: (v.dtype, v.shape) for k, v in theirs.items()}
    different = {name: (ours[name] != theirs[name]).double().mean().item() for name in ours if not torch.equal(ours[name], theirs[name])}
    print("tensors that differ:", different)
    # FP4: 0 and -0 are two codes, and its constants have seven digits.
    assert all(name.endswith((".weight", ".absmax")) for name in different)
    assert quant_type == "fp4" or all((ours[name] != theirs[name]).sum() <= 2 for name in different)
    configs = [json.loads((folder / name / "config.json").read_text()) for name in ("ours", "theirs")]
    assert configs[0] == configs[1] and list(configs[0]["quantization_config"]) == list(configs[1]["quantization_config"])


@pytest.mark.parametrize("compute", ["bf16", "fp16", "fp32"])
@pytest.mark.parametrize("storage", ["uint8", "bfloat16", "float32"])
def test_compute_dtype_and_storage(tmp_path, compute, storage):
    """A bf16 model whose products are computed in another dtype, with codes stored as any dtype."""
    base = make_base(tmp_path / "base", "llama", "bf16")
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=DTYPES[compute],
                                bnb_4bit_quant_storage=getattr(torch, storage))
    model, expected = peer_logits(base, "bf16", quantization_config=config)
    model.save_pretrained(tmp_path / "theirs")
    truth = true_logits(tmp_path / "theirs", tmp_path)
    require_close(graft_logits(tmp_path / "theirs", tmp_path), expected, "bf16", truth)
    # --dtype is the compute dtype as well. The weights stay those of the bf16 state, which bitsandbytes does not round to in float32.
    require_close(graft_logits(tmp_path / "theirs", tmp_path, "--dtype", "float32"), expected, "bf16", truth)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantized")
    make_base(folder / "base", "llama", "fp32")
    run_graft("quantize", "--model", folder / "base", "--output", folder / "nf4", "--type", "nf4", "--double")
    return folder


WEIGHT = "model.layers.1.mlp.up_proj.weight"
STATE = WEIGHT + ".quant_state.bitsandbytes__nf4"


def text_tensor(text):
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def edit_state(tensors, old, new):
    tensors[STATE] = text_tensor(bytes(tensors[STATE].tolist()).decode().replace(old, new))


DAMAGE = {
    "no absmax": (lambda t: t.pop(WEIGHT + ".absmax"), WEIGHT + ".absmax"),
    "no map": (lambda t: t.pop(WEIGHT + ".quant_map"), WEIGHT + ".quant_map"),
    "no nested map": (lambda t: t.pop(WEIGHT + ".nested_quant_map"), WEIGHT + ".nested_quant_map"),
    "no state": (lambda t: t.pop(STATE), WEIGHT),
    "short codes": (lambda t: t.update({WEIGHT: t[WEIGHT][:-1].clone()}), WEIGHT),
    "long absmax": (lambda t: t.update({WEIGHT + ".absmax": torch.zeros(999, dtype=torch.uint8)}), WEIGHT + ".absmax"),
    "float absmax": (lambda t: t.update({WEIGHT + ".absmax": t[WEIGHT + ".absmax"].float()}), WEIGHT + ".absmax"),
    "NaN": (lambda t: t[WEIGHT + ".nested_absmax"].fill_(float("nan")), WEIGHT + ".nested_absmax"),
    "no JSON": (lambda t: t.update({STATE: text_tensor("{")}), WEIGHT),
    "not nested": (lambda t: edit_state(t, '"nested_offset"', '"nested_offs"'), WEIGHT),
    "block": (lambda t: edit_state(t, '"blocksize": 64', '"blocksize": 63'), "blocksize"),
    "turned": (lambda t: edit_state(t, "[128, 64]", "[64, 128]"), WEIGHT),
    "other type": (lambda t: edit_state(t, '"nf4"', '"fp4"'), "quant_type"),
    "huge": (lambda t: edit_state(t, "[128, 64]", "[2000000000, 2000000000]"), WEIGHT),
    "two states": (lambda t: t.update({STATE[:-3] + "fp4": t[STATE].clone()}), WEIGHT),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_directories_are_65_by_name(quantized, tmp_path, damage):
    change, named = DAMAGE[damage]
    shutil.copytree(quantized / "nf4", tmp_path / "bad")
    tensors = load_file(tmp_path / "bad/model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "bad/model.safetensors", metadata={"format": "pt"})
    (tmp_path / "in.jsonl").write_text(json.dumps({"tokens": IDS}) + "\n")
    process = run_graft("score", "--model", tmp_path / "bad", "--input", tmp_path / "in.jsonl", "--output", tmp_path / "out", check=False)
    assert process.returncode == 65 and named in process.stderr, process.stderr


@pytest.mark.parametrize("key, value", [("quant_method", "gptq"), ("load_in_8bit", True), ("bnb_4bit_quant_type", "nf5"), ("bnb_4bit_magic", 1)])
def test_other_quantizations_are_65(quantized, tmp_path, key, value):
    shutil.copytree(quantized / "nf4", tmp_path / "bad")
    config = json.loads((tmp_path / "bad/config.json").read_text())
    config["quantization_config"][key] = value
    (tmp_path / "bad/config.json").write_text(json.dumps(config))
    (tmp_path / "in.jsonl").write_text(json.dumps({"tokens": IDS}) + "\n")
    process = run_graft("score", "--model", tmp_path / "bad", "--input", tmp_path / "in.jsonl", "--output", tmp_path / "out", check=False)
    assert process.returncode == 65 and "quantization_config" in process.stderr, process.stderr


def test_quantize_refuses(quantized, tmp_path):
    def code(*arguments):
        return run_graft("quantize", *arguments, check=False).returncode
    assert code("--model", quantized / "nf4", "--output", tmp_path / "a", "--type", "nf4") == 65
    assert code("--model", quantized / "base", "--output", tmp_path / "a", "--type", "nf5") == 64
    assert code("--model", quantized / "base", "--output", tmp_path / "a", "--type", "nf4", "--block", "48") == 64
    assert code("--model", quantized / "base", "--output", quantized / "nf4", "--type", "nf4") == 73
    shutil.copytree(quantized / "base", tmp_path / "bad")
    tensors = load_file(tmp_path / "bad/model.safetensors")
    tensors[WEIGHT][3, 4] = float("inf")
    save_file(tensors, tmp_path / "bad/model.safetensors", metadata={"format": "pt"})
    process = run_graft("quantize", "--model", tmp_path / "bad", "--output", tmp_path / "a", "--type", "nf4", check=False)
    assert process.returncode == 65 and WEIGHT in process.stderr and not (tmp_path / "a").exists()


# --- training ---

@pytest.fixture(scope="module")
def train_base(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("train") / "base"
    config = LlamaConfig(vocab_size=311, hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
                         max_position_embeddings=256, initializer_range=0.1)
    LlamaForCausalLM(config).save_pretrained(path)
    return path


def reference_curve(base, adapter, steps, monkeypatch, **quant):
    """test_train's plain loop over PEFT's model, on bitsandbytes' Linear4bit."""
    def load(path, **options):
        config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32, **quant) if quant else None
        return AutoModelForCausalLM.from_pretrained(path, device_map="cpu", quantization_config=config, **options).train()
    monkeypatch.setattr(test_train, "LlamaForCausalLM", type("Loader", (), {"from_pretrained": staticmethod(load)}))
    return test_train.reference_curve(base, adapter, steps)


@pytest.mark.parametrize("quant_type, double", [("nf4", True), ("fp4", False)])
def test_training_curve_equals_pefts(train_base, tmp_path, monkeypatch, quant_type, double):
    samples = test_train.make_samples(8 * test_train.STEPS, 1)
    rows, first, _ = test_train.train(train_base, tmp_path / "run", samples, f"quant.type={quant_type}", f"quant.double={str(double).lower()}")
    expected, _ = reference_curve(train_base, first, test_train.in_file_order(samples), monkeypatch, bnb_4bit_quant_type=quant_type,
                                  bnb_4bit_use_double_quant=double)
    dense, *_ = test_train.train(train_base, tmp_path / "dense", samples)
    worst = max(abs(row["loss"] / e["loss"] - 1) for row, e in zip(rows, expected))
    apart = max(abs(row["loss"] / e["loss"] - 1) for row, e in zip(dense, expected))
    print(f"{quant_type}: worst loss difference {worst:.1e} relative; the unquantized base's curve is {apart:.1e} away")
    assert worst <= 1e-3 < apart

    # The same from a directory that is quantized already: the same bits, so the same run.
    run_graft("quantize", "--model", train_base, "--output", tmp_path / "stored", "--type", quant_type, *(["--double"] if double else []))
    stored, *_ = test_train.train(tmp_path / "stored", tmp_path / "from_stored", samples)
    assert [row["loss"] for row in stored] == [row["loss"] for row in rows]


@pytest.mark.parametrize("overrides, text", [
    (["quant.type=fp4"], "quant.type contradicts"), (["quant.type=nf4", "quant.double=false"], "quant.double contradicts"),
    (["quant.type=nf4", "quant.block=128"], "quant.block contradicts"), (["adapter.type=full", "~adapter.rank", "~adapter.alpha", "~adapter.target"], "trained in full")])
def test_recipes_that_contradict_the_directory_are_78(quantized, tmp_path, overrides, text):
    process = train_process(quantized / "nf4", tmp_path, *overrides)
    assert process.returncode == 78 and text in process.stderr, process.stderr


def train_process(base, folder, *overrides, command="train"):
    (folder / "train.jsonl").write_text("".join(json.dumps({"input_ids": IDS}) + "\n" for _ in range(8)))
    (folder / "recipe.yaml").write_text(f"""schema: 1
name: tiny
output_dir: {folder / "run"}
model: {{path: {base}, dtype: fp32, max_length: 64}}
adapter: {{rank: 4, alpha: 8, target: all-linear}}
data: {{train: [{{path: {folder / "train.jsonl"}, format: tokens}}], cache: none}}
batch: {{sequences_per_step: 2}}
train: {{steps: 2}}
""")
    return run_graft(command, folder / "recipe.yaml", "--device", "cpu", *overrides, check=False)


@pytest.mark.parametrize("skip, dense", [("[gate_proj]", 2 * 128 * 64), ('["*.layers.0.*"]', 3 * 128 * 64 + 2 * 64 * 64 + 2 * 32 * 64), ("[mlp]", 6 * 128 * 64)])
def test_skip_keeps_modules_dense(quantized, tmp_path, skip, dense):
    weights = []
    for overrides in ([f"quant.skip={skip}"], []):
        process = train_process(quantized / "base", tmp_path, "quant.type=nf4", *overrides, "--json", command="plan")
        assert process.returncode == 0, process.stderr
        weights.append(json.loads(process.stdout)["predicted_memory_parts"]["weights"])
    # 0.5 bytes, and for each block of 64 a byte and a 256th of a float32, instead of 4 bytes.
    assert weights[0] - weights[1] == pytest.approx(dense * (4 - 0.5 - 1 / 64 - 4 / (256 * 64)), abs=2)
    assert train_process(quantized / "base", tmp_path, "quant.type=nf4", f"quant.skip={skip}").returncode == 0


def test_a_skip_that_names_nothing_is_78(quantized, tmp_path):
    process = train_process(quantized / "base", tmp_path, "quant.type=nf4", "quant.skip=[gate_porj]")
    assert process.returncode == 78 and "gate_proj" in process.stderr, process.stderr


def test_every_command_runs_on_four_bits(quantized, tmp_path, need_data):
    assert train_process(quantized / "nf4", tmp_path).returncode == 0
    adapter = tmp_path / "run/adapter"
    (tmp_path / "eval.jsonl").write_text(json.dumps({"input_ids": IDS}) + "\n")
    report = graft_json("eval", "--model", quantized / "nf4", "--adapter", adapter, "--data", tmp_path / "eval.jsonl", "--format", "tokens")
    assert report["loss"] > 0
    (tmp_path / "in.jsonl").write_text(json.dumps({"tokens": IDS[:9]}) + "\n")
    with_tokenizer = tmp_path / "with_tokenizer"
    shutil.copytree(quantized / "nf4", with_tokenizer)
    shutil.copy(need_data("stories260k") / "tokenizer.json", with_tokenizer)
    run_graft("generate", "--model", with_tokenizer, "--adapter", adapter, "--input", tmp_path / "in.jsonl", "--max-new-tokens", "4")
    # PEFT on transformers' model gives the same logits with this adapter.
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(quantized / "nf4", device_map="cpu", dtype=torch.float32), adapter).train()
    with torch.no_grad():
        expected = model(torch.tensor([IDS])).logits[0].float()
    require_close(graft_logits(quantized / "nf4", tmp_path, "--adapter", adapter), expected, "fp32")


# --- merging ---

def test_merge_into_either_base(quantized, tmp_path):
    """Into the weights the adapter was trained on (the decoded ones) the model's outputs stay; into the original ones they move."""
    assert train_process(quantized / "nf4", tmp_path, "train.steps=8", "train.optimizer.lr=2e-2").returncode == 0
    adapter = tmp_path / "run/adapter"
    trained_on = graft_logits(quantized / "nf4", tmp_path, "--adapter", adapter)
    report = graft_json("merge", "--model", quantized / "nf4", "--adapter", adapter, "--output", tmp_path / "decoded")
    assert report["dequantized_modules"] == report["merged_modules"] == 14 and report["merge_loss"] < 1e-4
    assert "quantization_config" not in json.loads((tmp_path / "decoded/config.json").read_text())
    assert not [name for name in load_file(tmp_path / "decoded/model.safetensors") if "quant" in name or "absmax" in name]
    _, merged = peer_logits(tmp_path / "decoded", "fp32")
    require_close(merged, trained_on, "fp32")
    rounded = graft_json("merge", "--model", quantized / "nf4", "--adapter", adapter, "--output", tmp_path / "rounded", "--dtype", "bfloat16")
    assert report["merge_loss"] < rounded["merge_loss"] < 1
    # The original weights: PEFT's sum on the dense base, and not the model that was trained.
    report = graft_json("merge", "--model", quantized / "base", "--adapter", adapter, "--output", tmp_path / "dense")
    assert report["dequantized_modules"] == 0 and report["merged_modules"] == 14
    _, merged = peer_logits(tmp_path / "dense", "fp32")
    with torch.no_grad():
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(quantized / "base", dtype=torch.float32), adapter)
        expected = model(torch.tensor([IDS])).logits[0]
    require_close(merged, expected, "fp32")
    assert (merged - trained_on).abs().max() > 100 * FLOAT_ERROR * trained_on.abs().max()
