"""Generated tokens equal transformers' generate(), greedily and from the same prompt; sampling is reproducible and stays in the nucleus."""
import json
import shutil

import pytest
import torch

from conftest import graft_json, run_graft
from model_variants import make_model, save

# Windows, scaling that grows with the length, per-head norms, a tied head: everything that treats a cached position in its own way.
GREEDY = ["llama_gqa", "llama_tied", "llama_dynamic", "llama_llama3", "llama_yarn", "mistral_window", "ministral", "qwen2_window", "qwen3", "qwen3_window"]
NEW_TOKENS = 90


@pytest.fixture
def tokenizer_files(need_data):
    return need_data("stories260k")


def add_tokenizer(source, directory):
    """Any tokenizer will do where prompts are given as tokens: the text is not looked at."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, directory / name)


def generate_lines(directory, lines, tmp_path, *options):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    process = run_graft("generate", "--model", directory, "--input", path, "--device", "cpu", "--json", *options)
    return [json.loads(line) for line in process.stdout.splitlines()]


def margin(model, ids):
    """How far apart the two best logits are at their closest along a text: below 1e-4, rounding decides and no comparison is fair."""
    best = model(ids[None]).logits[0].topk(2).values
    return (best[:, 0] - best[:, 1]).min().item()


@pytest.mark.parametrize("name", GREEDY)
@torch.no_grad()
def test_greedy_tokens_equal_transformers(name, tmp_path, tokenizer_files):
    model = make_model(name)
    model.generation_config.eos_token_id = None
    directory = save(model, tmp_path / "model", 5)
    add_tokenizer(tokenizer_files, directory)
    generator = torch.Generator().manual_seed(11)
    prompts = [torch.randint(3, 131, (length,), generator=generator) for length in (1, 7, 40)]
    config = json.loads((directory / "config.json").read_text())
    config["eos_token_id"] = None
    (directory / "config.json").write_text(json.dumps(config))
    ours = generate_lines(directory, [{"tokens": ids.tolist()} for ids in prompts], tmp_path, "--max-new-tokens", NEW_TOKENS)
    for ids, result in zip(prompts, ours):
        fresh = make_model(name)  # a model with dynamic scaling remembers longer texts
        fresh.generation_config.eos_token_id = None
        expected = fresh.generate(ids[None], attention_mask=torch.ones_like(ids)[None], max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0)[0]
        assert result["prompt_tokens"] == len(ids) and result["finish_reason"] == "length"
        if result["tokens"] != expected[len(ids):].tolist():
            assert margin(make_model(name), expected) < 1e-4, "tokens differ where the choice is clear"


def test_the_pretrained_model_tells_its_recorded_story(need_data):
    directory = need_data("stories260k")
    recorded = json.loads((directory / "greedy_expected.json").read_text())
    count = len(recorded["greedy_ids"]) - len(recorded["prompt_ids"])
    result = graft_json("generate", "--model", directory, "--prompt", recorded["prompt"], "--max-new-tokens", count, "--device", "cpu")
    assert result["tokens"] == recorded["greedy_ids"][len(recorded["prompt_ids"]):]
    assert recorded["prompt"] + result["text"] == recorded["greedy_text"]
    assert result["prompt_tokens"] == len(recorded["prompt_ids"]) and result["finish_reason"] == "length"
    plain = run_graft("generate", "--model", directory, "--prompt", recorded["prompt"], "--max-new-tokens", count)
    assert plain.stdout == result["text"] + "\n"


def test_generation_stops_at_any_end_token_of_generation_config(need_data, tmp_path):
    source = need_data("stories260k")
    directory = tmp_path / "model"
    shutil.copytree(source, directory, copy_function=shutil.copy)
    directory.chmod(0o755)
    recorded = json.loads((source / "greedy_expected.json").read_text())
    continuation = recorded["greedy_ids"][len(recorded["prompt_ids"]):]
    end = continuation[9]
    (directory / "generation_config.json").unlink()
    (directory / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, end]}))
    result = graft_json("generate", "--model", directory, "--prompt", recorded["prompt"], "--max-new-tokens", 50)
    assert result["finish_reason"] == "stop"
    assert result["tokens"] == continuation[: continuation.index(end) + 1]


def test_sampling_is_a_function_of_the_seed_and_stays_in_the_nucleus(need_data, tmp_path):
    directory = need_data("stories260k")
    lines = [{"prompt": "Once upon a time"}, {"text": "Lily"}]

    def run(seed, top_p, temperature=1.0):
        return [r["tokens"] for r in generate_lines(directory, lines, tmp_path, "--seed", seed, "--top-p", top_p, "--temperature", temperature, "--max-new-tokens", 30)]

    assert run(1, 0.9) == run(1, 0.9)
    assert run(1, 0.9) != run(2, 0.9)
    greedy = [r["tokens"] for r in generate_lines(directory, lines, tmp_path, "--max-new-tokens", 30)]
    assert run(3, 1e-9) == greedy  # a nucleus of one token


@torch.no_grad()
def test_sampled_frequencies_follow_the_model(tmp_path, tokenizer_files):
    model = make_model("llama_gqa")
    directory = save(model, tmp_path / "model", 5)
    add_tokenizer(tokenizer_files, directory)
    count, prompt = 1500, [5, 9, 4]
    results = generate_lines(directory, [{"tokens": prompt}] * count, tmp_path, "--temperature", 0.7, "--top-p", 0.8, "--max-new-tokens", 1)
    probabilities = (model(torch.tensor([prompt])).logits[0, -1] / 0.7).softmax(-1)
    order = probabilities.argsort(descending=True)
    kept = order[: int((probabilities[order].cumsum(0) < 0.8).sum()) + 1]
    drawn = torch.bincount(torch.tensor([r["tokens"][0] for r in results]), minlength=131).double() / count
    assert set(drawn.nonzero()[:, 0].tolist()) <= set(kept.tolist())
    expected = torch.zeros(131, dtype=torch.double)
    expected[kept] = (probabilities[kept] / probabilities[kept].sum()).double()
    # Five standard deviations of a binomial share.
    assert ((drawn - expected).abs() <= 5 * (expected * (1 - expected) / count).sqrt() + 1e-9).all()


def test_a_chat_is_rendered_with_the_models_template(need_data, tmp_path):
    source = need_data("stories260k")
    directory = tmp_path / "model"
    shutil.copytree(source, directory, copy_function=shutil.copy)
    directory.chmod(0o755)
    (directory / "chat_template.jinja").write_text("{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %} a time{% endif %}")
    chat = tmp_path / "chat.json"
    chat.write_text(json.dumps([{"role": "user", "content": "Once upon"}]))
    recorded = json.loads((source / "greedy_expected.json").read_text())
    result = graft_json("generate", "--model", directory, "--chat", chat, "--max-new-tokens", 20)
    assert result["tokens"] == recorded["greedy_ids"][len(recorded["prompt_ids"]):][:20]


@pytest.mark.parametrize("line, message", [({"tokens": []}, "no tokens"), ({"tokens": [600]}, "600"), ({"tokens": [1] * 513}, "512"), ({"prompt": 3}, "prompt")])
def test_a_prompt_that_cannot_be_continued_is_an_error_and_prints_nothing(line, message, need_data, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps({"tokens": [1]}) + "\n" + json.dumps(line) + "\n")
    process = run_graft("generate", "--model", need_data("stories260k"), "--input", path, "--json", check=False)
    assert process.returncode == 65 and message in process.stderr and "prompts.jsonl:2" in process.stderr
    assert process.stdout == ""


def test_a_gpu_that_is_not_there_is_a_usage_error(need_data):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    process = run_graft("generate", "--model", need_data("stories260k"), "--prompt", "x", "--device", "cuda", check=False)
    assert process.returncode == 64 and "cuda" in process.stderr
