"""`graft merge` gives the model that PEFT's merge_and_unload gives, and transformers loads it."""
import json

import pytest
import torch
from conftest import graft_json, run_graft
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

IDS = torch.arange(3, 40).unsqueeze(0)
# Two float32 sums of the same products in another order, on logits of a few units.
TOLERANCE = 1e-4


def save_base(path, tied, biases=False):
    torch.manual_seed(3)
    config = LlamaConfig(vocab_size=96, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                         max_position_embeddings=128, tie_word_embeddings=tied, initializer_range=0.2,
                         attention_bias=biases, mlp_bias=biases)
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


def load(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def edit_config(adapter, **changes):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def require_merge_equals_peft(base, adapter, merged):
    """What PEFT computes after loading the files again, so that edits to them count."""
    with torch.no_grad():
        expected, bare = PeftModel.from_pretrained(load(base), adapter).eval()(IDS).logits, load(base)(IDS).logits
    assert (expected - bare).abs().max() > 0.05, "the adapter changes nothing: the test would be empty"
    graft_json("merge", "--model", base, "--adapter", adapter, "--output", merged)
    with torch.no_grad():
        found = load(merged)(IDS).logits
    assert (found - expected).abs().max().item() < TOLERANCE * max(1.0, expected.abs().max().item())


@pytest.mark.parametrize("target", ["q_proj", "up_proj"])
def test_fan_in_fan_out_means_nothing_on_linears(tmp_path, target):
    save_base(tmp_path / "base", False)
    random_adapter(tmp_path / "base", tmp_path / "adapter", target_modules=[target])
    edit_config(tmp_path / "adapter", fan_in_fan_out=True)  # PEFT sets it back with a warning
    require_merge_equals_peft(tmp_path / "base", tmp_path / "adapter", tmp_path / "merged")


@pytest.mark.parametrize("flag", [True, False])
def test_gpt2_keeps_its_weights_the_other_way_round(tmp_path, flag):
    torch.manual_seed(3)
    GPT2LMHeadModel(GPT2Config(vocab_size=96, n_positions=64, n_embd=48, n_layer=2, n_head=4, initializer_range=0.2)).save_pretrained(tmp_path / "base")
    random_adapter(tmp_path / "base", tmp_path / "adapter", target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)
    edit_config(tmp_path / "adapter", fan_in_fan_out=flag)
    require_merge_equals_peft(tmp_path / "base", tmp_path / "adapter", tmp_path / "merged")


def test_biases_beside_modules_saved_whole(tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    save_base(base, False, biases=True)
    random_adapter(base, adapter, target_modules=["q_proj"], bias="all", modules_to_save=["o_proj"])
    assert any(".modules_to_save." in key for key in load_file(adapter / "adapter_model.safetensors"))
    require_merge_equals_peft(base, adapter, tmp_path / "merged")
    run_graft("adapter", "check", adapter, "--for", "peft", "--model", base)


def test_the_end_of_a_name_saves_a_module_whole(tmp_path):
    save_base(tmp_path / "base", False)
    random_adapter(tmp_path / "base", tmp_path / "adapter", target_modules=["q_proj"], modules_to_save=["head"])
    require_merge_equals_peft(tmp_path / "base", tmp_path / "adapter", tmp_path / "merged")
    run_graft("adapter", "check", tmp_path / "adapter", "--for", "peft", "--model", tmp_path / "base")


@pytest.mark.parametrize("options", [{"rank_pattern": {"embed_tokens": 2}}, {"alpha_pattern": {"embed_tokens": 9}, "use_rslora": True}], ids=["rank", "alpha"])
def test_the_twin_of_a_tied_embedding_is_scaled_by_its_own_name(tmp_path, options):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    save_base(base, True)
    random_adapter(base, adapter, target_modules=["q_proj", "embed_tokens"], ensure_weight_tying=True, **options)
    require_merge_equals_peft(base, adapter, tmp_path / "merged")
    run_graft("adapter", "check", adapter, "--for", "peft", "--model", base)


def drop(adapter, part):
    tensors = load_file(adapter / "adapter_model.safetensors")
    save_file({name: tensor for name, tensor in tensors.items() if part not in name}, adapter / "adapter_model.safetensors", metadata={"format": "pt"})


CONTRADICTIONS = {
    "rank": (lambda adapter: edit_config(adapter, r=8), "of another shape"),
    "untargeted": (lambda adapter: edit_config(adapter, target_modules=["q_proj"]), "unexpected"),
    "excluded": (lambda adapter: edit_config(adapter, exclude_modules=r".*layers\.1\..*"), "unexpected"),
    "not saved": (lambda adapter: edit_config(adapter, modules_to_save=["lm_head"]), "missing: base_model.model.lm_head.weight"),
    "no factors": (lambda adapter: drop(adapter, "layers.1.self_attn.o_proj"), "missing"),
    "no A": (lambda adapter: drop(adapter, "layers.1.self_attn.o_proj.lora_A"), "missing")}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_file_that_contradicts_its_configuration_is_65_as_in_score(tmp_path, name):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    save_base(base, False)
    random_adapter(base, adapter, target_modules=["q_proj", "o_proj"])
    edit, words = CONTRADICTIONS[name]
    edit(adapter)
    (tmp_path / "in.jsonl").write_text('{"tokens":[3,4,5]}\n')
    merge = run_graft("merge", "--model", base, "--adapter", adapter, "--output", tmp_path / "m", check=False)
    score = run_graft("score", "--model", base, "--adapter", adapter, "--input", tmp_path / "in.jsonl", "--output", tmp_path / "o", check=False)
    assert (merge.returncode, score.returncode) == (65, 65) and words in merge.stderr, merge.stderr
    assert sorted(merge.stderr.split()) == sorted(score.stderr.split()) and not (tmp_path / "m").exists()


def test_the_adapters_chat_template_is_the_merged_models(tmp_path):
    save_base(tmp_path / "base", False)
    (tmp_path / "base/chat_template.jinja").write_text("the base's")
    random_adapter(tmp_path / "base", tmp_path / "adapter", target_modules=["q_proj"])
    run_graft("merge", "--model", tmp_path / "base", "--adapter", tmp_path / "adapter", "--output", tmp_path / "a")
    assert (tmp_path / "a/chat_template.jinja").read_text() == "the base's"
    (tmp_path / "adapter/chat_template.jinja").write_text("the adapter's")
    run_graft("merge", "--model", tmp_path / "base", "--adapter", tmp_path / "adapter", "--output", tmp_path / "b")
    assert (tmp_path / "b/chat_template.jinja").read_text() == "the adapter's"


@pytest.mark.parametrize("value, code", [(None, 0), ("yes", 65), (0, 65)])
def test_tie_word_embeddings_is_true_false_or_absent(tmp_path, value, code):
    save_base(tmp_path / "base", False)
    random_adapter(tmp_path / "base", tmp_path / "adapter", target_modules=["q_proj"])
    config = json.loads((tmp_path / "base/config.json").read_text())
    (tmp_path / "base/config.json").write_text(json.dumps({**config, "tie_word_embeddings": value}))
    process = run_graft("merge", "--model", tmp_path / "base", "--adapter", tmp_path / "adapter", "--output", tmp_path / "m", check=False)
    assert process.returncode == code and (code == 0 or "tie_word_embeddings" in process.stderr), process.stderr


def test_a_head_that_the_files_keep_apart_is_not_tied(tmp_path):
    """Bad merges leave such models: tie_word_embeddings is true, lm_head.weight is another tensor. transformers uses it."""
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    save_base(base, False)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    random_adapter(base, adapter, target_modules=["q_proj"])
    require_merge_equals_peft(base, adapter, tmp_path / "merged")
    assert json.loads((tmp_path / "merged/config.json").read_text())["tie_word_embeddings"] is False
    (tmp_path / "in.jsonl").write_text(json.dumps({"tokens": IDS[0].tolist()}) + "\n")
    process = run_graft("score", "--model", base, "--input", tmp_path / "in.jsonl", "--output", tmp_path / "s.safetensors", "--logits")
    assert "another lm_head.weight" in process.stderr
    with torch.no_grad():
        expected = load(base)(IDS).logits[0]
    assert (load_file(tmp_path / "s.safetensors")["logits.0"] - expected).abs().max() < TOLERANCE * max(1.0, expected.abs().max().item())
    run_graft("quantize", "--model", base, "--output", tmp_path / "nf4", "--type", "nf4")
    assert json.loads((tmp_path / "nf4/config.json").read_text())["tie_word_embeddings"] is False
    assert torch.equal(load_file(tmp_path / "nf4/model.safetensors")["lm_head.weight"], load_file(base / "model.safetensors")["lm_head.weight"])


def test_an_embedding_that_may_be_the_head_too_is_refused(tmp_path):
    """GPT-2 ties its head to wte; its files hold one tensor and graft does not know the family."""
    torch.manual_seed(3)
    GPT2LMHeadModel(GPT2Config(vocab_size=96, n_positions=64, n_embd=48, n_layer=2, n_head=4, initializer_range=0.2)).save_pretrained(tmp_path / "base")
    for number, options in enumerate(({"target_modules": ["wte", "c_attn"]}, {"target_modules": ["c_attn"], "modules_to_save": ["wte"]})):
        adapter = tmp_path / f"adapter{number}"
        random_adapter(tmp_path / "base", adapter, fan_in_fan_out=True, **options)
        process = run_graft("merge", "--model", tmp_path / "base", "--adapter", adapter, "--output", tmp_path / "m", check=False)
        assert process.returncode == 65 and "wte.weight" in process.stderr and "lm_head" in process.stderr and not (tmp_path / "m").exists(), process.stderr


def test_weights_that_float16_cannot_hold_are_named(tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    save_base(base, False)
    random_adapter(base, adapter, target_modules=["q_proj"])
    tensors = load_file(base / "model.safetensors")
    tensors["model.norm.weight"][3] = 70000.0
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    for command in (("merge", "--adapter", adapter), ("quantize", "--type", "nf4")):
        process = run_graft(command[0], "--model", base, *command[1:], "--output", tmp_path / "m", "--dtype", "float16", check=False)
        assert process.returncode == 65 and "model.norm.weight" in process.stderr and not (tmp_path / "m").exists(), process.stderr


def test_weights_that_are_not_numbers_end_with_76(tmp_path):
    base = tmp_path / "base"
    save_base(base, False)
    tensors = load_file(base / "model.safetensors")
    tensors["model.norm.weight"][3] = float("nan")
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "in.jsonl").write_text('{"tokens": [3, 4, 5]}\n')
    (tmp_path / "data.jsonl").write_text('{"input_ids": [3, 4, 5]}\n')
    for command in (("score", "--input", tmp_path / "in.jsonl", "--output", tmp_path / "s.safetensors"), ("eval", "--data", tmp_path / "data.jsonl", "--format", "tokens")):
        process = run_graft(*command, "--model", base, check=False)
        assert process.returncode == 76 and process.stdout == "" and not (tmp_path / "s.safetensors").exists(), process.stderr


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_an_adapter_that_took_its_start_from_the_base_is_refused_until_it_is_converted(tmp_path, init):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    save_base(base, False)
    model = get_peft_model(load(base), LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj"], init_lora_weights=init))
    model.save_pretrained(adapter)
    (tmp_path / "in.jsonl").write_text('{"tokens": [3, 4, 5]}\n')
    for command in (("merge", "--output", tmp_path / "m"), ("score", "--input", tmp_path / "in.jsonl", "--output", tmp_path / "s.safetensors")):
        process = run_graft(command[0], "--model", base, "--adapter", adapter, *command[1:], check=False)
        assert process.returncode == 65 and init in process.stderr and "path_initial_model_for_weight_conversion" in process.stderr, process.stderr
    verdicts = run_graft("adapter", "check", adapter, "--for", "peft,vllm,llama.cpp", "--json", check=False)
    assert verdicts.returncode == 65 and verdicts.stdout.count("moved a part") == 3
