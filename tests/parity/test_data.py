"""Samples as `graft data inspect` shows them, against HF tokenizers and transformers' chat templates on real tokenizers.

The oracle is written from the definitions: prompt + completion encoded as one text, a token trained on when it begins in the
completion, end-of-sequence appended; conversations through apply_chat_template. It shares no code with graft.
"""
import itertools
import json

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from conftest import graft_json

ROWS = 24


@pytest.fixture
def model(need_data, tmp_path, request):
    """A model directory with a real tokenizer: a small Llama's config.json with that tokenizer's vocabulary."""
    tokenizer = need_data(f"tokenizers/{request.param}")
    config = json.loads(need_data("stories260k/config.json").read_text())
    config["vocab_size"] = Tokenizer.from_file(str(tokenizer / "tokenizer.json")).get_vocab_size()
    config["max_position_embeddings"] = 100000
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config))
    for file in tokenizer.iterdir():
        if file.name.startswith(("tokenizer", "special_tokens", "chat_template.", "added_tokens")):
            (directory / file.name).write_bytes(file.read_bytes())
    return directory


def inspect(model, rows, data_format, tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"schema: 1\noutput_dir: {tmp_path}/run\nmodel: {{path: {model}, max_length: 100000}}\n"
        f"data: {{train: [{{path: {data}, format: {data_format}}}], cache: none}}\n"
        "batch: {sequences_per_step: 1, micro_sequences: 1}\ntrain: {steps: 1}\n")
    shown = graft_json("data", "inspect", recipe, "--limit", len(rows))["samples"]
    assert len(shown) == len(rows)
    return shown


def gsm8k(need_data):
    lines = need_data("gsm8k/test.jsonl").read_text().splitlines()[:ROWS]
    return [json.loads(line) for line in lines]


def eos_id(model):
    config = json.loads((model / "tokenizer_config.json").read_text())
    token = config["eos_token"]
    return Tokenizer.from_file(str(model / "tokenizer.json")).token_to_id(token if isinstance(token, str) else token["content"])


def require_equal(sample, ids, trained):
    """trained[t]: position t carries loss; the first position never does."""
    assert sample["ids"] == ids
    assert sample["labels"] == [i if t and at else -100 for at, (i, t) in enumerate(zip(ids, trained))]
    assert sample["position_ids"] == list(range(len(ids)))
    assert sample["document_ids"] == [0] * len(ids)


# llama2 is left out: its decoder-style prefix gives offsets whose bytes HF counts in the normalised text.
@pytest.mark.parametrize("model", ["qwen2.5", "llama3.2", "smollm2"], indirect=True)
def test_prompt_completion_masks_by_where_a_token_begins(model, need_data, tmp_path):
    joints = itertools.cycle(["", " ", "\n", "é"])  # what stands at the border decides which token straddles it
    rows = [{"prompt": row["question"] + next(joints), "completion": row["answer"]} for row in gsm8k(need_data)]
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    for sample, row in zip(inspect(model, rows, "prompt_completion", tmp_path), rows):
        encoding = tokenizer.encode(row["prompt"] + row["completion"])
        trained = [not special and begin >= len(row["prompt"]) for (begin, _), special in zip(encoding.offsets, encoding.special_tokens_mask)]
        require_equal(sample, encoding.ids + [eos_id(model)], trained + [True])


@pytest.mark.parametrize("model", ["qwen2.5", "llama2", "llama3.2", "smollm2"], indirect=True)
def test_text_is_trained_on_whole_with_end_of_sequence(model, need_data, tmp_path):
    rows = [{"text": row["question"], "id": number} for number, row in enumerate(gsm8k(need_data))]
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    for sample, row in zip(inspect(model, rows, "text", tmp_path), rows):
        ids = tokenizer.encode(row["text"]).ids + [eos_id(model)]
        require_equal(sample, ids, [True] * len(ids))


def conversation_ids(model, messages):
    tokenizer = AutoTokenizer.from_pretrained(model)
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    return Tokenizer.from_file(str(model / "tokenizer.json")).encode(text, add_special_tokens=False).ids, text


@pytest.mark.parametrize("model", ["qwen2.5", "smollm2"], indirect=True)
def test_alpaca_and_sharegpt_become_the_conversations_they_stand_for(model, need_data, tmp_path):
    rows = json.loads(need_data("instruct/alpaca_en_demo.json").read_text())[:ROWS]
    chats = [[{"role": "user", "content": row["instruction"] + ("\n" + row["input"] if row["input"] else "")},
              {"role": "assistant", "content": row["output"]}] for row in rows]
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    sharegpt = [{"conversations": [{"from": {"user": "human", "assistant": "gpt"}[m["role"]], "value": m["content"]} for m in chat]} for chat in chats]
    pairs = [{"prompt": chat[:1], "completion": chat[1:]} for chat in chats]
    parts = [{"messages": [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in chat]} for chat in chats]
    for data_format, spelled in (("alpaca", rows), ("sharegpt", sharegpt), ("prompt_completion", pairs), ("messages", parts)):
        for sample, chat in zip(inspect(model, spelled, data_format, tmp_path), chats):
            ids, _ = conversation_ids(model, chat)
            assert sample["ids"] == ids, data_format
            trained = tokenizer.decode([label for label in sample["labels"] if label >= 0], skip_special_tokens=True).strip()
            assert trained == chat[1]["content"].strip(), data_format
            spans = [kind for kind, _ in itertools.groupby(label >= 0 for label in sample["labels"])]
            assert spans.count(True) == 1, data_format
