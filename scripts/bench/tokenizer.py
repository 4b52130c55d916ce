#!/usr/bin/env python3
"""Throughput of graft's tokenizer against HF tokenizers: the same texts, one thread each, one run.

    python scripts/bench/tokenizer.py [--bench build/bin/bench_tokenizer] [--texts FILE.jsonl ...] [--seconds 3] [TOKENIZER ...]

Build the program first: cmake --build build --target bench_tokenizer. A TOKENIZER is a tokenizer.json or its folder; without any, those in
the real test material beside the project. Each side encodes all texts over and over; the fastest pass counts, so both have warm
caches; "first" is the pass with cold ones. HF is measured with encode() per text and with encode_batch_fast(), which leaves offsets out as
graft does; the faster counts. All times are processor time, so a busy machine does not distort them.
"""
import argparse
import json
import os
import pathlib
import subprocess
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402  (reads the environment when it is loaded)

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("GRAFT_TEST_DATA", ROOT.parent / "shared/data"))


def read_texts(paths):
    texts = []
    for path in paths:
        for line in open(path, encoding="utf-8"):
            record = json.loads(line)
            texts.append(record if isinstance(record, str) else record.get("text") or "\n".join(str(v) for v in record.values()))
    return [text for text in texts if text]


def passes(function, seconds):
    """Processor seconds of the first and of the fastest pass."""
    times, deadline = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < deadline:
        begin = time.process_time()
        function()
        times.append(time.process_time() - begin)
    return times[0], min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tokenizers", nargs="*", type=pathlib.Path)
    parser.add_argument("--bench", default=str(ROOT / "build/bin/bench_tokenizer"))
    parser.add_argument("--texts", nargs="+", type=pathlib.Path, default=[DATA / "gsm8k/test.jsonl"])
    parser.add_argument("--seconds", type=float, default=3)
    arguments = parser.parse_args()
    files = [t / "tokenizer.json" if t.is_dir() else t for t in arguments.tokenizers] or sorted(DATA.glob("tokenizers/*/tokenizer.json"))
    texts = read_texts(arguments.texts)
    size = sum(len(text.encode()) for text in texts)
    scratch = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"graft-bench-{os.getpid()}.jsonl"
    scratch.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    print(f"{len(texts)} texts, {size / 1e6:.2f} MB; MB per second of one processor")
    print(f"{'tokenizer':20} {'HF encode':>10} {'HF fast':>10} {'graft':>10} {'ratio':>7} {'HF first':>9} {'graft first':>11} {'ratio':>7} {'HF load':>9} {'graft load':>10}")
    try:
        for file in files:
            begin = time.process_time()
            reference = Tokenizer.from_file(str(file))
            load = time.process_time() - begin
            reference.no_truncation()
            reference.no_padding()
            first, plain = passes(lambda: [reference.encode(text) for text in texts], arguments.seconds)
            _, fast = passes(lambda: reference.encode_batch_fast(texts), arguments.seconds)
            tokens = sum(len(reference.encode(text).ids) for text in texts)
            result = subprocess.run([arguments.bench, file, scratch, str(arguments.seconds)], capture_output=True, text=True, check=True)
            ours = json.loads(result.stdout)
            assert ours["bytes"] == size and ours["tokens"] == tokens, f"{file}: graft made {ours['tokens']} tokens, HF {tokens}"
            plain, fast, best, first, ours_first = (size / seconds / 1e6 for seconds in (plain, fast, ours["best_s"], first, ours["first_s"]))
            print(f"{file.parent.name or file.name:20} {plain:10.2f} {fast:10.2f} {best:10.2f} {best / max(plain, fast):6.1f}x "
                  f"{first:9.2f} {ours_first:11.2f} {ours_first / first:6.1f}x {load:8.3f}s {ours['load_s']:9.3f}s", flush=True)
    finally:
        scratch.unlink()


if __name__ == "__main__":
    main()
