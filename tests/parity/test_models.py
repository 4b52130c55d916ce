"""Logits of graft equal transformers' own, for every family and variant, in both config layouts and both dtypes."""
import json

import pytest
import torch
from safetensors.torch import load_file

from conftest import run_graft
from model_variants import VARIANTS, make_model, save

# One position, around every window and scaling boundary of the variants, and past all of them.
LENGTHS = [1, 2, 3, 8, 9, 15, 16, 17, 24, 25, 40, 63, 64, 65, 66, 100, 129, 200]
# fp32 sums of 48 to 88 terms in another order, three layers deep: a few 1e-6 of logits up to about 10.
FP32_TOLERANCE = 1e-4
# Both round to bf16 at the same places except inside attention; the larger of two maxima over ~1e5 logits may lie this far above.
BF16_RATIO = 1.5

worst = {}


@pytest.fixture(scope="module", autouse=True)
def table():
    yield
    print("\nworst |Δ logit| to transformers (fp32; layouts 5 and 4), bf16 error of graft and of transformers, largest |logit|")
    for name, row in worst.items():
        print(f"  {name:22s} {row['fp32_5']:.1e}  {row['fp32_4']:.1e}   {row['bf16']:.3f} {row['bf16_transformers']:.3f}   {row['size']:.1f}")


def sequences(vocabulary):
    generator = torch.Generator().manual_seed(7)
    return [torch.randint(0, vocabulary, (length,), generator=generator) for length in LENGTHS]


def graft_logits(model, inputs, directory, *options):
    lines, output = directory / "input.jsonl", directory / "scores.safetensors"
    lines.write_text("".join(json.dumps({"tokens": ids.tolist()}) + "\n" for ids in inputs))
    run_graft("score", "--model", model, "--input", lines, "--output", output, "--logits", "--device", "cpu", *options)
    scores = load_file(output)
    return [scores[f"logits.{i}"] for i in range(len(inputs))], scores


@torch.no_grad()
def transformers_logits(model, inputs):
    # Increasing lengths: with dynamic scaling a transformers model remembers the longest sequence so far.
    return [model(ids[None], use_cache=False).logits[0].float() for ids in inputs]


def worst_difference(ours, theirs):
    assert all(a.shape == b.shape for a, b in zip(ours, theirs))
    return max((a - b).abs().max().item() for a, b in zip(ours, theirs))


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_equal_transformers(name, tmp_path):
    model = make_model(name)
    inputs = sequences(model.config.vocab_size)
    expected = transformers_logits(model, inputs)
    row = worst[name] = {"size": max(logits.abs().max().item() for logits in expected)}
    for layout in (5, 4):
        directory = save(model, tmp_path / f"layout{layout}", layout)
        logits, scores = graft_logits(directory, inputs, tmp_path)
        row[f"fp32_{layout}"] = worst_difference(logits, expected)
        assert row[f"fp32_{layout}"] <= FP32_TOLERANCE
    check_log_probabilities(scores, expected, inputs)

    half, _ = graft_logits(directory, inputs, tmp_path, "--dtype", "bfloat16")
    row["bf16"] = worst_difference(half, expected)
    row["bf16_transformers"] = worst_difference(transformers_logits(model.bfloat16(), inputs), expected)
    assert row["bf16"] <= BF16_RATIO * row["bf16_transformers"]


def check_log_probabilities(scores, expected, inputs):
    for i, (logits, ids) in enumerate(zip(expected, inputs)):
        assert torch.equal(scores[f"tokens.{i}"], ids)
        reference = logits[:-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0]
        assert scores[f"logprobs.{i}"].shape == reference.shape
        assert torch.allclose(scores[f"logprobs.{i}"], reference, atol=FP32_TOLERANCE, rtol=0)


def test_the_pretrained_model_gives_its_recorded_logits(need_data, tmp_path):
    directory = need_data("stories260k")
    recorded = load_file(directory / "logits_expected.safetensors")
    inputs = [recorded[f"ids{i}"].long() for i in range(3)]
    logits, _ = graft_logits(directory, inputs, tmp_path)
    assert worst_difference(logits, [recorded[f"logits{i}"] for i in range(3)]) <= FP32_TOLERANCE


def test_texts_are_encoded_like_the_recorded_ones(need_data, tmp_path):
    directory = need_data("stories260k")
    samples = json.loads((directory / "logits_expected.json").read_text())
    lines, output = tmp_path / "input.jsonl", tmp_path / "scores.safetensors"
    lines.write_text("".join(json.dumps({"text": sample["text"]}) + "\n" for sample in samples))
    run_graft("score", "--model", directory, "--input", lines, "--output", output)
    scores = load_file(output)
    for i, sample in enumerate(samples):
        assert scores[f"tokens.{i}"].tolist() == sample["ids"]
        assert abs(-scores[f"logprobs.{i}"].mean().item() - sample["loss"]) < FP32_TOLERANCE


