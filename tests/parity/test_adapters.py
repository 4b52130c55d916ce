"""PEFT files both ways: what PEFT saves graft scores to the same logits; what graft saves PEFT loads without a warning, to the same logits.

Tiny random Llama-like models made by transformers, fp32. Tolerance: 1e-4 of the logits' scale (the two add the low-rank part in another order).
"""
import json
import warnings

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from conftest import run_graft

VOCABULARY = 67
TOKENS = [[3, 17, 5, 40, 9, 22, 61, 8], [1, 2, 66, 30]]


def make_model(directory, tied=False, biases=True):
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
                         max_position_embeddings=64, tie_word_embeddings=tied, attention_bias=biases, mlp_bias=biases, bos_token_id=1, eos_token_id=2,
                         pad_token_id=0)
    model = LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2)
    model.save_pretrained(directory)
    return LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()


def randomize(model, seed=3):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))


def graft_logits(model_directory, adapter, work):
    lines = work / "input.jsonl"
    lines.write_text("".join(json.dumps({"tokens": row}) + "\n" for row in TOKENS))
    out = work / "scores.safetensors"
    run_graft("score", "--model", model_directory, "--adapter", adapter, "--input", lines, "--output", out, "--logits", "--dtype", "float32", "--device", "cpu")
    scores = load_file(out)
    return [scores[f"logits.{i}"] for i in range(len(TOKENS))]


@torch.no_grad()
def peft_logits(model):
    model.eval()
    return [model(torch.tensor([row])).logits[0].float() for row in TOKENS]


def require_close(actual, expected, tolerance=1e-4):
    for a, b in zip(actual, expected):
        scale = b.abs().max().item()
        assert (a - b).abs().max().item() <= tolerance * scale, f"{(a - b).abs().max().item()} of {scale}"


LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
OPTIONS = {
    "all-linear": dict(target_modules="all-linear"),
    "list": dict(target_modules=["q_proj", "down_proj"]),
    "regex": dict(target_modules=r".*layers\.[02]\.(self_attn|mlp)\.(q|up)_proj"),
    "full-names": dict(target_modules=["model.layers.1.self_attn.q_proj", "model.layers.0.mlp.up_proj"]),
    "exclude-list": dict(target_modules=LINEAR, exclude_modules=["k_proj", "model.layers.1.mlp.up_proj"]),
    "exclude-regex": dict(target_modules=LINEAR, exclude_modules=r".*layers\.1\..*"),
    "layers": dict(target_modules=["q_proj", "v_proj"], layers_to_transform=[0, 2]),
    "layers-pattern": dict(target_modules=["q_proj", "v_proj"], layers_to_transform=1, layers_pattern="layers"),
    "rslora": dict(target_modules=LINEAR, use_rslora=True),
    "dropout": dict(target_modules=LINEAR, lora_dropout=0.3),
    "bias-all": dict(target_modules=["q_proj", "down_proj"], bias="all"),
    "bias-lora-only": dict(target_modules=["q_proj", "down_proj"], bias="lora_only"),
    "bias-all-with-saved": dict(target_modules=["q_proj"], bias="all", modules_to_save=["o_proj"]),
    "modules-to-save": dict(target_modules=["q_proj"], modules_to_save=["lm_head", "input_layernorm"]),
    "save-embedding": dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"]),
    "save-by-ending": dict(target_modules=["q_proj"], modules_to_save=["head"]),
    "save-whole-block": dict(target_modules=["q_proj"], modules_to_save=["mlp"]),
    "embedding": dict(target_modules=["embed_tokens", "q_proj"]),
    "head": dict(target_modules=["lm_head", "v_proj"]),
    "embedding-and-head": dict(target_modules=["embed_tokens", "lm_head"]),
    "patterns": dict(target_modules=LINEAR, rank_pattern={"q_proj": 2, r"layers\.1\.mlp\.up_proj": 6}, alpha_pattern={"down_proj": 3, "^model.layers.0.self_attn.v_proj": 20}),
    "rslora-patterns": dict(target_modules=LINEAR, use_rslora=True, rank_pattern={"q_proj": 2}, alpha_pattern={"q_proj": 5}),
    "gaussian": dict(target_modules=LINEAR, init_lora_weights="gaussian"),
    "fractional-alpha": dict(target_modules=LINEAR, lora_alpha=6.5),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    directory = tmp_path_factory.mktemp("base")
    make_model(directory)
    return directory


@pytest.fixture(scope="module")
def tied_base(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tied")
    make_model(directory, tied=True)
    return directory


def load_base(directory):
    return LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()


def peft_adapter(base, options, adapter_name="default"):
    torch.manual_seed(1)
    config = LoraConfig(task_type="CAUSAL_LM", **{"r": 4, "lora_alpha": 6, **options})
    model = get_peft_model(load_base(base), config, adapter_name=adapter_name)
    randomize(model)
    return model


@pytest.mark.parametrize("name", OPTIONS)
def test_graft_scores_what_peft_saved(name, base, tmp_path):
    model = peft_adapter(base, OPTIONS[name])
    expected = peft_logits(model)
    bare = peft_logits(load_base(base))
    assert max((a - b).abs().max().item() for a, b in zip(expected, bare)) > 0.02, "the adapter changes nothing: the test would be empty"
    model.save_pretrained(tmp_path / "adapter")
    require_close(graft_logits(base, tmp_path / "adapter", tmp_path), expected)


@pytest.mark.parametrize("target", ["embed_tokens", "lm_head"])
@pytest.mark.parametrize("patterns", [{}, {"rank_pattern": {"embed_tokens": 2}}, {"rank_pattern": {"lm_head": 2}, "use_rslora": True}], ids=["", "embedding", "head"])
def test_graft_scores_adapters_that_keep_a_tie(target, patterns, tied_base, tmp_path):
    # The file names the twin too. It has the embedding's factors and its own scale.
    model = peft_adapter(tied_base, dict(target_modules=[target, "q_proj"], ensure_weight_tying=True, **patterns))
    model.save_pretrained(tmp_path / "adapter")
    expected = peft_logits(PeftModel.from_pretrained(load_base(tied_base), tmp_path / "adapter"))
    require_close(graft_logits(tied_base, tmp_path / "adapter", tmp_path), expected)


@pytest.mark.parametrize("name", ["all-linear", "embedding", "head", "save-embedding", "modules-to-save"])
def test_graft_scores_adapters_of_a_tied_base(name, tied_base, tmp_path):
    model = peft_adapter(tied_base, OPTIONS[name])
    expected = peft_logits(model)
    model.save_pretrained(tmp_path / "adapter")
    require_close(graft_logits(tied_base, tmp_path / "adapter", tmp_path), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_files_are_upcast(dtype, base, tmp_path):
    model = peft_adapter(base, OPTIONS["all-linear"])
    model.save_pretrained(tmp_path / "adapter")
    file = tmp_path / "adapter/adapter_model.safetensors"
    save_file({key: value.to(dtype) for key, value in load_file(file).items()}, file, metadata={"format": "pt"})
    reloaded = PeftModel.from_pretrained(load_base(base), tmp_path / "adapter")
    require_close(graft_logits(base, tmp_path / "adapter", tmp_path), peft_logits(reloaded))


def test_an_adapter_in_a_subfolder(base, tmp_path):
    model = peft_adapter(base, OPTIONS["list"], adapter_name="customer-a")
    expected = peft_logits(model)
    model.save_pretrained(tmp_path / "out")
    require_close(graft_logits(base, tmp_path / "out/customer-a", tmp_path), expected)
    process = run_graft("score", "--model", base, "--adapter", tmp_path / "out", "--input", tmp_path / "input.jsonl", "--output", tmp_path / "o", check=False)
    assert process.returncode == 65 and "customer-a" in process.stderr  # the error names the folder that holds one


def edited_config(base, tmp_path, **changes):
    peft_adapter(base, OPTIONS["list"]).save_pretrained(tmp_path / "adapter")
    path = tmp_path / "adapter/adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    (tmp_path / "input.jsonl").write_text(json.dumps({"tokens": TOKENS[0]}) + "\n")
    return run_graft("score", "--model", base, "--adapter", tmp_path / "adapter", "--input", tmp_path / "input.jsonl", "--output", tmp_path / "o.safetensors", check=False)


def test_unknown_configuration_keys_warn(base, tmp_path):
    process = edited_config(base, tmp_path, made_up_key=7)
    assert process.returncode == 0 and "made_up_key" in process.stderr


@pytest.mark.parametrize("change", [{"peft_type": "IA3"}, {"use_dora": True}, {"lora_bias": True}, {"trainable_token_indices": [1]}])
def test_other_methods_are_refused_by_name(change, base, tmp_path):
    process = edited_config(base, tmp_path, **change)
    assert process.returncode == 65
    assert next(iter(change)) in process.stderr or str(next(iter(change.values()))) in process.stderr


# graft's recipe keys, and the LoraConfig that means the same: the file must have the keys, shapes and fields PEFT itself would have written.
WRITTEN = {
    "all-linear": ("{rank: 4, alpha: 6, target: all-linear}", dict(target_modules="all-linear")),
    "attention": ("{rank: 4, alpha: 6, target: attention}", dict(target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])),
    "list": ("{rank: 4, alpha: 6, target: [q_proj, down_proj]}", dict(target_modules=["q_proj", "down_proj"])),
    "layers": ("{rank: 4, alpha: 6, target: [q_proj], layers: [0, 2]}", dict(target_modules=["q_proj"], layers_to_transform=[0, 2])),
    "rslora": ("{rank: 4, alpha: 6, target: mlp, scaling: rslora, dropout: 0.1}", dict(target_modules=["gate_proj", "up_proj", "down_proj"], use_rslora=True, lora_dropout=0.1)),
    "bias-all": ("{rank: 4, alpha: 6, target: [q_proj, down_proj], bias: all}", dict(target_modules=["q_proj", "down_proj"], bias="all")),
    "bias-lora-only": ("{rank: 4, alpha: 6, target: [q_proj], bias: lora_only}", dict(target_modules=["q_proj"], bias="lora_only")),
    "modules-to-save": ("{rank: 4, alpha: 6, target: [q_proj], modules_to_save: [lm_head, input_layernorm]}", dict(target_modules=["q_proj"], modules_to_save=["lm_head", "input_layernorm"])),
    "embedding": ("{rank: 4, alpha: 6, target: [embed_tokens, lm_head]}", dict(target_modules=["embed_tokens", "lm_head"])),
    "overrides": ('{rank: 4, alpha: 6, target: all-linear, overrides: [{match: q_proj, rank: 2}, {match: "*.layers.1.mlp.*", rank: 6, alpha: 20}]}',
                  dict(target_modules="all-linear", rank_pattern={"q_proj": 2, r"layers\.1\.mlp\..*": 6}, alpha_pattern={r"layers\.1\.mlp\..*": 20})),
    "gaussian": ("{rank: 4, alpha: 6, target: [v_proj], init: gaussian}", dict(target_modules=["v_proj"], init_lora_weights="gaussian")),
}


def train_adapter(base, work, adapter):
    data = work / "train.jsonl"
    data.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in TOKENS))
    recipe = work / "recipe.yaml"
    recipe.write_text(f"""schema: 1
output_dir: {work / "run"}
model: {{path: {base}, dtype: fp32, max_length: 32}}
adapter: {adapter}
data: {{train: [{{path: {data}, format: tokens}}]}}
batch: {{sequences_per_step: 2, micro_sequences: 2}}
train: {{steps: 4, optimizer: {{lr: 0.05}}}}
""")
    run_graft("train", recipe, "--device", "cpu")
    return work / "run/adapter"


