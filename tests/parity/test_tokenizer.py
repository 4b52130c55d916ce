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


def test_whole_numbers_are_scores_too(tmp_path):
    """HF writes -1.0, other writers -1."""
    model = tmp_path / "tokenizer.json"
    vocab = [["<unk>", 0], ["a", -1], ["b", -2], ["ab", -4], ["▁", -3], ["▁a", -5]]
    model.write_text(json.dumps({"version": "1.0", "added_tokens": [], "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, "pre_tokenizer": None,
                                 "post_processor": None, "decoder": None, "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": False}}))
    compare(model, Tokenizer.from_file(str(model)), ["", "a", "ab", "a ab b", "abab  x a", " b"])


@pytest.mark.parametrize("name", ["gpt2", "llama2", "llama3.2", "qwen2.5", "smollm2", "custom-tinylm"])
def test_real_files_equal_hf_on_random_texts(name, need_data, tmp_path):
    source = need_data(f"tokenizers/{name}/tokenizer.json")
    model = tmp_path / "tokenizer.json"
    model.write_bytes(source.read_bytes())
    compare(model, Tokenizer.from_file(str(source)), hostile_texts(3000, zlib.crc32(name.encode())))


SETS = [r"\s", r"\d", r"\w", r"\h", r"[^\s\p{L}\p{N}]", r"[\S]", r"[\W\d]", r"[\p{L}&&[^\p{Han}]]", r"(?i:[ks])", "[a-z一-龥]"] + [
    r"\p{%s}" % name for name in "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Cc Cf Co Han Greek".split()] + [
    r"\p{Punct}"] + [
    "[[:%s:]]" % name for name in "digit upper punct space blank cntrl xdigit word".split()]


@pytest.mark.parametrize("regex", SETS)
def test_regex_sets_agree_on_every_character(regex, tmp_path):
    """Oniguruma's sets over all of Unicode, whatever the version of the regex library that graft runs on."""
    codes = [*range(0xD800), *range(0xE000, 0xE010), *range(0xF8F0, 0x20010), *range(0x2A6D0, 0x32400), *range(0xE0000, 0xE0200), 0x10FFFF]
    points = [chr(code) for code in codes]  # all but the inner parts of the largest uniform ranges
    texts = ["".join(points[i:i + 1024]) for i in range(0, len(points), 1024)]
    content = {"version": "1.0", "added_tokens": [], "normalizer": {"type": "Replace", "pattern": {"Regex": regex}, "content": "\u0001"},
               "pre_tokenizer": {"type": "FixedLength", "length": 1}, "post_processor": None, "decoder": None,
               "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"\u0001": 0, "?": 1}}}
    model = tmp_path / "tokenizer.json"
    model.write_text(json.dumps(content))
    reference = Tokenizer.from_file(str(model))
    wrong = []
    for text, ours in zip(texts, graft_lines(model, [{"text": text} for text in texts]), strict=True):
        theirs = reference.encode(text).ids
        wrong += [f"U+{ord(character):04X}" for character, a, b in zip(text, ours, theirs, strict=True) if a != b]
    assert not wrong, f"{regex}: {len(wrong)} characters differ: {wrong[:20]}"
