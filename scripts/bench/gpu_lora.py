#!/usr/bin/env python3
"""LoRA and QLoRA training steps on one GPU: graft against the Python peers, the same work in one run, row by row.

  gpu_lora.py [--rows 8b,8b-full,8b-nf4,…] [--graft build/bin/graft] [--steps 10] [--scratch DIR] [--json FILE]

Random weights, rank 16 on all seven linears, causal LM loss on every token, AdamW, clipping to 1. Dense rows of PEFT: eager transformers, SDPA,
bf16 adapters. 4-bit rows of PEFT are what its users run: a bf16 checkpoint (written to the scratch directory first: 16 GB for an 8B) loaded with
BitsAndBytesConfig (nf4, double quantization, bf16 compute), prepare_model_for_kbit_training, fp32 adapters, bf16 autocast. unsloth takes the same
checkpoints, where `import unsloth` works. What cannot run is named with the reason. Each measurement is a process of its own. The table has the
README's columns: tokens/s and peak allocated GiB. `--rows tiny,tiny-nf4 --device cpu` tries the script out where there is no GPU.
"""
import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LLAMA_1B = dict(hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8, head_dim=64,
                vocab_size=128256, tie_word_embeddings=True)
LLAMA_8B = dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8, vocab_size=128256)
TINY = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=512)
SHAPES = {"llama-8b": LLAMA_8B, "llama-1b": LLAMA_1B, "tiny": TINY, "llama-70b": None}  # None: for graft alone
# name: (work as the README's table has it, shape, rows, length, base, recompute)
ROWS = {
    "8b": ("Llama-8B, bf16, 4×2048", "llama-8b", 4, 2048, "none", "none"),
    "8b-full": ("the same, full recompute", "llama-8b", 4, 2048, "none", "full"),
    "8b-long": ("Llama-8B, bf16, 1×8192", "llama-8b", 1, 8192, "none", "none"),
    "8b-short": ("Llama-8B, bf16, 1×512", "llama-8b", 1, 512, "none", "none"),
    "8b-nf4": ("Llama-8B, NF4 + double, 4×2048", "llama-8b", 4, 2048, "nf4", "none"),
    "8b-nf4-full": ("the same, full recompute", "llama-8b", 4, 2048, "nf4", "full"),
    "8b-nf4-short": ("Llama-8B, NF4 + double, 1×512", "llama-8b", 1, 512, "nf4", "none"),
    "8b-fp8": ("Llama-8B, FP8, 4×2048", "llama-8b", 4, 2048, "fp8", "none"),
    "8b-fp8-full": ("the same, full recompute", "llama-8b", 4, 2048, "fp8", "full"),
    "1b": ("Llama-1B, bf16, 8×2048", "llama-1b", 8, 2048, "none", "none"),
    "1b-short": ("Llama-1B, bf16, 1×512", "llama-1b", 1, 512, "none", "none"),
    "1b-nf4": ("Llama-1B, NF4 + double, 8×2048", "llama-1b", 8, 2048, "nf4", "none"),
    "70b-nf4-full": ("Llama-70B shape, NF4, 1×2048, full recompute", "llama-70b", 1, 2048, "nf4", "full"),
    "tiny": ("a tiny Llama, bf16, 2×32", "tiny", 2, 32, "none", "none"),
    "tiny-nf4": ("a tiny Llama, NF4 + double, 2×32, full recompute", "tiny", 2, 32, "nf4", "full"),
}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
HEADER = ["work (rows × tokens)", "graft", "PEFT", "ratio"]
ADAPTER = dict(r=16, lora_alpha=32, target_modules=TARGETS)


def config_of(shape):
    from transformers import LlamaConfig
    return LlamaConfig(**SHAPES[shape], max_position_embeddings=131072, use_cache=False)


def random_model(shape, device):
    import torch
    from transformers import LlamaForCausalLM
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = LlamaForCausalLM(config_of(shape))
    torch.set_default_dtype(torch.float32)
    return model


