"""Which chat template a command uses, and what is read as a conversation at all."""
import json
import shutil

import pytest
from conftest import BASE
from graft_cli import ROOT, graft_json, run_graft

EVAL = ROOT / "recipes/quickstart/acorn_eval.jsonl"
OWN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"


def model_with(directory, template=None, processor=None, **config):
    """The embedded base with its template replaced."""
    shutil.copytree(BASE, directory)
    (directory / "chat_template.jinja").unlink()
    if template is not None:
        (directory / "chat_template.jinja").write_text(template)
    if processor is not None:
        (directory / "chat_template.json").write_text(json.dumps({"chat_template": processor}))
    path = directory / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return directory


def scored_tokens(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8:8 + size])["tokens.0"]["data_offsets"]
    return [int.from_bytes(data[8 + size + i:16 + size + i], "little") for i in range(begin, end, 8)]


def test_an_adapter_is_used_with_the_template_it_was_trained_with(recipe, tmp_path):
    own = tmp_path / "own.jinja"
    own.write_text(OWN)
    data = {"train": [{"path": str(EVAL), "format": "messages"}], "template": f"file:{own}", "cache": "none"}
    run_graft("train", recipe(data=data), "train.steps=1")
    adapter = tmp_path / "run/adapter"
    bare = shutil.copytree(adapter, tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    twin = model_with(tmp_path / "twin", template=OWN)  # the same weights under a model that has this template

    lines, chat = tmp_path / "lines.jsonl", tmp_path / "chat.json"
    messages = [{"role": "user", "content": "Who are you?"}]
    lines.write_text(json.dumps({"messages": messages}))
    chat.write_text(json.dumps(messages))
    run_graft("score", "--model", BASE, "--adapter", adapter, "--input", lines, "--output", tmp_path / "score.safetensors")
    assert scored_tokens(tmp_path / "score.safetensors") == json.loads(run_graft("tokenize", "--model", twin, "--file", lines).stdout)
    for command in (("generate", "--chat", chat, "--max-new-tokens", 4), ("eval", "--data", EVAL)):
        with_own, expected = (graft_json(*command, "--model", m, "--adapter", a, "--dtype", "float32") for m, a in ((BASE, adapter), (twin, bare)))
        assert with_own == expected
        assert with_own != graft_json(*command, "--model", BASE, "--adapter", bare, "--dtype", "float32")


def test_a_template_that_is_null_is_none(recipe, tmp_path):
    rows = {"text": {"text": "Hello there."}, "alpaca": {"instruction": "Say it.", "output": "It."}, "prompt_completion": {"prompt": "a", "completion": "b"}}
    model = model_with(tmp_path / "model", chat_template=None)
    for name, row in rows.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text(json.dumps(row) + "\n")
        run_graft("plan", recipe(model={"path": str(model), "dtype": "fp32"}, data={"train": [{"path": str(path), "format": name}], "cache": "none"}))
        assert graft_json("eval", "--model", model, "--data", path)["samples"] == 1
    refused = run_graft("eval", "--model", model, "--data", EVAL, check=False)
    assert refused.returncode != 0 and "needs a chat template" in refused.stderr


@pytest.mark.parametrize("place", ["template", "processor"])
def test_alpaca_is_written_through_any_template_of_the_model(recipe, tmp_path, place):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"instruction": "Say it.", "output": "It."}) + "\n")
    model = model_with(tmp_path / "model", **{place: OWN})
    document = graft_json("data", "inspect", recipe(model={"path": str(model)}, data={"train": [{"path": str(path), "format": "alpaca"}], "cache": "none"}))
    ids = json.dumps(document["samples"][0]["ids"])
    assert "[user]Say it." in json.loads(run_graft("tokenize", "--model", model, "--decode", ids).stdout)


def test_a_text_run_does_not_read_the_template(recipe, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "Hello there."}) + "\n")
    model = model_with(tmp_path / "model", template="{% broken")
    run_graft("plan", recipe(model={"path": str(model)}, data={"train": [{"path": str(path), "format": "text"}], "cache": "none"}))


def test_eval_recognises_what_train_reads(tmp_path):
    lines = EVAL.read_text().splitlines()[:3]
    (tmp_path / "lines.json").write_text("\n".join(lines))
    (tmp_path / "array.json").write_text("[" + ",".join(lines) + "]")
    found = [graft_json("eval", "--model", BASE, "--data", tmp_path / name) for name in ("lines.json", "array.json")]
    assert found[0] == found[1] and found[0]["samples"] == 3
