"""An allocation that fails names the phase, what the plan says is in memory, and what would help: one error block, exit code 70."""
import functools
import json
import random
import resource
import subprocess

import pytest

from conftest import BASE
from graft_cli import GRAFT, is_sanitized, run_graft

# Little to store, much to compute: one activation is 8192 numbers a token.
WIDE = {
    "model_type": "llama", "vocab_size": 64, "hidden_size": 8192, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1,
    "num_key_value_heads": 1, "head_dim": 64, "max_position_embeddings": 8192, "hidden_act": "silu", "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
    "bos_token_id": 1, "eos_token_id": 2}


def limited(gibibytes, *arguments):
    """graft with an address space of so much: an allocation beyond it fails at once, whatever the machine has."""
    size = gibibytes << 30
    process = subprocess.run([GRAFT, *map(str, arguments)], capture_output=True, text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size)))
    return process.returncode, process.stderr


def under_a_limit(test):
    """The test, unless the address space cannot be limited; then it says so."""
    @functools.wraps(test)
    def run(*arguments, **named):
        if is_sanitized():
            print("AddressSanitizer reserves more address space than a limit leaves: not tried with this build")
            return
        test(*arguments, **named)
    return run


def one_block(said):
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, said
    return said[said.index("error: "):]


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "wide"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(WIDE))
    return path


@under_a_limit
def test_bench_names_the_step_and_its_own_options(model):
    # 128 x 8192 tokens of 8192 bf16 numbers are 16 GiB in one piece.
    code, said = limited(12, "bench", "train", "--shape", model, "--batch", 128, "--seq", 8192, "--rank", 4, "--device", "cpu")
    assert code == 70, said
    block = one_block(said)
    assert "out of memory on cpu in forward or backward of step 1" in block and "activations" in block and "this run when it began" in block
    assert "--batch 64 saves" in block and "--seq 4096" in block and "memory.checkpointing" not in block


@under_a_limit
def test_train_names_keys_of_the_recipe(model, recipe, tmp_path):
    generator = random.Random(1)
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"input_ids": [generator.randrange(3, 64) for _ in range(8192)]}) + "\n" for _ in range(64)))
    path = recipe(model={"path": str(model), "init": "random", "dtype": "fp32", "max_length": 8192}, data={"train": [{"path": str(rows), "format": "tokens"}], "cache": "none"},
                  batch={"sequences_per_step": 64, "micro_sequences": 64}, memory={"checkpointing": "none"}, checkpoint={"test_first": False})
    code, said = limited(12, "train", path, "--device", "cpu")  # 64 x 8192 tokens of 8192 fp32 numbers: 16 GiB
    assert code == 70, said
    block = one_block(said)
    assert "in forward or backward of step 1" in block and "predicted: " in block
    assert "batch.micro_sequences: 32" in block and "saves" in block and "3. " in block


@under_a_limit
def test_a_model_that_does_not_load_says_so(tmp_path, recipe):
    # The embedding alone is 4 GiB.
    path = tmp_path / "large"
    path.mkdir()
    (path / "config.json").write_text(json.dumps({**WIDE, "vocab_size": 1 << 17}))
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"input_ids": [5, 6, 7, 8]}) + "\n")
    written = recipe(model={"path": str(path), "init": "random", "dtype": "fp32", "max_length": 64}, data={"train": [{"path": str(rows), "format": "tokens"}], "cache": "none"})
    code, said = limited(3, "train", written, "--device", "cpu")
    if code == 65 and "this machine gives the process" in said:
        print("this machine has less memory than the model's weights: refused before anything is allocated")
        return
    assert code == 70, said
    block = one_block(said)
    assert "while loading the model" in block and "weights 8.0" in block and "model.dtype: bf16 saves" in block


def test_enough_memory_changes_nothing(recipe):
    assert run_graft("train", recipe(), "--device", "cpu").returncode == 0
