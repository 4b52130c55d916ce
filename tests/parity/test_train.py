"""Thirty optimizer steps of `graft train` against a plain PyTorch + PEFT loop: same base, same initial adapter, same samples in the same order.

Promise: loss, gradient norm and learning rate within 1e-4 relative (float32 sums in another order), final adapter tensors within 1e-3 of
their size.
"""
import json
import math
import os
import random
import signal
import subprocess
import time

import pytest
import torch
from conftest import GRAFT, run_graft
from peft import PeftModel
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

STEPS = 30
RATE, WARMUP, MINIMUM, CLIP, DECAY, BETAS = 5e-3, 3, 5e-4, 0.5, 0.1, (0.9, 0.95)


def random_base(initializer_range):
    torch.manual_seed(0)
    torch.set_num_threads(2)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=311, hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        tie_word_embeddings=False, initializer_range=initializer_range, attn_implementation="eager"))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("base")
    random_base(0.1).save_pretrained(path)
    return path


def make_samples(count, seed):
    """Unequal lengths, a masked beginning, and here and there a masked stretch in the middle."""
    generator = random.Random(seed)
    samples = []
    for _ in range(count):
        ids = [generator.randrange(3, 311) for _ in range(generator.randrange(4, 60))]
        labels = list(ids)
        for i in range(generator.randrange(1, 4)):
            labels[i] = -100
        if generator.random() < 0.3 and len(ids) > 12:
            for i in range(6, 10):
                labels[i] = -100
        samples.append((ids, labels))
    return samples


def rate_at(step):
    if step <= WARMUP:
        return RATE * step / WARMUP
    p = (step - 1 - WARMUP) / (STEPS - WARMUP)
    return MINIMUM + (RATE - MINIMUM) * (1 + math.cos(math.pi * p)) / 2


def reference_curve(base, first_adapter, steps_samples):
    """The plain loop: one sample a forward, sum of token losses over the step's supervised tokens, clip, AdamW."""
    model = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    model = PeftModel.from_pretrained(model, first_adapter, is_trainable=True)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, betas=BETAS, eps=1e-8, weight_decay=DECAY)
    curve = []
    for step, samples in enumerate(steps_samples, start=1):
        tokens = sum(sum(label != -100 for label in labels[1:]) for _, labels in samples)
        total = 0.0
        for ids, labels in samples:
            logits = model(torch.tensor([ids])).logits.float()
            loss = torch.nn.functional.cross_entropy(logits[0, :-1], torch.tensor(labels[1:]), ignore_index=-100, reduction="sum") / tokens
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(trained, CLIP).item()
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step)
        optimizer.step()
        optimizer.zero_grad()
        curve.append({"loss": total, "grad_norm": norm, "learning_rate": rate_at(step), "supervised_tokens": tokens})
    weights = {name.replace(".default", ""): p.detach() for name, p in model.named_parameters() if p.requires_grad}
    return curve, weights


def train(base, folder, samples, *overrides):
    folder.mkdir(exist_ok=True)
    data = folder / "train.jsonl"
    data.write_text("".join(json.dumps({"input_ids": ids, "labels": labels}) + "\n" for ids, labels in samples))
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"""schema: 1
name: parity
output_dir: {folder / "run"}
model: {{path: {base}, dtype: fp32, max_length: 128}}
adapter: {{rank: 4, alpha: 8, target: all-linear}}
data:
  train: [{{path: {data}, format: tokens}}]
  shuffle: false
  packing: none
  cache: none
batch: {{sequences_per_step: 8, micro_sequences: 8}}
train:
  steps: {STEPS}
  optimizer: {{type: adamw, lr: {RATE}, betas: [{BETAS[0]}, {BETAS[1]}], weight_decay: {DECAY}}}
  schedule: {{type: cosine, warmup: {WARMUP} steps, min_lr: 10%}}
  clip_grad_norm: {CLIP}
memory: {{checkpointing: none}}
checkpoint: {{every: 1000 steps, keep: 5}}
log: {{every: 1 steps}}
""")
    run_graft("train", recipe, "--device", "cpu", *overrides)
    rows = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    return rows, folder / "run/checkpoints/step-00000000", load_file(folder / "run/adapter/adapter_model.safetensors")


def require_same(rows, weights, reference, reference_weights):
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    supervised = 0
    for row, expected in zip(rows, reference):
        supervised += expected["supervised_tokens"]
        assert row["supervised_tokens"] == supervised
        for key in ("loss", "grad_norm", "learning_rate"):
            assert row[key] == pytest.approx(expected[key], rel=1e-4), (row["step"], key)
    assert set(weights) == set(reference_weights)
    for name, tensor in weights.items():
        expected = reference_weights[name]
        assert (tensor - expected).norm() <= 1e-3 * expected.norm(), name
    assert any(tensor.abs().max() > 1e-3 for name, tensor in weights.items() if "lora_B" in name), "nothing was trained"


def in_file_order(samples):
    return [samples[8 * i: 8 * i + 8] for i in range(STEPS)]


def whole_and_killed(base, folder, samples, options):
    """The run directories of one recipe: run through, and killed at its fourth or eighth step and resumed."""
    train(base, folder / "whole", samples, *options)
    (folder / "cut").mkdir()
    recipe, whole, run = folder / "cut/recipe.yaml", folder / "whole/run", folder / "cut/run"
    recipe.write_text((folder / "whole/recipe.yaml").read_text().replace(str(whole), str(run)))
    process = subprocess.Popen([GRAFT, "train", str(recipe), "--device", "cpu", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    while not list(run.glob("checkpoints/step-0000000[48]")) and process.poll() is None:
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()[1].decode()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (run / "adapter").exists()
    run_graft("resume", run)
    return whole, run



@pytest.mark.parametrize("overrides", [
    ("batch.micro_sequences=8",), ("batch.micro_sequences=3",), ("batch.micro_sequences=1", "memory.checkpointing=full"),
], ids=["one micro-batch", "uneven accumulation", "accumulation and recompute"])
def test_curve_with_masks_and_unequal_lengths(base, tmp_path, overrides):
    samples = make_samples(8 * STEPS, 1)
    rows, first, weights = train(base, tmp_path / "run", samples, *overrides)
    require_same(rows, weights, *reference_curve(base, first, in_file_order(samples)))


def test_curve_with_packing(base, tmp_path):
    """Every step is one whole epoch, so that it does not matter into which rows the samples were packed."""
    samples = make_samples(16, 2)
    rows, first, weights = train(base, tmp_path / "run", samples, "data.packing=isolated", "batch.sequences_per_step=64", "batch.micro_sequences=2")
    require_same(rows, weights, *reference_curve(base, first, [samples] * STEPS))
