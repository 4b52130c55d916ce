"""`graft merge` gives the model that PEFT's merge_and_unload gives, and transformers loads it."""
import json

import pytest
import torch
from conftest import graft_json, run_graft
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

IDS = torch.arange(3, 40).unsqueeze(0)
# Two float32 sums of the same products in another order, on logits of a few units.
TOLERANCE = 1e-4


def save_base(path, tied):
    torch.manual_seed(3)
    config = LlamaConfig(vocab_size=96, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                         max_position_embeddings=128, tie_word_embeddings=tied, initializer_range=0.2)
    LlamaForCausalLM(config).float().save_pretrained(path)


def random_adapter(base, path, **options):
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=12, **options))
    torch.manual_seed(4)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(path)
    return model.eval()


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("options", [
    {"target_modules": "all-linear"}, {"target_modules": ["q_proj", "v_proj"], "use_rslora": True},
    {"target_modules": ["q_proj", "down_proj"], "rank_pattern": {"down_proj": 7}, "alpha_pattern": {"q_proj": 3}}, {"target_modules": ["lm_head", "o_proj"]}],
    ids=["all-linear", "rslora", "patterns", "head"])
def test_merged_logits_equal_pefts(tmp_path, tied, options):
    base, adapter, merged = tmp_path / "base", tmp_path / "adapter", tmp_path / "merged"
    save_base(base, tied)
    model = random_adapter(base, adapter, **options)
    with torch.no_grad():
        expected, bare = model(IDS).logits, AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)(IDS).logits
    assert (expected - bare).abs().max() > 0.05, "the adapter changes nothing: the test would be empty"
    report = graft_json("merge", "--model", base, "--adapter", adapter, "--output", merged)
    assert report["untied"] == (tied and "lm_head" in options["target_modules"])
    with torch.no_grad():
        found = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)(IDS).logits
    worst = (found - expected).abs().max().item()
    print(f"merge {options} tied={tied}: worst difference {worst:.2e}")
    assert worst < TOLERANCE * max(1.0, expected.abs().max().item())


def test_merge_loss_in_bfloat16_is_reported(tmp_path):
    save_base(tmp_path / "base", False)
    random_adapter(tmp_path / "base", tmp_path / "adapter", target_modules="all-linear")
    exact = graft_json("merge", "--model", tmp_path / "base", "--adapter", tmp_path / "adapter", "--output", tmp_path / "a", "--dtype", "float32")
    rounded = graft_json("merge", "--model", tmp_path / "base", "--adapter", tmp_path / "adapter", "--output", tmp_path / "b", "--dtype", "bfloat16")
    assert exact["merge_loss"] < 1e-5 < rounded["merge_loss"] < 0.1
    assert json.loads((tmp_path / "b/config.json").read_text())["dtype"] == "bfloat16"


def test_an_adapter_of_another_base_is_65(tmp_path):
    save_base(tmp_path / "base", False)
    random_adapter(tmp_path / "base", tmp_path / "adapter", target_modules="all-linear")
    config = LlamaConfig(vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "other")
    process = run_graft("merge", "--model", tmp_path / "other", "--adapter", tmp_path / "adapter", "--output", tmp_path / "m", check=False)
    assert process.returncode == 65 and not (tmp_path / "m").exists()
