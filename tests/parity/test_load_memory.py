"""Loading streams: the peak of host memory is the model plus one tensor, whatever the dtype on disk and in memory."""
import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from conftest import GRAFT
from model_variants import make_model, save

CONFIG = dict(model_type="llama", vocab_size=12000, hidden_size=1024, intermediate_size=2816, num_hidden_layers=6, num_attention_heads=16,
              num_key_value_heads=8, max_position_embeddings=256)
# What the allocator and the kernel round up, and activations of three tokens.
SLACK = 24 << 20


# A process inherits its parent's high-water mark through fork, so graft is started by a small process and not by this one.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def peak(model, tmp_path, *options):
    (tmp_path / "input.jsonl").write_text('{"tokens":[1,2,3]}\n')
    command = [GRAFT, "score", "--model", model, "--input", tmp_path / "input.jsonl", "--output", tmp_path / "out.safetensors", "--device", "cpu", *options]
    return int(subprocess.run([sys.executable, "-c", MEASURE, *map(str, command)], check=True, stdout=subprocess.PIPE).stdout)


def write_model(directory, dtype):
    directory.mkdir()
    h, f, v, kv = CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG["vocab_size"], 512
    shapes = {"model.embed_tokens.weight": (v, h), "lm_head.weight": (v, h), "model.norm.weight": (h,)}
    for layer in range(CONFIG["num_hidden_layers"]):
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in {
            "self_attn.q_proj": (h, h), "self_attn.k_proj": (kv, h), "self_attn.v_proj": (kv, h), "self_attn.o_proj": (h, h), "mlp.gate_proj": (f, h),
            "mlp.up_proj": (f, h), "mlp.down_proj": (h, f), "input_layernorm": (h,), "post_attention_layernorm": (h,)}.items()}
    save_file({name: torch.full(shape, 0.01, dtype=dtype) for name, shape in shapes.items()}, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps(CONFIG))
    return sum(torch.Size(shape).numel() for shape in shapes.values()), max(torch.Size(shape).numel() for shape in shapes.values())


@pytest.mark.parametrize("stored, loaded", [("float32", "float32"), ("bfloat16", "bfloat16"), ("bfloat16", "float32"), ("float32", "bfloat16")])
def test_peak_memory_is_the_model_plus_one_tensor(stored, loaded, tmp_path):
    idle = peak(save(make_model("llama_gqa"), tmp_path / "tiny", 5), tmp_path, "--dtype", loaded)
    parameters, largest = write_model(tmp_path / "model", getattr(torch, stored))
    size = {"float32": 4, "bfloat16": 2}
    ours = peak(tmp_path / "model", tmp_path, "--dtype", loaded) - idle
    print(f"\n{stored} -> {loaded}: {ours / 2**20:.0f} MiB for a model of {parameters * size[loaded] / 2**20:.0f} MiB, largest tensor {largest * size[stored] / 2**20:.0f} MiB")
    assert parameters * size[loaded] * 0.9 <= ours, "the measurement itself is wrong"
    assert ours <= parameters * size[loaded] + largest * max(size[stored], size[loaded]) + SLACK


@pytest.mark.parametrize("stored, loaded", [("bfloat16", "bfloat16"), ("float32", "bfloat16")])
def test_quantizing_streams(stored, loaded, tmp_path):
    """A base quantized while it loads: the peak is the 4-bit model, what stays dense, and one weight on its way (as stored, cast, in float32)."""
    tiny, model = save(make_model("llama_gqa"), tmp_path / "tiny", 5), tmp_path / "model"
    parameters, _ = write_model(model, getattr(torch, stored))
    dense = 2 * CONFIG["vocab_size"] * CONFIG["hidden_size"]
    peaks = {}
    for directory in (tiny, model):
        for kind in ("nf4", "none"):
            # The least of three: a peak of resident memory is now and then some ten MiB higher by what the allocator kept, never lower.
            peaks[directory, kind] = min(train_peak(directory, tmp_path / f"{directory.name}-{kind}-{i}", loaded, kind) for i in range(3))
    quantized, plain = (peaks[model, kind] - peaks[tiny, kind] for kind in ("nf4", "none"))
    expected = (parameters - dense) * (0.5 + 1 / 64 + 4 / (64 * 256)) + dense * 2
    weight = CONFIG["hidden_size"] * CONFIG["intermediate_size"]
    print(f"\n{stored} -> nf4: {quantized / 2**20:.0f} MiB, 4-bit model {expected / 2**20:.0f} MiB; unquantized {plain / 2**20:.0f} MiB")
    # The decoded weight of a step, and the encoder's codes, come on top of the float32 copy.
    assert expected * 0.9 <= quantized <= expected + weight * (4 + 4 + 2) + SLACK
    assert quantized < plain - 0.5 * (parameters - dense)


def train_peak(model, folder, dtype, quant):
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"input_ids":[1,2,3,4]}\n' * 4)
    (folder / "recipe.yaml").write_text(f"""schema: 1
output_dir: {folder / "run"}
model: {{path: {model}, dtype: {dtype}, max_length: 16}}
quant: {{type: {quant}}}
adapter: {{rank: 1, target: [q_proj]}}
data: {{train: [{{path: {folder / "train.jsonl"}, format: tokens}}], cache: none}}
batch: {{sequences_per_step: 1}}
train: {{steps: 1}}
""")
    command = [GRAFT, "train", folder / "recipe.yaml", "--device", "cpu", "--quiet"]
    output = subprocess.run([sys.executable, "-c", MEASURE, *map(str, command)], check=True, stdout=subprocess.PIPE).stdout
    return int(output.split()[-1])
