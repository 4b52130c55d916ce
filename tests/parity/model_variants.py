"""Tiny random models of every supported variant, made by transformers (fp32, eager attention) and saved in both config layouts."""
import copy
import json
import pathlib

import torch
import transformers

BASE = dict(vocab_size=131, hidden_size=48, intermediate_size=88, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
            max_position_embeddings=256, initializer_range=0.12, bos_token_id=1, eos_token_id=2, attn_implementation="eager")


def rope(rope_type, **keys):
    return dict(rope_parameters=dict(rope_type=rope_type, rope_theta=keys.pop("rope_theta", 10000.0), **keys))


LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
YARN = dict(factor=4.0, original_max_position_embeddings=64)

# name: (config class, keys that differ from BASE)
VARIANTS = {
    "llama_mha": ("Llama", dict(num_key_value_heads=6)),
    "llama_gqa": ("Llama", dict()),
    "llama_tied": ("Llama", dict(tie_word_embeddings=True)),
    "llama_theta": ("Llama", rope("default", rope_theta=500000.0)),
    "llama_attention_bias": ("Llama", dict(attention_bias=True)),
    "llama_mlp_bias": ("Llama", dict(mlp_bias=True)),
    "llama_head_dim": ("Llama", dict(head_dim=20, rms_norm_eps=1e-5)),
    "llama_linear": ("Llama", rope("linear", factor=2.5)),
    "llama_dynamic": ("Llama", dict(max_position_embeddings=64, **rope("dynamic", factor=2.0))),
    "llama_dynamic_original": ("Llama", dict(max_position_embeddings=64, **rope("dynamic", factor=2.0, original_max_position_embeddings=64))),
    "llama_llama3": ("Llama", rope("llama3", **LLAMA3)),
    "llama_llama3_tied": ("Llama", dict(tie_word_embeddings=True, **rope("llama3", rope_theta=500000.0, **dict(LLAMA3, factor=32.0)))),
    "llama_yarn": ("Llama", rope("yarn", **YARN)),
    "llama_yarn_betas": ("Llama", rope("yarn", beta_fast=16.0, beta_slow=2.0, attention_factor=0.8, **YARN)),
    "llama_yarn_mscale": ("Llama", rope("yarn", mscale=0.7, mscale_all_dim=0.4, truncate=False, **YARN)),
    "mistral_window": ("Mistral", dict(sliding_window=16)),
    "mistral_no_window": ("Mistral", dict(sliding_window=None)),
    "mistral_head_dim": ("Mistral", dict(sliding_window=None, head_dim=12, **rope("default", rope_theta=1e6))),
    "ministral": ("Ministral", dict(sliding_window=8, head_dim=8, layer_types=["sliding_attention", "full_attention", "sliding_attention"])),
    "qwen2": ("Qwen2", dict()),
    "qwen2_tied": ("Qwen2", dict(tie_word_embeddings=True, **rope("default", rope_theta=1e6))),
    "qwen2_window": ("Qwen2", dict(use_sliding_window=True, sliding_window=24, max_window_layers=1)),
    "qwen2_yarn": ("Qwen2", dict(max_position_embeddings=64, **rope("yarn", **YARN))),
    "qwen3": ("Qwen3", dict(head_dim=16)),
    "qwen3_tied": ("Qwen3", dict(head_dim=8, tie_word_embeddings=True)),
    "qwen3_bias": ("Qwen3", dict(head_dim=10, attention_bias=True)),
    "qwen3_window": ("Qwen3", dict(head_dim=16, use_sliding_window=True, sliding_window=12, max_window_layers=2)),
}


def make_model(name, seed=0):
    """The variant as an fp32 transformers model whose weights are exact in bf16; norms and biases are random too."""
    family, keys = VARIANTS[name]
    torch.manual_seed(seed)
    config = getattr(transformers, family + "Config")(**{**copy.deepcopy(BASE), **copy.deepcopy(keys)})
    model = getattr(transformers, family + "ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.normal_(1.0 if "norm" in parameter_name else 0.0, 0.3)
            parameter.copy_(parameter.bfloat16().float())
    return model


def save(model, directory, layout):
    """layout 5: as transformers 5 writes it. layout 4: config.json rewritten in version 4's spelling."""
    directory = pathlib.Path(directory)
    model.save_pretrained(directory)
    if layout == 4:
        path = directory / "config.json"
        path.write_text(json.dumps(to_version_4(json.loads(path.read_text())), indent=2))
    return directory


def to_version_4(config):
    parameters = dict(config.pop("rope_parameters"))
    config["rope_theta"] = parameters.pop("rope_theta")
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.46.0"
    rope_type = parameters.pop("rope_type")
    if rope_type == "default":
        config["rope_scaling"] = None
    else:
        config["rope_scaling"] = {"rope_type" if rope_type == "llama3" else "type": rope_type, **parameters}
    if config["model_type"] != "ministral":
        config.pop("layer_types", None)  # newer than the layout; follows from max_window_layers
    return config
