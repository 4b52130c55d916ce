#!/usr/bin/env python3
"""LoRA training on a CPU: graft against PEFT eager, the same work in one run, one after the other, alternating.

  cpu_lora.py [--shape smollm-135m|tiny] [--rows 4] [--length 256] [--rank 16] [--steps 6] [--rounds 3] [--threads 2]

Random weights, float32, all seven linears, causal LM loss on every token, AdamW, clipping. Prints tokens/s of each round (median over the
round's steps but the first), the ratio of the medians, and the floor: the frozen products and attention by themselves.
Needs the Python peers (scripts/setup.sh --parity) and build/bin/graft.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHAPES = {
    "smollm-135m": dict(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, vocab_size=49152),
    "tiny": dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=512),
}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def peft_round(model_dir, rows, arguments):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(arguments.threads)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=arguments.rank, lora_alpha=2 * arguments.rank, target_modules=TARGETS, task_type="CAUSAL_LM"))
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.0)
    seconds = []
    for step in range(arguments.steps):
        start = time.perf_counter()
        ids = torch.tensor(rows[step])
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    return arguments.rows * arguments.length / statistics.median(seconds[1:])


def graft_round(model_dir, data, arguments, folder):
    run = folder / f"run-{time.monotonic_ns()}"
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps({
        "schema": 1, "output_dir": str(run), "model": {"path": str(model_dir), "dtype": "fp32", "max_length": arguments.length},
        "adapter": {"rank": arguments.rank}, "data": {"train": [{"path": str(data), "format": "tokens"}], "shuffle": False, "packing": "none", "cache": "none"},
        "batch": {"sequences_per_step": arguments.rows, "micro_sequences": arguments.rows}, "memory": {"checkpointing": "none"},
        "train": {"steps": arguments.steps, "optimizer": {"lr": 1e-4}, "schedule": {"type": "constant", "warmup": 0}},
        "runtime": {"device": "cpu", "threads": arguments.threads}, "checkpoint": {"test_first": False}, "log": {"every": 1}}))
    subprocess.run([ROOT / "build/bin/graft", "train", recipe, "--quiet"], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": str(arguments.threads)})
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return arguments.rows * arguments.length / statistics.median(row["step_seconds"] for row in metrics[1:])


def floor(arguments):
    """Tokens/s of what no trainer with these libraries can leave out: the products with the frozen weights (forward, and the gradient of the
    input) and attention, by LibTorch alone."""
    import torch
    torch.set_num_threads(arguments.threads)
    shape = SHAPES[arguments.shape]
    tokens, hidden, wide, heads = arguments.rows * arguments.length, shape["hidden_size"], shape["intermediate_size"], shape["num_attention_heads"]
    size = hidden // heads
    narrow = size * shape["num_key_value_heads"]
    linears = [(hidden, hidden), (hidden, narrow), (hidden, narrow), (hidden, hidden), (hidden, wide), (hidden, wide), (wide, hidden)]
    layers = [linears] * shape["num_hidden_layers"] + [[(hidden, shape["vocab_size"])]]
    weights = [[torch.randn(out, into) for into, out in layer] for layer in layers]
    inputs = {width: torch.randn(tokens, width) for width in {hidden, wide, narrow, shape["vocab_size"]}}
    qkv = [torch.randn(arguments.rows, heads, arguments.length, size, requires_grad=True) for _ in range(3)]
    seconds = []
    for _ in range(arguments.steps):
        start = time.perf_counter()
        for layer in weights:
            for weight in layer:
                inputs[weight.shape[1]].mm(weight.t())
                inputs[weight.shape[0]].mm(weight)
            if len(layer) > 1:
                torch.nn.functional.scaled_dot_product_attention(*qkv, is_causal=True).sum().backward()
        seconds.append(time.perf_counter() - start)
    return tokens / statistics.median(seconds[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="smollm-135m")
    for name, default in (("rows", 4), ("length", 256), ("rank", 16), ("steps", 6), ("rounds", 3), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--at-least", type=float, help="end with 1 when the ratio is below this")
    arguments = parser.parse_args()

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        torch.manual_seed(0)
        shape = SHAPES[arguments.shape]
        LlamaForCausalLM(LlamaConfig(**shape, max_position_embeddings=2048, tie_word_embeddings=True)).save_pretrained(folder / "model")
        rows = [[torch.randint(0, shape["vocab_size"], (arguments.length,)).tolist() for _ in range(arguments.rows)] for _ in range(arguments.steps)]
        (folder / "data.jsonl").write_text("".join(json.dumps({"input_ids": row}) + "\n" for step in rows for row in step))
        peft, graft = [], []
        for round_number in range(arguments.rounds):
            graft.append(graft_round(folder / "model", folder / "data.jsonl", arguments, folder))
            peft.append(peft_round(folder / "model", rows, arguments))
            print(f"round {round_number + 1}: graft {graft[-1]:.0f} tokens/s, PEFT eager {peft[-1]:.0f} tokens/s", flush=True)
        least = floor(arguments)
        ratio = statistics.median(graft) / statistics.median(peft)
        print(f"{arguments.shape} {arguments.rows}x{arguments.length} rank {arguments.rank} fp32 {arguments.threads} threads: "
              f"graft {statistics.median(graft):.0f}, PEFT {statistics.median(peft):.0f} tokens/s, ratio {ratio:.2f}; "
              f"frozen products and attention alone {least:.0f} ({least / statistics.median(peft):.2f} of PEFT)")
        if arguments.at_least is not None and ratio < arguments.at_least:
            sys.exit(1)


if __name__ == "__main__":
    main()
