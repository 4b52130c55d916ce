"""The reader's verdicts against the reference implementation's, and the writer's bytes against save_file's."""
import json
import os
import pathlib
import random
import struct
import subprocess

import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file

from conftest import GRAFT

PROBE = pathlib.Path(os.environ.get("GRAFT_IO_PROBE", pathlib.Path(GRAFT).parent / "io_probe"))

# Where graft refuses on purpose what the reference reads: words of graft's error.
STRICTER = [
    "duplicate key: the header names this tensor twice",  # the format's README forbids it, the reference keeps the last
    "tensor name",  # empty, or with a NUL
    "expected an object with dtype",  # a positional list instead of an object
    "more than 64 dimensions",
    "is beyond 2^63-1",  # a dimension of an empty tensor
    "cannot be read",  # dtypes LibTorch has no type for: F4, F6, C64, the FNUZ pair
    "dtype: must be a string",  # serde also takes {"F32": null}
]


def probe(paths, strictness="foreign"):
    """graft's verdict on each file: None when accepted, else the error's first line."""
    result = subprocess.run([PROBE, "safetensors", strictness], input="\n".join(map(str, paths)) + "\n", capture_output=True, text=True)
    assert result.returncode == 0, f"io_probe ended with {result.returncode}: {result.stderr[-2000:]}"
    lines = result.stdout.splitlines()
    assert len(lines) == len(paths)
    return [None if line == "ok" else line.removeprefix("refused ") for line in lines]


def reference_accepts(content):
    try:
        safetensors.deserialize(content)
        return True
    except Exception:
        return False


def compare(contents, folder):
    """Same verdict for every file, stricter only where STRICTER says. Returns (accepted, refused)."""
    paths = []
    for i, content in enumerate(contents):
        paths.append(folder / f"{i}.safetensors")
        paths[-1].write_bytes(content)
    accepted = refused = 0
    for content, verdict in zip(contents, probe(paths)):
        if reference_accepts(content):
            assert verdict is None or any(words in verdict for words in STRICTER), f"graft refuses {content[:400]!r}: {verdict}"
            accepted += 1
        else:
            assert verdict is not None, f"graft accepts {content[:400]!r}"
            refused += 1
    return accepted, refused


