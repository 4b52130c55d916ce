"""Small tokenizers in the layouts of the model families, made by HF tokenizers' own trainers, and hostile texts."""
import json
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "The quick brown fox jumps over the lazy dog. It's 12345 o'clock, isn't it? We'll see; they've said I'm right, you'd agree.",
    "    def hostile(text):\n\t\treturn [token for token in text.split() if token != '<s>']\r\n\r\n",
    "Größe naïve café résumé Ångström coöperate — “quoted” … élève déjà-vu ÉCOLE ÀÉÎÕÜ",
    "Привет мир, как дела? Съешь ещё этих мягких французских булок. ΑΒΓΔ αβγδ Ελληνικά κείμενα",
    "你好，世界！今天天气很好。東京タワーとスカイツリー ひらがな カタカナ 한국어 텍스트 예제 안녕하세요",
    "مرحبا بالعالم ٠١٢٣٤٥ שלום עולם हिन्दी में पाठ १२३ ไทยภาษา தமிழ் မြန်မာ",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪🇫🇷 ☃️ ✈ ½ ² ³ Ⅷ ① 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ﬁne ﬂow Ǆ ǅ ǆ",
    "SELECT * FROM users WHERE id >= 100 AND name <> 'x'; -- comment\n#include <vector>\nint main() { return 0; }",
    "https://example.com/path?query=value&other=1#fragment user@example.org 192.168.0.1 3.14159 1,000,000",
    "CamelCaseHTTPServer snake_case_name SCREAMING_CASE iPhone McDonald xUnit aBcDeF", "aaaa aaaa bbbb abab cccc dddd  eeee   ffff    gggg",
] * 4

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
KIMI = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level(pre_tokenizer, normalizer=None, special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"), size=900, **flags):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=list(special), show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return with_flags(tokenizer, **flags)


def with_flags(tokenizer, **flags):
    """The tokenizer with members of its model changed in the JSON."""
    content = json.loads(tokenizer.to_str())
    content["model"].update(flags)
    return Tokenizer.from_str(json.dumps(content))


def split(regex):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def sentencepiece(normalizer, pre_tokenizer, size=1100, bytes_complete=True, **flags):
    """Llama-2-like: byte fallback, <unk> <s> </s> first."""
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)] if bytes_complete else ["<0x0A>", "<0xE2>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.Split("▁", "merged_with_next")  # words to learn from
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>", "<s>", "</s>"] + byte_tokens, limit_alphabet=220, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = content["added_tokens"][:3]
    content["model"].update({"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"} | flags)
    if pre_tokenizer is None:
        content["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer


LEGACY = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def normalized_specials(tokenizer):
    content = json.loads(tokenizer.to_str())
    for token in content["added_tokens"]:
        token["normalized"] = True
    return Tokenizer.from_str(json.dumps(content))


def phi3():
    tokenizer = sentencepiece(LEGACY, None)
    for name in ("<|endoftext|>", "<|assistant|>", "<|end|>", "<|user|>"):
        tokenizer.add_special_tokens([AddedToken(name, rstrip=True, normalized=False, special=True)])
    return tokenizer


def phi4():
    tokenizer = byte_level(split(CL100K), special=("<|endoftext|>",))
    for name in ("<|im_start|>", "<|im_sep|>", "<|im_end|>"):
        tokenizer.add_special_tokens([AddedToken(name, lstrip=True, rstrip=True, normalized=False, special=True)])
    return tokenizer


def gemma():
    tokenizer = sentencepiece(normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ("\n", "\n\n", "\n\n\n", "▁▁", "▁▁▁▁", "<start_of_turn>", "<end_of_turn>")])
    return tokenizer


def odd_added_tokens():
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.Lowercase())
    tokenizer.add_tokens([AddedToken("Hello", single_word=True), AddedToken("[DAY]", normalized=True, lstrip=True), AddedToken("ab", normalized=False),
                          AddedToken("abab", normalized=False), AddedToken(" mid ", normalized=False), AddedToken("é", normalized=True)])
    return tokenizer


def unigram(byte_fallback=False):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<unk>", "<pad>", "</s>"] + ([f"<0x{byte:02X}>" for byte in range(256)] if byte_fallback else [])
    tokenizer.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=700, special_tokens=special, unk_token="<unk>", show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)])
    return with_flags(tokenizer, byte_fallback=byte_fallback)


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=700, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def word_level(pre_tokenizer):
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(CORPUS, trainers.WordLevelTrainer(special_tokens=["[UNK]"], show_progress=False))
    return tokenizer


