"""The Jinja engine and the assistant masks against transformers and jinja2 themselves."""
import datetime
import functools
import json
import os
import pathlib
import subprocess

import pytest

from chat_cases import CONVERSATIONS, GENERATION_TEMPLATES, RICH_CASES, SNIPPETS, VARIABLES
from conftest import GRAFT, ROOT, run_graft

transformers = pytest.importorskip("transformers")
from transformers.utils.chat_template_utils import render_jinja_template  # noqa: E402

CHAT_RENDER = os.environ.get("GRAFT_CHAT_RENDER", str(pathlib.Path(GRAFT).parent / "chat_render"))
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]

assert os.path.exists(CHAT_RENDER), f"{CHAT_RENDER} is not built (target chat_render)"


def ours(lines):
    """What chat_render answers to each line."""
    lines = list(lines)
    process = subprocess.run([CHAT_RENDER], input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True)
    assert process.returncode == 0, f"chat_render ended with {process.returncode}: {process.stderr}"
    answers = [json.loads(line) for line in process.stdout.split("\n")[:-1]]
    assert len(answers) == len(lines)
    return answers


def reference(template, messages, **variables):
    """The text of transformers, or None where it raises."""
    try:
        texts, _ = render_jinja_template(conversations=[messages], chat_template=template, **{**TOKENS, **variables})
        return texts[0]
    except Exception as error:  # noqa: BLE001: templates raise whatever they like
        return error


def test_every_language_feature_renders_as_in_transformers():
    answers = ours({"template": s, "messages": MESSAGES, "special_tokens": TOKENS, "extra": VARIABLES} for s in SNIPPETS)
    wrong = []
    for snippet, answer in zip(SNIPPETS, answers):
        expected = reference(snippet, MESSAGES, **VARIABLES)
        if isinstance(expected, Exception):
            if "error" not in answer:
                wrong.append(f"{snippet!r}\n  transformers: {type(expected).__name__}: {expected}\n  graft:        {answer['text']!r}")
        elif answer.get("text") != expected:
            wrong.append(f"{snippet!r}\n  transformers: {expected!r}\n  graft:        {answer.get('text', answer)!r}")
    print(f"{len(SNIPPETS)} snippets, {len(wrong)} differ")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", GENERATION_TEMPLATES)
@pytest.mark.parametrize("prompt", [False, True])
def test_conversations_render_as_in_transformers(name, prompt):
    template = GENERATION_TEMPLATES[name]
    lines = [{"template": template, "messages": c, "special_tokens": TOKENS, "add_generation_prompt": prompt} for c in CONVERSATIONS]
    for conversation, answer in zip(CONVERSATIONS, ours(lines)):
        kept = [{k: v for k, v in m.items() if v is not None} for m in conversation]  # what apply_chat_template does first
        expected = reference(template, kept, add_generation_prompt=prompt)
        assert ("error" in answer) if isinstance(expected, Exception) else (answer.get("text") == expected), (conversation, answer, expected)


def test_real_templates_with_tools_documents_parts_and_reasoning_render_as_in_transformers(need_data):
    """What the stored golden files leave out. The day is today's in both."""
    templates = sorted(need_data("chat_templates").glob("*.jinja")) + sorted(need_data("tokenizers").glob("*/chat_template_resolved.jinja"))
    today = datetime.date.today().isoformat()
    wrong, texts, refusals = [], 0, 0
    for path in templates:
        lines = [{"template": path.read_text(), "special_tokens": TOKENS, "date": today, **case} for case in RICH_CASES]
        for case, answer in zip(RICH_CASES, ours(lines)):
            kept = [{k: v for k, v in m.items() if v is not None} for m in case["messages"]]
            expected = reference(path.read_text(), kept, tools=case.get("tools"), documents=case.get("documents"),
                                 add_generation_prompt=case.get("add_generation_prompt", False), **case.get("extra", {}))
            refused = isinstance(expected, Exception)
            texts, refusals = texts + (not refused), refusals + refused
            if ("error" in answer) if refused else (answer.get("text") == expected):
                continue
            wrong.append(f"{path}\n  {json.dumps(case)[:300]}\n  transformers: {expected!r}\n  graft:        {answer.get('text', answer)!r}")
    print(f"{len(templates)} templates: {texts} texts, {refusals} refusals, {len(wrong)} differ")
    assert not wrong, "\n".join(wrong)


@functools.lru_cache(maxsize=None)
def tokenizer_in(directory):
    return transformers.AutoTokenizer.from_pretrained(directory)