def test_empty_and_single_token_lines_have_no_log_probabilities(tmp_path):
    directory = save(make_model("llama_gqa"), tmp_path / "model", 5)
    _, scores = graft_logits(directory, [torch.tensor([5]), torch.tensor([], dtype=torch.long)], tmp_path)
    assert scores["logprobs.0"].shape == (0,) and scores["logprobs.1"].shape == (0,)
    assert scores["logits.0"].shape == (1, 131) and scores["logits.1"].shape == (0, 131)


def edit_config(directory, **changes):
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config.update(changes)
    path.write_text(json.dumps({key: value for key, value in config.items() if value != "REMOVED"}))


@pytest.mark.parametrize("changes, message", [
    (dict(model_type="llama4"), "llama"),
    (dict(model_type="qwen3_moe"), "qwen3"),
    (dict(attn_logit_softcapping=50.0), "attn_logit_softcapping"),
    (dict(embedding_multiplier=12.0), "embedding_multiplier"),
    (dict(partial_rotary_factor=0.5), "partial_rotary_factor"),
    (dict(hidden_act="gelu"), "silu"),
    (dict(sliding_window=8), "sliding_window"),
    (dict(rope_parameters=dict(rope_type="longrope", rope_theta=1e4, factor=2.0)), "longrope"),
    (dict(quantization_config=dict(quant_method="bitsandbytes", load_in_4bit=True)), "quantized"),
    (dict(vocab_size=2**40), "vocab_size"),
    (dict(vocab_size=-1), "vocab_size"),
    (dict(vocab_size=60_000_000, hidden_size=1_000_002), "embed_tokens"),
    (dict(num_hidden_layers=10**9), "num_hidden_layers"),
    (dict(num_attention_heads=0), "num_attention_heads"),
    (dict(num_attention_heads=5), "num_attention_heads"),
    (dict(num_key_value_heads=4), "num_key_value_heads"),
    (dict(head_dim=7), "head_dim"),
    (dict(hidden_size="REMOVED"), "hidden_size"),
    (dict(hidden_size="48"), "hidden_size"),
    (dict(rms_norm_eps="tiny"), "rms_norm_eps"),
    (dict(num_hidden_layers=4), "model.layers.3.self_attn.q_proj.weight"),
    (dict(num_hidden_layers=2), "model.layers.2."),
    (dict(attention_bias=True), "q_proj.bias"),
    (dict(vocab_size=132), "[131, 48]"),
])
def test_a_config_that_is_not_understood_is_an_error_that_names_the_key(changes, message, tmp_path):
    directory = save(make_model("llama_gqa"), tmp_path / "model", 5)
    edit_config(directory, **changes)
    (tmp_path / "input.jsonl").write_text('{"tokens":[1,2,3]}\n')
    process = run_graft("score", "--model", directory, "--input", tmp_path / "input.jsonl", "--output", tmp_path / "out", check=False)
    assert process.returncode == 65, process.stderr
    assert message in process.stderr and process.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("changes", [
    dict(_name_or_path="somewhere", use_cache=False, pretraining_tp=2, auto_map={"AutoModel": "x.Y"}, unsloth_version="2024.9", rope_interleaved=False,
         temperature=0.7, id2label={"0": "a"}, attention_dropout=0.1, is_llama_config=True),
])
def test_harmless_keys_of_real_configs_are_accepted(changes, tmp_path):
    directory = save(make_model("llama_gqa"), tmp_path / "model", 4)
    edit_config(directory, **changes)
    graft_logits(directory, [torch.tensor([1, 2, 3])], tmp_path)


@pytest.mark.parametrize("line, message", [
    ('{"tokens":[1,131]}', "131"),
    ('{"tokens":[-1]}', "-1"),
    ('{"tokens":"x"}', "tokens"),
    ('{"tokens":[1.5]}', "1.5"),
    ("[1,2]", "object"),
    ("{", "input.jsonl:2"),
    ('{"other":1}', "messages"),
])
def test_a_bad_line_is_named_by_file_and_line(line, message, tmp_path):
    directory = save(make_model("llama_gqa"), tmp_path / "model", 5)
    (tmp_path / "input.jsonl").write_text('{"tokens":[1,2,3]}\n' + line + "\n")
    process = run_graft("score", "--model", directory, "--input", tmp_path / "input.jsonl", "--output", tmp_path / "out", check=False)
    assert process.returncode == 65 and message in process.stderr and "input.jsonl:2" in process.stderr
    assert not (tmp_path / "out").exists()