def write_checkpoint(shape, directory, device):
    """What from_pretrained needs; the tokenizer (unsloth loads one) knows a word an id."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    random_model(shape, device).save_pretrained(directory, max_shard_size="4GB")
    words = {f"w{i}": i for i in range(SHAPES[shape]["vocab_size"])}
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w0")), unk_token="w0", bos_token="w1", eos_token="w2",
                            pad_token="w3").save_pretrained(directory)


def peft_model(row, device, checkpoint):
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    _, shape, _, _, base, recompute = ROWS[row]
    config = LoraConfig(**ADAPTER, task_type="CAUSAL_LM")
    if base == "none":
        model = get_peft_model(random_model(shape, device), config, autocast_adapter_dtype=False)
        if recompute == "full":
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable()
        return model
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, quantization_config=quantization, dtype=torch.bfloat16, device_map={"": device})
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=recompute == "full")
    return get_peft_model(model, config)


def unsloth_model(row, device, checkpoint):
    from unsloth import FastLanguageModel  # before transformers: it patches it
    _, _, _, length, base, recompute = ROWS[row]
    model, _ = FastLanguageModel.from_pretrained(checkpoint, max_seq_length=length, load_in_4bit=base == "nf4", dtype=None)
    return FastLanguageModel.get_peft_model(model, **ADAPTER, lora_dropout=0, bias="none",
                                            use_gradient_checkpointing="unsloth" if recompute == "full" else False)


def peak_bytes(device):
    import resource
    import torch
    return torch.cuda.max_memory_allocated() if device == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(peer, row, device, checkpoint, steps, warmup):
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    model = {"peft": peft_model, "unsloth": unsloth_model}[peer](row, device, checkpoint)
    import torch
    _, shape, rows, length, base, _ = ROWS[row]
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True, weight_decay=0.0)
    ids = torch.randint(0, SHAPES[shape]["vocab_size"], (rows, length), device=device)
    # prepare_model_for_kbit_training leaves norms and the head in float32; the Trainer's bf16=True is this autocast.
    precision = torch.autocast(device, torch.bfloat16) if base == "nf4" else contextlib.nullcontext()
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    seconds = []
    for _ in range(warmup + steps):
        synchronize()
        start = time.perf_counter()
        with precision:
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        synchronize()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[warmup:])
    return {"seconds": median, "tokens_per_second": rows * length / median, "peak_bytes": peak_bytes(device), "loss": loss.item()}


def graft_steps(program, row, device, scratch, steps, warmup):
    _, shape, rows, length, base, recompute = ROWS[row]
    if shape == "tiny":
        path = pathlib.Path(scratch) / "tiny.json"
        path.write_text(json.dumps({"model_type": "llama", "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "hidden_act": "silu", **TINY}))
        shape = path
    command = [program, "bench", "train", "--shape", shape, "--batch", rows, "--seq", length, "--rank", 16, "--steps", steps, "--warmup", warmup,
               "--quant", base, "--recompute", recompute, "--device", device, "--json"]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if run.returncode != 0:
        lines = [line for line in run.stderr.splitlines() if line.startswith("error:")]
        return {"problem": lines[0] if lines else f"exit {run.returncode}"}
    found = json.loads(run.stdout)
    return {"seconds": found["step_seconds_median"], "tokens_per_second": found["tokens_per_second"], "peak_bytes": found["peak_memory_bytes"],
            "predicted_bytes": found["predicted_peak_memory_bytes"], "start_to_first_step": found["start_to_first_step_seconds"]}


def in_own_process(arguments):
    run = subprocess.run([sys.executable, __file__, *map(str, arguments)], capture_output=True, text=True)
    lines = run.stdout.strip().splitlines()
    if run.returncode != 0:
        return {"problem": (run.stderr.strip().splitlines() or [f"exit {run.returncode}"])[-1][:200]}
    return json.loads(lines[-1]) if lines else {}


def why_not(package):
    """Why a package cannot be imported, or None; asked in a process of its own, because unsloth patches what it finds."""
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed"
    run = subprocess.run([sys.executable, "-c", f"import {package}"], capture_output=True, text=True)
    return None if run.returncode == 0 else f"import {package}: {(run.stderr.strip().splitlines() or ['failed'])[-1][:160]}"


class Peers:
    """Runs the Python side; checkpoints are written once a shape, on the first row that loads one."""

    def __init__(self, arguments, scratch):
        self.arguments, self.scratch, self.checkpoints, self.reasons = arguments, scratch, {}, {}

    def reason(self, packages):
        for package in packages:
            if package not in self.reasons:
                self.reasons[package] = why_not(package)
        return next((self.reasons[p] for p in packages if self.reasons[p]), None)

    def checkpoint(self, shape):
        if shape not in self.checkpoints:
            directory = pathlib.Path(self.scratch) / shape
            problem = in_own_process(["--write", shape, "--checkpoint", directory, "--device", self.arguments.device]).get("problem")
            self.checkpoints[shape] = {"problem": f"its checkpoint was not written: {problem}"} if problem else {"path": directory}
        return self.checkpoints[shape]

    def run(self, peer, row):
        _, shape, _, _, base, _ = ROWS[row]
        if SHAPES[shape] is None:
            return {"problem": "its bf16 checkpoint (141 GB) does not fit the scratch disks this is meant for"}
        if base == "fp8":
            return {"problem": "it trains no adapters over an FP8 base"}
        packages = ["transformers", "peft"] + (["bitsandbytes"] if base == "nf4" else [])
        reason = self.reason(packages if peer == "peft" else packages + [peer])
        if reason:
            return {"problem": reason}
        arguments = ["--peer", peer, "--row", row, "--device", self.arguments.device, "--steps", max(3, self.arguments.steps // 2), "--warmup", 3]
        if base == "nf4" or peer == "unsloth":
            checkpoint = self.checkpoint(shape)
            if "problem" in checkpoint:
                return checkpoint
            arguments += ["--checkpoint", checkpoint["path"]]
        return in_own_process(arguments)


def cell(result):
    return "–" if "problem" in result else f"{result['tokens_per_second']:,.0f}, {result['peak_bytes'] / 2**30:.1f}"


def table_line(row, found):
    graft, peft = found["graft"], found["peft"]
    ratio = f"{peft['seconds'] / graft['seconds']:.2f}" if "seconds" in peft and "seconds" in graft else ""
    return f"| {' | '.join([ROWS[row][0], cell(graft), cell(peft), ratio])} |"


def compare(arguments, scratch):
    peers, results, notes = Peers(arguments, scratch), {}, []
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}", flush=True)
    for row in arguments.rows:
        found = {"graft": graft_steps(arguments.graft, row, arguments.device, scratch, arguments.steps, arguments.warmup)}
        found.update({peer: peers.run(peer, row) for peer in ("peft", "unsloth")})
        results[row] = found
        print(table_line(row, found), flush=True)
        notes += [f"{row}: {name}: {result['problem']}" for name, result in found.items() if "problem" in result and name != "unsloth"]
        notes.append(f"{row}: unsloth: {found['unsloth'].get('problem') or cell(found['unsloth'])}")
    print("\n" + "\n".join(notes))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(row for row in ROWS if not row.startswith("tiny")), help="comma-separated names of " + ", ".join(ROWS))
    parser.add_argument("--graft", default=str(ROOT / "build/bin/graft"))
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--scratch", type=pathlib.Path, help="where checkpoints of 4-bit rows are written, and removed again; default: the system's")
    parser.add_argument("--json", type=pathlib.Path, help="also write all numbers here")
    for hidden in ("--peer", "--row", "--write", "--checkpoint"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write_checkpoint(arguments.write, arguments.checkpoint, arguments.device)
        return 0
    if arguments.peer:
        print(json.dumps(measure(arguments.peer, arguments.row, arguments.device, arguments.checkpoint, arguments.steps, arguments.warmup)))
        return 0
    arguments.rows = arguments.rows.split(",")
    for row in arguments.rows:
        if row not in ROWS:
            parser.error(f"no row {row}; known are {', '.join(ROWS)}")
    if arguments.scratch:
        arguments.scratch.mkdir(parents=True, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix="graft-bench-", dir=arguments.scratch)
    try:
        results = compare(arguments, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
