"""A small run with everything that could break a resume: accumulation, dropout, packing, masks, evaluation, early best checkpoints."""
import hashlib
import json
import os
import pathlib
import random
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRAFT = os.environ.get("GRAFT_BIN", str(ROOT / "build/bin/graft"))
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 300, "hidden_size": 64, "intermediate_size": 128,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "hidden_act": "silu", "max_position_embeddings": 128,
    "initializer_range": 0.02, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": False,
    "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32"}
RECIPE = """schema: 1
name: fault
output_dir: {output}
seed: 5
model: {{path: {model}, init: random, dtype: fp32, max_length: 64}}
adapter: {{rank: 4, alpha: 8, dropout: 0.1, target: all-linear}}
data:
  train: [{{path: {data}, format: tokens}}]
  eval: [{{path: {eval}, format: tokens}}]
  packing: isolated
  cache: none
batch: {{sequences_per_step: 8, micro_sequences: 2}}
train:
  steps: {steps}
  optimizer: {{type: adamw, lr: 1e-2}}
  schedule: {{type: cosine, warmup: 10%, min_lr: 10%}}
eval: {{every: 8 steps}}
memory: {{checkpointing: full}}
checkpoint: {{every: {every} steps, keep: 2}}
log: {{every: 1 steps}}
"""


def write_samples(path, count, seed):
    generator = random.Random(seed)
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(count):
            ids = [generator.randrange(3, 300) for _ in range(generator.randrange(5, 40))]
            masked = generator.randrange(1, 4)
            file.write(json.dumps({"input_ids": ids, "labels": [-100] * masked + ids[masked:]}) + "\n")


class Run:
    """One recipe and its run directory, driven through the command line."""

    def __init__(self, folder, name="run", steps=48, every=3):
        folder.mkdir(parents=True, exist_ok=True)
        self.model, self.output, self.recipe = folder / "model", folder / name, folder / f"{name}.yaml"
        self.model.mkdir(exist_ok=True)
        (self.model / "config.json").write_text(json.dumps(CONFIG))
        write_samples(folder / "train.jsonl", 300, 1)
        write_samples(folder / "eval.jsonl", 12, 2)
        self.recipe.write_text(RECIPE.format(output=self.output, model=self.model, data=folder / "train.jsonl", eval=folder / "eval.jsonl",
                                             steps=steps, every=every))

    def command(self):
        """resume once there is something to resume; before that the line the user would run again."""
        started = (self.output / "recipe.resolved.yaml").exists()
        return [GRAFT, "resume", str(self.output)] if started else [GRAFT, "train", str(self.recipe)]

    def start(self, **options):
        return subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options)

    def finish(self, **options):
        process = self.start(**options)
        out, err = process.communicate(timeout=300)
        process.out, process.err = out, err
        return process

    def complete(self):
        process = self.finish()
        assert process.returncode == 0, process.err
        assert pathlib.Path(process.out.strip()) == self.output / "adapter"
        return self

    def adapter_hash(self):
        return hashlib.sha256((self.output / "adapter/adapter_model.safetensors").read_bytes()).hexdigest()

    def rows(self):
        """metrics.jsonl without what depends on the clock."""
        rows = [json.loads(line) for line in (self.output / "metrics.jsonl").read_text().splitlines()]
        return [{k: v for k, v in row.items() if k not in ("step_seconds", "tokens_per_second", "peak_memory_bytes")} for row in rows]

    def checkpoints(self):
        return sorted((self.output / "checkpoints").glob("step-*"))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The run nobody interrupts, and how long it takes."""
    import time
    start = time.monotonic()
    run = Run(tmp_path_factory.mktemp("undisturbed")).complete()
    run.seconds = time.monotonic() - start
    steps = [row["step"] for row in run.rows() if "loss" in row]
    assert steps == list(range(1, 49))
    return run
