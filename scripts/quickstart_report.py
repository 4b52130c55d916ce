#!/usr/bin/env python3
"""The quick start's table: answers of the base and of each adapter side by side, evaluation loss and exact matches before and after.

  quickstart_report.py GRAFT BASE NAME=ADAPTER …   NAME's evaluation file is recipes/quickstart/NAME_eval.jsonl
"""
import json
import subprocess
import sys
import tempfile


def run(graft, *arguments):
    return subprocess.run([graft, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def answers(graft, base, adapter, prompts):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps({"messages": messages}) + "\n" for messages in prompts)
        file.flush()
        chosen = ["--adapter", adapter] if adapter else []
        lines = run(graft, "generate", "--model", base, *chosen, "--input", file.name, "--max-new-tokens", "40", "--json", "--quiet").splitlines()
    return [json.loads(line)["text"].strip() for line in lines]


def main(graft, base, adapters):
    for name, adapter in adapters:
        path = f"recipes/quickstart/{name}_eval.jsonl"
        rows = [json.loads(line)["messages"] for line in open(path, encoding="utf-8")]
        prompts, wanted = [row[:-1] for row in rows], [row[-1]["content"] for row in rows]
        print(f"\n{name}: {len(rows)} questions that were not trained on")
        seen = {}
        for label, directory in (("base", None), ("adapted", adapter)):
            chosen = ["--adapter", directory] if directory else []
            evaluation = json.loads(run(graft, "eval", "--model", base, *chosen, "--data", path, "--format", "messages", "--json", "--quiet"))
            seen[label] = answers(graft, base, directory, prompts)
            exact = sum(a == b for a, b in zip(seen[label], wanted)) / len(wanted)
            print(f"  {label:8} evaluation loss {evaluation['loss']:.3f}   exact match {exact:.0%}")
        for i in range(3):
            print(f"  Q: {prompts[i][-1]['content']}\n    base:    {seen['base'][i]}\n    adapted: {seen['adapted'][i]}")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], [argument.split("=", 1) for argument in sys.argv[3:]])
