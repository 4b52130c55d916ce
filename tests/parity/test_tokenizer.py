"""Ids and decoded text equal HF tokenizers' for every family's layout, on hostile texts, through `graft tokenize`."""
import json
import random
import zlib

import pytest
from conftest import run_graft
from tokenizer_families import FAMILIES, hostile_texts
from tokenizers import Tokenizer


def graft_lines(model, lines, *options):
    """One value per line of input. The lines go through a file: they hold NUL and every kind of line separator."""
    path = model.with_name("lines.jsonl")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    output = run_graft("tokenize", "--model", model, "--file", path, *options).stdout
    return [json.loads(line) for line in output.rstrip("\n").split("\n")]


def first_difference(texts, got, expected):
    for text, ours, theirs in zip(texts, got, expected, strict=True):
        if ours != theirs:
            return f"{text!r}\n  graft {ours!r}\n  HF    {theirs!r}"
    return None


def compare(model, reference, texts):
    wrapped = [{"text": text} for text in texts]
    for options, special in (((), True), (("--no-special",), False)):
        expected = [reference.encode(text, add_special_tokens=special).ids for text in texts]
        difference = first_difference(texts, graft_lines(model, wrapped, *options), expected)
        assert difference is None, difference
    ids = [reference.encode(text).ids for text in texts]
    rng = random.Random(7)
    ids += [[rng.randrange(reference.get_vocab_size()) for _ in range(rng.randrange(1, 12))] for _ in range(300)]
    known = [[token for token in line if reference.id_to_token(token) is not None] for line in ids]
    known = [line for line in known if line]  # HF's BPEDecoder panics on nothing at all
    difference = first_difference(known, graft_lines(model, known, "--decode"), [reference.decode(line, skip_special_tokens=False) for line in known])
    assert difference is None, difference


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_and_decoded_text_equal_hf(family, tmp_path):
    reference = FAMILIES[family]()
    model = tmp_path / "tokenizer.json"
    reference.save(str(model))
    reference = Tokenizer.from_file(str(model))
    compare(model, reference, hostile_texts(1500, zlib.crc32(family.encode())))


@pytest.mark.parametrize("name", ["gpt2", "llama2", "llama3.2", "qwen2.5", "smollm2", "custom-tinylm"])
def test_real_files_equal_hf_on_random_texts(name, need_data, tmp_path):
    source = need_data(f"tokenizers/{name}/tokenizer.json")
    model = tmp_path / "tokenizer.json"
    model.write_bytes(source.read_bytes())
    compare(model, Tokenizer.from_file(str(source)), hostile_texts(3000, zlib.crc32(name.encode())))


def test_regex_classes_agree_on_every_character(tmp_path):
    """Each set of Oniguruma's that patterns use, over all of Unicode, whatever the version of the regex library."""
    names = [r"\s", r"\d", r"\w", r"\h"] + [r"\p{%s}" % name for name in "L Lu Ll Lt Lm Lo M Mn Mc N Nd Nl No P Pc Pd Ps Po S Sm Sc So Z Cc Cf Han".split()]
    texts = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for name in names:
        content = {"version": "1.0", "added_tokens": [], "normalizer": {"type": "Replace", "pattern": {"Regex": name}, "content": "m"},
                   "pre_tokenizer": None, "post_processor": None, "decoder": None,
                   "model": {"type": "WordLevel", "unk_token": "n", "vocab": {"m": 0, "n": 1}}}
        model = tmp_path / "tokenizer.json"
        model.write_text(json.dumps(content))
        reference = Tokenizer.from_file(str(model))
        expected = [reference.encode(text).ids for text in texts]
        difference = first_difference(texts, graft_lines(model, [{"text": text} for text in texts]), expected)
        assert difference is None, f"{name}: {difference}"