def classic_bpe():
    """The original BPE of subword-nmt: an end-of-word suffix, a lower-casing normalizer."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False))
    return tokenizer


def prefixed_bpe():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous")])
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>"], continuing_subword_prefix="##", limit_alphabet=80, show_progress=False))
    return tokenizer


def split_zoo(behavior, invert):
    parts = [pre_tokenizers.Split(Regex(r"[aeiou]|\d+"), behavior, invert), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    return byte_level(pre_tokenizers.Sequence(parts))


def words_beyond_merges():
    """Tokens that no merge makes, in a text that nothing splits: with ignore_merges they count for a whole piece only."""
    tokenizer = Tokenizer(models.BPE(vocab={"▁": 0, "a": 1, "b": 2, "▁ab": 3, "▁the": 4, "<unk>": 5}, merges=[], unk_token="<unk>", ignore_merges=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Replace("▁", " ")
    return tokenizer


FAMILIES = {
    "gpt2": lambda: byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "gpt2_prefix_space": lambda: byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "smollm": lambda: byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)])),
    "digits_contiguous": lambda: byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(False), pre_tokenizers.ByteLevel(add_prefix_space=True)])),
    "llama3": lambda: byte_level(split(LLAMA3), ignore_merges=True),
    "qwen": lambda: byte_level(split(QWEN), normalizers.NFC()),
    "tekken": lambda: byte_level(split(TEKKEN), ignore_merges=True),
    "o200k": lambda: byte_level(split(O200K)),
    "cl100k": lambda: byte_level(split(CL100K)),
    "deepseek": lambda: byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"), pre_tokenizers.Split(Regex("[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
        pre_tokenizers.Split(Regex(DEEPSEEK), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])),
    "kimi": lambda: byte_level(split(KIMI)),
    "nfd": lambda: byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.NFD()),
    "nfkc": lambda: byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True), normalizers.NFKC()),
    "nfkd": lambda: byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.NFKD()),
    "byte_level_normalizer": lambda: byte_level(pre_tokenizers.Split(Regex("Ġ|Ċ"), "merged_with_next"), normalizers.ByteLevel()),
    "byte_level_then_split": lambda: byte_level(pre_tokenizers.Sequence([pre_tokenizers.ByteLevel(add_prefix_space=True), pre_tokenizers.Split("Ġ", "isolated")])),
    "llama2_legacy": lambda: sentencepiece(LEGACY, None),
    "llama2_legacy_normalized_specials": lambda: normalized_specials(sentencepiece(LEGACY, None)),
    "llama2_metaspace_first": lambda: sentencepiece(None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False)),
    "llama2_metaspace_always": lambda: sentencepiece(None, pre_tokenizers.Metaspace(prepend_scheme="always", split=True)),
    "llama2_metaspace_never": lambda: sentencepiece(None, pre_tokenizers.Metaspace(prepend_scheme="never", split=True)),
    "metaspace_first_after_normalizer": lambda: sentencepiece(normalizers.NFKC(), pre_tokenizers.Metaspace(prepend_scheme="first", split=True)),
    "unknown_not_fused": lambda: sentencepiece(LEGACY, None, byte_fallback=False, fuse_unk=False),
    "unknown_fused": lambda: sentencepiece(LEGACY, None, byte_fallback=False, fuse_unk=True),
    "unknown_vanishes": lambda: sentencepiece(LEGACY, None, byte_fallback=False, unk_token=None),
    "bytes_incomplete": lambda: sentencepiece(LEGACY, None, bytes_complete=False),
    "llama2_ignore_merges": lambda: sentencepiece(LEGACY, None, ignore_merges=True),
    "ignore_merges_unsplit": words_beyond_merges,
    "ranges_around_new_characters": lambda: byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex("[ࠀ-一]+"), "isolated"), pre_tokenizers.Split(Regex("[\ua7c0-\ua7cd🌀-🗿]"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)])),
    "phi3": phi3,
    "phi4": phi4,
    "gemma": gemma,
    "odd_added_tokens": odd_added_tokens,
    "unigram": unigram,
    "unigram_bytes": lambda: unigram(True),
    "word_piece": word_piece,
    "word_level_whitespace": lambda: word_level(pre_tokenizers.Whitespace()),
    "word_level_delimiter": lambda: word_level(pre_tokenizers.CharDelimiterSplit("e")),
    "word_level_fixed": lambda: word_level(pre_tokenizers.FixedLength(length=3)),
    "classic_bpe": classic_bpe,
    "prefixed_bpe": prefixed_bpe,
} | {
    f"split_{behavior}{'_inverted' if invert else ''}": (lambda behavior=behavior, invert=invert: split_zoo(behavior, invert))
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous") for invert in (False, True)
}

WHITE_SPACE = [" ", "  ", "     ", "\t", "\n", "\r", "\r\n", "\n\n", "\v", "\f", "\x1c", "\x1f", "\x85", "\xa0", "\u1680", "\u180e", "\u2003", "\u2028", "\u2029",
               "\u202f", "\u205f", "\u3000", "\u200b", "\ufeff", "▁", "▁▁"]
SPECIALS = ["<s>", "</s>", "<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|end|>", "<|user|>", "<start_of_turn>", "[CLS]", "[SEP]", "[DAY]",
            "[day]", "Hello", "hello", "ab", "abab", " mid ", "<0x0A>", "<0xE2>", "<|im_", "<s", "|>", "</w>", "##", "Ġ", "Ċ", "[UNK]"]
HARD = ["e\u0301", "é", "\u0301", "a\u0323\u0307", "a\u0307\u0323", "ﬁ", "①", "½", "Å", "Å", "가", "가", "각", "각", "ᇁ", "ậ", "ǆ", "ǅ", "ʰ", "ß", "ẞ", "İ", "ı", "ſ", "'ſ", "'S", "'LL", "'Re", "'vE",
        "’s", "K", "👩‍👩‍👧", "🏳️‍🌈", "👍🏽", "🇩🇪", "\u200d", "\u200c", "\x00", "\x01", "\x07", "\x7f", "\x9f", "\ufffd", "\uffff", "\U0010ffff", "\U000e0041", "٣", "१२", "Ⅷ", "²", "৴", "༳",
        "\u0897", "\u1c89", "\ua7cb", "\ua7dc", "\U00010d4e", "\U00010d50", "\U00010d70", "\U0001e4f0", "\U00011f50", "\U0002ebf0", "\U00031350", "\U0001cc00", "\U0001f6dc", "\u2ffc",
        "\U00016d40", "\u32ff", "\ua7f2", "\U00011938", "\U00011935\U00011930", "\u19b0", "\u061d", "\u1b7d", "\u1df6\u0316", "\u0898\u0301", "Ⓐ", "🄰", "_", "‿", "٪", "'", "''", "\"", "-", "--", "...", "#version",
        "中文字符", "日本語テスト", "かな", "한글", "สวัสดี", "हिन्दी", "தமிழ்", "שלום", "مرحبا", "Ελλ", "Привет", "12", "123", "1234", "1234567", "3.14", "0x1F", "x", "XY", "aB", "Word", "word", "THE", "the", "isn't", "it's"]


def hostile_texts(count, seed):
    """Texts put together from everything that is likely to go wrong."""
    rng = random.Random(seed)
    words = [word for line in CORPUS[:11] for word in line.split(" ")]
    pools = [WHITE_SPACE, SPECIALS, HARD, words]

    def anything():
        code = rng.choice([rng.randrange(0x80), rng.randrange(0x3000), rng.randrange(0x110000)])
        return chr(code) if not 0xD800 <= code < 0xE000 else "?"

    texts = ["", "\ufeff", "\x00", "\x00\x00", " ", "\r", "a\rb", "\r\n" * 3, "a" * 1000, " " * 1000, "▁" * 100, "ab" * 500, "\u0301" * 50, "\n" * 300, "x" + " " * 70 + "y"]
    texts += WHITE_SPACE + SPECIALS + HARD + CORPUS[:11]
    texts += ["x" + s + "y" for s in WHITE_SPACE + SPECIALS + HARD] + [" " + s + " " for s in SPECIALS + HARD] + [s + s for s in WHITE_SPACE + SPECIALS]
    while len(texts) < count:
        parts = [anything() if rng.random() < 0.1 else rng.choice(rng.choice(pools)) for _ in range(rng.randrange(1, 14))]
        texts.append((" " if rng.random() < 0.3 else "").join(parts))
    return texts
