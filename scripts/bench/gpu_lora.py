#!/usr/bin/env python3
"""LoRA and QLoRA training steps on one GPU: graft against the Python peers, the same work in one run, alternating.

  gpu_lora.py [--rows 8b,8b-full,1b,8b-short,…] [--graft build/bin/graft] [--steps 8] [--json FILE]

Random weights, rank 16 on all seven linears, causal LM loss on every token, AdamW, clipping to 1. Peers: Hugging Face PEFT (eager, bf16
adapters, SDPA) and, for 4-bit rows, PEFT + bitsandbytes; unsloth where its package is installed. A peer that cannot run is named with the
reason. Each measurement is a process of its own; the table shows the median step, tokens/s and peak allocated memory.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHAPES = {
    "llama-8b": dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8, vocab_size=128256),
    "llama-1b": dict(hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8, head_dim=64,
                     vocab_size=128256, tie_word_embeddings=True),
}
# name: (shape, rows, length, base, recompute)
ROWS = {
    "8b": ("llama-8b", 4, 2048, "none", "none"),
    "8b-full": ("llama-8b", 4, 2048, "none", "full"),
    "8b-long": ("llama-8b", 1, 8192, "none", "none"),
    "8b-short": ("llama-8b", 1, 512, "none", "none"),
    "1b": ("llama-1b", 8, 2048, "none", "none"),
    "1b-short": ("llama-1b", 1, 512, "none", "none"),
    "8b-nf4": ("llama-8b", 4, 2048, "nf4", "none"),
    "8b-nf4-full": ("llama-8b", 4, 2048, "nf4", "full"),
}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def quantized(model):
    """Linear4bit (NF4, double quantization) in the place of every Linear but the head."""
    import bitsandbytes as bnb
    import torch
    for name, module in list(model.named_modules()):
        if not isinstance(module, torch.nn.Linear) or name == "lm_head":
            continue
        parent = model.get_submodule(name.rpartition(".")[0])
        new = bnb.nn.Linear4bit(module.in_features, module.out_features, bias=False, compute_dtype=torch.bfloat16, compress_statistics=True,
                                quant_type="nf4", device="meta")
        new.weight = bnb.nn.Params4bit(module.weight.data.cpu(), requires_grad=False, compress_statistics=True, quant_type="nf4")
        setattr(parent, name.rpartition(".")[2], new.cuda())
    return model


def peft_steps(row, steps, warmup):
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM
    shape, rows, length, base, recompute = ROWS[row]
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = LlamaForCausalLM(LlamaConfig(**SHAPES[shape], max_position_embeddings=131072, use_cache=False))
    if base == "nf4":
        model = quantized(model)
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS, task_type="CAUSAL_LM"), autocast_adapter_dtype=False)
    if recompute == "full":
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable()
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True, weight_decay=0.0)
    ids = torch.randint(0, SHAPES[shape]["vocab_size"], (rows, length), device="cuda")
    seconds = []
    for _ in range(warmup + steps):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        end.record()
        torch.cuda.synchronize()
        seconds.append(start.elapsed_time(end) / 1e3)
    median = statistics.median(seconds[warmup:])
    return {"seconds": median, "tokens_per_second": rows * length / median, "peak_bytes": torch.cuda.max_memory_allocated()}


def graft_steps(program, row, steps, warmup):
    shape, rows, length, base, recompute = ROWS[row]
    command = [program, "bench", "train", "--shape", shape, "--batch", rows, "--seq", length, "--rank", 16, "--steps", steps, "--warmup", warmup,
               "--quant", base, "--recompute", recompute, "--device", "cuda", "--json"]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if run.returncode != 0:
        return {"problem": run.stderr.strip().splitlines()[0] if run.stderr.strip() else f"exit {run.returncode}"}
    found = json.loads(run.stdout)
    return {"seconds": found["step_seconds_median"], "tokens_per_second": found["tokens_per_second"], "peak_bytes": found["peak_memory_bytes"],
            "predicted_bytes": found["predicted_peak_memory_bytes"], "start_to_first_step": found["start_to_first_step_seconds"]}


def in_own_process(row, steps, warmup):
    run = subprocess.run([sys.executable, __file__, "--peer", row, "--steps", str(steps), "--warmup", str(warmup)], capture_output=True, text=True)
    lines = run.stdout.strip().splitlines()
    if run.returncode != 0 or not lines:
        return {"problem": (run.stderr.strip().splitlines() or ["no output"])[-1][:120]}
    return json.loads(lines[-1])


def missing(row):
    needed = ["transformers", "peft"] + (["bitsandbytes"] if ROWS[row][3] == "nf4" else [])
    absent = [name for name in needed if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def cell(result):
    if "problem" in result:
        return result["problem"]
    return f"{result['seconds'] * 1e3:7.1f} ms {result['tokens_per_second']:8,.0f} tok/s {result['peak_bytes'] / 2**30:5.1f} GiB"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS), help="comma-separated names of " + ", ".join(ROWS))
    parser.add_argument("--graft", default=str(ROOT / "build/bin/graft"))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path, help="also write all numbers here")
    parser.add_argument("--peer", choices=ROWS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        print(json.dumps(peft_steps(arguments.peer, arguments.steps, arguments.warmup)))
        return 0
    results = {}
    for row in arguments.rows.split(","):
        if row not in ROWS:
            parser.error(f"no row {row}; known are {', '.join(ROWS)}")
        graft = graft_steps(arguments.graft, row, arguments.steps, arguments.warmup)
        reason = missing(row)
        peer = {"problem": reason} if reason else in_own_process(row, max(3, arguments.steps // 2), 3)
        results[row] = {"graft": graft, "peft": peer}
        ratio = f"{peer['seconds'] / graft['seconds']:.2f}x" if "seconds" in peer and "seconds" in graft else "-"
        shape, rows, length, base, recompute = ROWS[row]
        print(f"{row:12} {shape} {rows}x{length} base {base} recompute {recompute}\n    graft {cell(graft)}\n    PEFT  {cell(peer)}\n    ratio {ratio}",
              flush=True)
    if importlib.util.find_spec("unsloth") is None:
        print("unsloth: not installed here, not measured")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
