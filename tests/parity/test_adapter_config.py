"""Which modules an adapter_config.json targets, with which rank and alpha: graft's decisions against PEFT's own functions; files both ways."""
import itertools
import json
import os
import pathlib
import random
import subprocess
import warnings

import pytest
from peft import LoraConfig, PeftConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key

from conftest import GRAFT

PROBE = pathlib.Path(os.environ.get("GRAFT_IO_PROBE", pathlib.Path(GRAFT).parent / "io_probe"))


def decisions(requests):
    text = "".join(json.dumps(request) + "\n" for request in requests)
    result = subprocess.run([PROBE, "targets"], input=text, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def module_names():
    """Paths as real models have them, and some that tempt a sloppy matcher."""
    names = []
    for layer in (0, 1, 2, 10, 11):
        for leaf in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.down_proj", "mlp.experts.0.w1", "mlp.experts.1.w1"):
            names.append(f"model.layers.{layer}.{leaf}")
        names.append(f"transformer.h.{layer}.attn.c_attn")
        names.append(f"layers.{layer}.q_proj")
    return names + ["lm_head", "head", "model.head", "q_proj", "xq_proj", "model.xq_proj", "q_proj.inner", "model.embed_tokens", "score", "classifier.dense", "a.b.c",
                    "model.layersx.1.q_proj", "model.layers.1", "model.layers.one.q_proj", "modelé.layers.2.q_proj", "model.layers.1.2.q_proj", "m.0.layers.1.q_proj", "aab", "A.B"]


TARGETS = [["q_proj"], ["q_proj", "v_proj"], ["self_attn.q_proj"], ["model.layers.1.self_attn.q_proj"], ["layers.1.self_attn.q_proj"], ["lm_head", "c_attn"], ["head"], ["w1"],
           ["0.w1"], ["proj"], ["_proj"], [".*"], r".*q_proj", r".*\.(q|v)_proj", r"model\.layers\.\d+\.mlp\..*", r"(?:model|transformer)\..*", r"^.*_proj$", r".*\.h\.(0|1)\..*",
           r"(?i)a\.b", r"a{2}b", r"[^.]+", r"q_proj|v_proj", r".*(?<!x)q_proj", r".*\.layers\.(?P<n>1)\..*", r"\w+\.\w+", "lm_head", "", ["a.b.c", "c"], r"model.*é?.*"]
EXCLUDES = [None, [], ["k_proj"], ["model.layers.0.self_attn.q_proj"], ["layers"], r".*layers\.0.*", r".*(q|k)_proj", "", ["experts.0.w1"]]
SAVED = [None, [], ["lm_head"], ["head"], ["mlp"], ["model.layers.1"], ["layers.1"], ["l.*r"], ["self_attn", "classifier"], ["layers.\\d"]]
LAYERS = [(None, None), (1, None), ([0, 2], None), ([], None), ([10], None), ([1], "layers"), ([1], ["layers"]), ([1, 11], ["h", "layers"]), ([1], []), ([0], ["experts"]),
          ([1], "lay.*"), (0, ["m"])]
RANKS = [{}, {"q_proj": 4}, {"^q_proj": 4}, {"^model.layers.1.self_attn.q_proj": 3, "q_proj": 5}, {"q_proj": 5, "^model.layers.1.self_attn.q_proj": 3}, {"layers.1.self_attn.(q|k)_proj": 2},
         {"proj": 7}, {r".*\.0\..*": 6}, {r"\d+.mlp.down_proj": 9, "down_proj": 8}, {"(q|v)_proj": 2, "c_attn": 3}, {"head": 4}, {"A.B": 2}, {"": 11}]


def configs():
    """Every value of each field beside the others' defaults, then random combinations."""
    chosen = [dict(target_modules=t) for t in TARGETS]
    chosen += [dict(target_modules=["q_proj", "w1", "lm_head", "c_attn"], exclude_modules=e) for e in EXCLUDES]
    chosen += [dict(target_modules=["q_proj", "w1", "lm_head", "c_attn", "dense", "head"], modules_to_save=s) for s in SAVED]
    chosen += [dict(target_modules=["q_proj", "w1", "c_attn"], layers_to_transform=l, layers_pattern=p) for l, p in LAYERS]
    chosen += [dict(target_modules=["q_proj"], rank_pattern=r, alpha_pattern={k: v + 0.5 for k, v in r.items()}) for r in RANKS]
    source = random.Random(7)
    for _ in range(400):
        config = dict(target_modules=source.choice(TARGETS), exclude_modules=source.choice(EXCLUDES), modules_to_save=source.choice(SAVED), rank_pattern=source.choice(RANKS))
        if isinstance(config["target_modules"], list):
            config["layers_to_transform"], config["layers_pattern"] = source.choice(LAYERS)
        chosen.append(config)
    return chosen


def test_targets_ranks_and_alphas_are_pefts():
    names = module_names()
    requests, expected = [], []
    for fields in configs():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = LoraConfig(r=8, lora_alpha=16, **fields)
        requests.append({"config": {"peft_type": "LORA", "r": 8, "lora_alpha": 16, **fields}, "names": names})
        targets = [bool(check_target_module_exists(config, name)) for name in names]
        ranks = [config.rank_pattern.get(get_pattern_key(config.rank_pattern.keys(), name), config.r) for name in names]
        alphas = [config.alpha_pattern.get(get_pattern_key(config.alpha_pattern.keys(), name), config.lora_alpha) for name in names]
        expected.append((targets, ranks, alphas))
    hits = 0
    for request, answer, (targets, ranks, alphas) in zip(requests, decisions(requests), expected):
        assert "error" not in answer, (request["config"], answer)
        wrong = [(n, a, b) for n, a, b in zip(names, answer["targets"], targets) if a != b]
        assert not wrong, (request["config"], wrong)
        assert answer["ranks"] == ranks, request["config"]
        assert answer["alphas"] == alphas, request["config"]
        hits += sum(targets)
    assert 1000 < hits < len(requests) * len(names) / 2  # both answers occur often


def saved(tmp_path, **fields):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = LoraConfig(**fields)
    config.inference_mode = True
    config.save_pretrained(tmp_path)
    return (tmp_path / "adapter_config.json").read_text()


OPTIONS = [
    dict(),
    dict(r=4, lora_alpha=32, lora_dropout=0.05, use_rslora=True, task_type="CAUSAL_LM", base_model_name_or_path="org/nämé\x7f\"\\"),
    dict(bias="all"), dict(bias="lora_only", fan_in_fan_out=True), dict(modules_to_save=["lm_head", "embed_tokens"]),
    dict(target_modules=r".*\.(q|v)_proj"), dict(target_modules="all-linear"), dict(exclude_modules=["k_proj"]), dict(exclude_modules=r".*\.0\..*"),
    dict(layers_to_transform=[0, 2], layers_pattern=["layers"]),
    dict(rank_pattern={"^model.layers.0.q_proj": 4, "^b": 2}, alpha_pattern={"^model.layers.0.q_proj": 8, "^b": 0.5}),
    dict(init_lora_weights=False), dict(init_lora_weights="gaussian"), dict(init_lora_weights="pissa_niter_16"), dict(init_lora_weights="olora"), dict(init_lora_weights="orthogonal"),
    dict(lora_dropout=1e-5, lora_alpha=7.25), dict(revision="main"),
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_rewriting_a_config_of_pefts_gives_the_same_bytes(tmp_path, options):
    text = saved(tmp_path, **{"target_modules": ["q_proj"], **options})
    answer = decisions([{"config": json.loads(text), "names": []}])[0]
    assert answer.get("json") == text, answer


def test_peft_reads_what_graft_writes_without_a_warning(tmp_path):
    for options in OPTIONS:
        answer = decisions([{"config": json.loads(saved(tmp_path, **{"target_modules": ["q_proj"], **options})), "names": []}])[0]
        (tmp_path / "adapter_config.json").write_text(answer["json"])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            config = PeftConfig.from_pretrained(str(tmp_path))
        assert isinstance(config, LoraConfig)


def test_what_peft_refuses_is_refused():
    for fields in (dict(target_modules=".*", layers_to_transform=[1]), dict(target_modules=["q"], layers_pattern=["layers"]), dict(target_modules=["q"], task_type="NO_SUCH")):
        with pytest.raises((ValueError, TypeError)):
            LoraConfig(**fields)
        assert "error" in decisions([{"config": {"peft_type": "LORA", **fields}, "names": []}])[0], fields