@pytest.mark.parametrize("tokenizer_name", ["qwen2.5", "smollm2", "llama3.2"])
@pytest.mark.parametrize("name", GENERATION_TEMPLATES)
def test_ids_and_assistant_masks_equal_those_of_transformers(name, tokenizer_name, need_data):
    directory = need_data(f"tokenizers/{tokenizer_name}")
    tokenizer = tokenizer_in(directory)
    tokens = dict(tokenizer.special_tokens_map)
    template = GENERATION_TEMPLATES[name]
    lines = [{"template": template, "messages": c, "special_tokens": tokens, "tokenizer": str(directory), "train_on": "assistant"}
             for c in CONVERSATIONS]
    compared = 0
    for conversation, answer in zip(CONVERSATIONS, ours(lines)):
        try:
            expected = tokenizer.apply_chat_template(conversation, chat_template=template, return_assistant_tokens_mask=True, return_dict=True)
        except Exception as error:  # noqa: BLE001
            assert "error" in answer, (conversation, answer, error)
            continue
        assert "error" not in answer, (conversation, answer)
        assert answer["ids"] == expected["input_ids"], conversation
        mask = [int(label != -100) for label in answer["labels"]]
        assert mask == expected["assistant_masks"], (conversation, answer["text"])
        assert all(label in (-100, token) for label, token in zip(answer["labels"], answer["ids"]))
        compared += 1
    print(f"{name} with {tokenizer_name}: {compared} masks equal")
    assert compared > 0


ADDED = {"__type": "AddedToken", "content": "<i>"}


@pytest.mark.parametrize("config, tokens_map", [
    ({"bos_token": "<s>", "image_token": "<i>", "extra_special_tokens": {"think_token": "<t>"}}, None),
    ({"image_token": ADDED, "model_specific_special_tokens": {"think_token": "<t>"}}, None),
    ({"image_token": "<i>", "model_specific_special_tokens": {"think_token": "<t>"}}, None),
    ({"add_bos_token": True, "image_token": None, "extra_special_tokens": ["<t>"]}, None),
    ({"image_token": "config"}, {"image_token": "map", "think_token": "map", "bos_token": "map"}),
    ({"image_token": "config", "added_tokens_decoder": {}}, {"image_token": "map", "think_token": "map", "bos_token": "map"}),
    ({}, {"extra_special_tokens": {"think_token": "map"}})])
def test_templates_see_the_tokens_that_only_this_model_names(tmp_path, config, tokens_map):
    template = "{{ bos_token }}|{{ image_token }}|{{ think_token }}"
    (tmp_path / "tokenizer.json").write_bytes((ROOT / "recipes/quickstart/base/tokenizer.json").read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template, **config}))
    if tokens_map is not None:
        (tmp_path / "special_tokens_map.json").write_text(json.dumps(tokens_map))
    lines = tmp_path / "lines.jsonl"
    lines.write_text(json.dumps({"messages": MESSAGES}))
    text = run_graft("tokenize", "--model", tmp_path, run_graft("tokenize", "--model", tmp_path, "--file", lines).stdout, "--decode").stdout
    assert json.loads(text) == transformers.AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(MESSAGES, tokenize=False)


PREFIX_EXACT = {name: text.replace("{% generation %}", "").replace("{% endgeneration %}", "") for name, text in GENERATION_TEMPLATES.items()}


@pytest.mark.parametrize("tokenizer_name", ["qwen2.5", "smollm2"])
def test_prefix_differencing_trains_what_a_prompt_completion_split_trains(tokenizer_name, need_data):
    """The oracle splits the text itself: everything behind the rendered prompt, up to the rendered turn's end."""
    directory = need_data(f"tokenizers/{tokenizer_name}")
    tokenizer = tokenizer_in(directory)
    template = PREFIX_EXACT["chatml"]
    conversations = [c for c in CONVERSATIONS if c and all(isinstance(m.get("content"), str) for m in c)]
    lines = [{"template": template, "messages": c, "special_tokens": TOKENS, "tokenizer": str(directory), "train_on": "assistant"}
             for c in conversations]

    def render(messages, prompt):
        return tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=prompt) if messages else (
            "<|im_start|>assistant\n" if prompt else "")

    for conversation, answer in zip(conversations, ours(lines)):
        whole = render(conversation, False)
        encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
        spans = [(len(render(conversation[:i], True)), len(render(conversation[:i + 1], False)))
                 for i, m in enumerate(conversation) if m["role"] == "assistant"]
        mask = [int(any(b < end and e > begin and b < e for begin, end in spans)) for b, e in encoded["offset_mapping"]]
        assert answer["ids"] == encoded["input_ids"]
        assert [int(label != -100) for label in answer["labels"]] == mask, conversation
