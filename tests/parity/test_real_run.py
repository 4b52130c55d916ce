"""The first real run: a pre-trained model, real text, from files to a better loss; and PEFT sees the same adapter."""
import json

import torch
from conftest import graft_json, run_graft
from safetensors.torch import load_file


def recipe(model, train, evaluation, run):
    return {"schema": 1, "output_dir": str(run), "model": {"path": str(model), "dtype": "fp32", "max_length": 256},
            "adapter": {"rank": 8}, "data": {"train": [train], "eval": evaluation, "on_overflow": "truncate-right", "cache": "none"},
            "batch": {"sequences_per_step": 8, "micro_sequences": 4}, "memory": {"checkpointing": "none"},
            "train": {"steps": 30, "optimizer": {"lr": 5e-3}, "schedule": {"type": "cosine", "warmup": 3}}, "eval": {"every": "30 steps", "max_batches": None}}


def losses(run):
    return [row["eval_loss"] for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if "eval_loss" in row]


def test_stories_model_learns_gsm8k_and_peft_loads_the_adapter(need_data, tmp_path):
    model, data, run = need_data("stories260k"), need_data("gsm8k"), tmp_path / "run"
    def source(name, limit):
        return {"path": str(data / name), "format": "prompt_completion", "fields": ["prompt=question", "completion=answer"], "limit": limit}
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(recipe(model, source("train.jsonl", 400), [source("test.jsonl", 60)], run)))
    run_graft("train", path)
    before, *_, after = losses(run)
    print(f"gsm8k: evaluation loss {before:.3f} -> {after:.3f}")
    assert after < before - 0.5

    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    ids = list(range(3, 90))
    (tmp_path / "ids.jsonl").write_text(json.dumps({"tokens": ids}) + "\n")
    run_graft("score", "--model", model, "--adapter", run / "adapter", "--input", tmp_path / "ids.jsonl", "--output", tmp_path / "s.safetensors", "--logits", "--dtype", "float32")
    ours = load_file(tmp_path / "s.safetensors")["logits.0"]
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    with torch.no_grad():
        bare = base(torch.tensor([ids])).logits[0]
        theirs = PeftModel.from_pretrained(base, run / "adapter").eval()(torch.tensor([ids])).logits[0]
    assert (theirs - bare).abs().max() > 0.1, "the adapter changes nothing"
    # 1e-4 of the logits' scale: two float32 evaluation orders.
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


def test_alpaca_file_trains_without_a_chat_template(need_data, tmp_path):
    model, data, run = need_data("stories260k"), need_data("instruct"), tmp_path / "run"
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(recipe(model, {"path": str(data / "alpaca_en_demo.json"), "format": "alpaca"}, {"split": 0.05}, run)))
    run_graft("train", path)
    before, *_, after = losses(run)
    print(f"alpaca: evaluation loss {before:.3f} -> {after:.3f}")
    assert after < before - 0.3
    assert graft_json("adapter", "inspect", run / "adapter")["problems"] == []