def file_of(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(1,), offsets=(0, 4), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def seeds():
    """Valid files that between them use everything the format has."""
    return [
        file_of({}),
        file_of({"t": entry()}, bytes(4)),
        file_of({"__metadata__": {"format": "pt", "k": "é"}, "a": entry("BF16", (2, 3), (0, 12)), "b.c": entry("I64", (), (12, 20))}, bytes(20)),
        file_of({"z": entry("U8", (0,), (0, 0)), "y": entry("BOOL", (3,), (0, 3)), "x": entry("F64", (1, 1), (3, 11))}, bytes(11)),
        file_of('  {"t" : {"shape":[ 2 ],\t"dtype":"F8_E4M3", "data_offsets":[0 ,2]} } \r\n', bytes(2)),
        file_of({"t": entry(strides=[1], more={"a": [1.5e3, None, True, "x"]})}, bytes(4)),
        file_of('{"__metadata__":null,"\\u00e9\\ud83d\\ude00\\n":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}', bytes(4)),
    ]


NUMBERS = ["0", "1", "2", "4", "8", "-1", "-0", "1.0", "1e3", "01", "18446744073709551615", "18446744073709551616", "9223372036854775808",
           "4294967296", "null", "true", "\"4\"", "[]", "[4]", "{}", "1e400", "0x4"]


def mutated(random_source, content):
    """One random change: bytes, header text, numbers, structure or length."""
    if len(content) <= 8:
        return content + b"{}"
    length = struct.unpack("<Q", content[:8])[0]
    header, data = content[8:8 + length] or b" ", content[8 + length:]
    kind = random_source.randrange(9)
    if kind == 0:  # a byte anywhere
        changed = bytearray(content)
        changed[random_source.randrange(len(changed))] = random_source.randrange(256)
        return bytes(changed)
    if kind == 1:  # cut or grown
        return content[:random_source.randrange(len(content))] if random_source.random() < 0.5 else content + bytes(random_source.randrange(1, 9))
    if kind == 2:  # a byte of the header removed, doubled or replaced by a structural one, length kept right
        changed = bytearray(header)
        at = random_source.randrange(len(changed))
        changed[at:at + random_source.randrange(2)] = bytes([random_source.choice(b'{}[],:" \t\n0159.-+eEnulltrue\\/\x00\x7f\xc3\xed')])
        return file_of(bytes(changed), data)
    if kind == 3:  # a number replaced
        text = header.decode("utf-8", "surrogateescape")
        spots = [i for i, c in enumerate(text) if c.isdigit()]
        if not spots:
            return content
        at = random_source.choice(spots)
        return file_of((text[:at] + random_source.choice(NUMBERS) + text[at + 1:]).encode("utf-8", "surrogateescape"), data)
    if kind == 4:  # the length field
        return struct.pack("<Q", (length + random_source.choice([-9, -8, -1, 1, 8, 9, 1 << 31, 1 << 40])) % (1 << 64)) + content[8:]
    if kind == 5:  # white space in or around
        at = random_source.randrange(len(header) + 1)
        return file_of(header[:at] + random_source.choice([b" ", b"\n", b"\r", b"\t", b"\x0b", b"\xc2\xa0"]) + header[at:], data)
    if kind == 6:  # a piece repeated: duplicate keys and the like
        begin = random_source.randrange(len(header))
        end = random_source.randrange(begin, len(header)) + 1
        return file_of(header[:end] + header[begin:end] + header[end:], data)
    if kind == 7:  # a string escaped
        at = random_source.randrange(len(header))
        return file_of(header[:at] + random_source.choice([b"\\u0041", b"\\ud800", b"\\udc00", b"\\ud83d\\ude00", b"\\x", b"\\u00", b"\\u0000"]) + header[at:], data)
    return mutated(random_source, mutated(random_source, content))


def test_verdicts_agree_on_the_corpus(tmp_path):
    deep = "[" * 200 + "]" * 200
    contents = seeds() + [
        b"", b"\0" * 7, file_of(b"", length=0), file_of("{}", length=1 << 63), file_of("{}", length=(1 << 64) - 1), file_of("{}", length=100_000_001),
        file_of("{}", length=3), file_of("[]"), file_of("null"), file_of("{}{}"), file_of("\ufeff{}"), file_of(b"{}\0"), file_of(b"\xff"),
        file_of({"t": [1]}), file_of({"t": {"dtype": "F32", "shape": [1]}}), file_of({"t": entry("f32")}, bytes(4)), file_of({"t": entry("F99")}, bytes(4)),
        file_of({"t": entry(shape=(2,))}, bytes(4)), file_of({"t": entry(offsets=(4, 8))}, bytes(8)), file_of({"t": entry(offsets=(4, 0))}, bytes(4)),
        file_of({"t": entry(offsets=(0,))}, bytes(4)), file_of({"t": entry(offsets=(0, 4, 4))}, bytes(4)), file_of({"t": entry()}, bytes(3)),
        file_of({"t": entry()}, bytes(5)), file_of({"a": entry(), "b": entry()}, bytes(4)), file_of({"a": entry(), "b": entry(offsets=(8, 12))}, bytes(12)),
        file_of({"a": entry(shape=(2,), offsets=(0, 8)), "b": entry(offsets=(4, 8))}, bytes(8)), file_of({"t": entry(shape=(1 << 63, 4))}, bytes(4)),
        file_of({"t": entry("U8", (1 << 32, 1 << 32, 4))}, bytes(4)), file_of({"t": entry(shape=(1 << 61,))}, bytes(4)), file_of({"t": entry(shape=(0, 1 << 62, 1 << 62))}, bytes(0)),
        file_of({"t": entry(shape=(1 << 62, 1 << 62, 0), offsets=(0, 0))}), file_of({"t": entry(shape=(0, 1 << 62, 1 << 62), offsets=(0, 0))}),
        file_of({"__metadata__": []}), file_of({"__metadata__": {"a": 1}}), file_of({"__metadata__": {"a": None}}), file_of('{"__metadata__":null}'),
        file_of('{"__metadata__":{},"__metadata__":{}}'), file_of('{"__metadata__":null,"__metadata__":{}}'), file_of('{"__metadata__":{"a":"1","a":"2"}}'),
        file_of('{"t":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)), file_of('{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":%s}}' % deep, bytes(4)),
        file_of('{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1e400}}', bytes(4)), file_of('{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1e-400}}', bytes(4)),
        file_of('{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":-0.0e-0}}', bytes(4)), file_of({"": entry()}, bytes(4)), file_of({"a/../b\n": entry()}, bytes(4)),
        file_of({"t": entry(shape=[1] * 70)}, bytes(4)), file_of({"t": entry("F4", (3,), (0, 2))}, bytes(2)), file_of({"t": entry("C64", (1,), (0, 8))}, bytes(8)),
    ]
    accepted, refused = compare(contents, tmp_path)
    assert accepted >= 15 and refused >= 35  # neither side is empty


def test_verdicts_agree_on_mutations(tmp_path):
    random_source = random.Random(20240521)
    valid = seeds()
    contents = [mutated(random_source, random_source.choice(valid)) for _ in range(4000)]
    accepted, refused = compare(contents, tmp_path)
    assert accepted >= 200 and refused >= 2000


def test_own_files_are_read_in_both_modes(tmp_path):
    """Files the reference writes pass the stricter mode too."""
    save_file({"w": torch.ones(3, 2), "scalar": torch.tensor(1.0), "empty": torch.empty(0, 4)}, tmp_path / "f", metadata={"format": "pt"})
    assert probe([tmp_path / "f"], "own") == [None] and probe([tmp_path / "f"], "foreign") == [None]


DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32,
          torch.uint16, torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu]


@pytest.mark.parametrize("metadata", [{"format": "pt"}, {"quote\"\\\n\x01": "é😀/"}, None])
def test_written_bytes_are_the_references(tmp_path, metadata):
    """graft rewrites what save_file wrote: the same bytes."""
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for i, dtype in enumerate(DTYPES):
        for name, shape in ((f"layer.{15 - i}.weight", (3, 5)), (f"Z{i}", ()), (f"é\"{i}\\\n", (0, 2)), (f"a.{i}", (7,))):
            raw = torch.randint(0, 2 if dtype == torch.bool else 256, (int(torch.tensor(shape).prod()) * dtype.itemsize,), generator=generator, dtype=torch.uint8)
            tensors[name] = raw.view(dtype).reshape(shape)
    save_file(tensors, tmp_path / "theirs", metadata=metadata)
    result = subprocess.run([PROBE, "rewrite", tmp_path / "theirs", tmp_path / "ours"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert set(load_file(tmp_path / "ours")) == set(tensors)