@pytest.mark.parametrize("name", WRITTEN)
def test_peft_loads_what_graft_saved(name, base, tmp_path):
    recipe, options = WRITTEN[name]
    adapter = train_adapter(base, tmp_path, recipe)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")  # transformers' own, on its own attribute
        model = PeftModel.from_pretrained(load_base(base), adapter)
    loaded = peft_logits(model)
    bare = peft_logits(load_base(base))
    assert max((a - b).abs().max().item() for a, b in zip(loaded, bare)) > 0.02, "training changed nothing: the test would be empty"
    require_close(graft_logits(base, adapter, tmp_path), loaded)

    peft_adapter(base, options).save_pretrained(tmp_path / "peft", save_embedding_layers=False)
    ours, theirs = (load_file(folder / "adapter_model.safetensors") for folder in (adapter, tmp_path / "peft"))
    assert {key: tuple(value.shape) for key, value in ours.items()} == {key: tuple(value.shape) for key, value in theirs.items()}
    assert {value.dtype for value in ours.values()} == {torch.float32}
    config, reference = (json.loads((folder / "adapter_config.json").read_text()) for folder in (adapter, tmp_path / "peft"))
    assert set(config) == set(reference)
    for field in ("peft_type", "task_type", "r", "lora_alpha", "lora_dropout", "use_rslora", "bias", "inference_mode", "fan_in_fan_out", "init_lora_weights"):
        assert config[field] == reference[field], field
    assert config["base_model_name_or_path"] == str(base)


@pytest.mark.parametrize("name", ["embedding", "modules-to-save"])
def test_peft_loads_adapters_of_a_tied_base(name, tied_base, tmp_path):
    adapter = train_adapter(tied_base, tmp_path, WRITTEN[name][0])
    model = PeftModel.from_pretrained(load_base(tied_base), adapter)
    require_close(graft_logits(tied_base, adapter, tmp_path), peft_logits(model))


@pytest.mark.parametrize("options", [dict(target_modules=["embed_tokens", "q_proj"], rank_pattern={"embed_tokens": 2}),
                                     dict(target_modules=r".*(q_proj|embed_tokens)$", alpha_pattern={"embed_tokens": 9}, use_rslora=True)], ids=["list", "regex"])
def test_an_adapter_that_kept_a_tie_is_continued_and_saved(options, tied_base, tmp_path):
    peft_adapter(tied_base, dict(ensure_weight_tying=True, **options)).save_pretrained(tmp_path / "adapter")
    saved = train_adapter(tied_base, tmp_path, f"{{init_from: {tmp_path / 'adapter'}}}")
    model = PeftModel.from_pretrained(load_base(tied_base), saved)
    require_close(graft_logits(tied_base, saved, tmp_path), peft_logits(model))
    before = peft_logits(PeftModel.from_pretrained(load_base(tied_base), tmp_path / "adapter"))
    assert max((a - b).abs().max().item() for a, b in zip(peft_logits(model), before)) > 0.02
