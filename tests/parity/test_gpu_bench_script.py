"""scripts/bench/gpu_lora.py runs as it will on a GPU, on tiny shapes and the CPU, and its table is the README's."""
import json
import os
import re
import subprocess
import sys

import pytest

from conftest import GRAFT, ROOT

SCRIPT = ROOT / "scripts/bench/gpu_lora.py"


def test_help_names_every_row():
    said = subprocess.run([sys.executable, SCRIPT, "--help"], check=True, capture_output=True, text=True).stdout
    assert "8b-nf4-full" in said and "70b-nf4-full" in said and "--scratch" in said


def test_both_sides_run_and_fill_the_columns_of_the_readme(tmp_path):
    environment = {**os.environ, "GRAFT_BENCH_FILE": str(tmp_path / "bench.json")}
    said = subprocess.run([sys.executable, SCRIPT, "--rows", "tiny,tiny-nf4", "--device", "cpu", "--steps", "3", "--warmup", "1", "--graft", GRAFT, "--scratch",
                           tmp_path, "--json", tmp_path / "found.json"], check=True, capture_output=True, text=True, env=environment).stdout
    readme = (ROOT / "README.md").read_text()
    header = re.search(r"^\| work .*\|$", readme, re.M)[0]
    assert said.splitlines()[0] == header
    rows = [line for line in said.splitlines() if line.startswith("| a tiny Llama")]
    assert len(rows) == 2
    for line in rows:
        assert re.fullmatch(r"\| [^|]+ \| [\d,]+, \d+\.\d \| [\d,]+, \d+\.\d \| \d+\.\d\d \|", line), said
    found = json.loads((tmp_path / "found.json").read_text())
    for row in found.values():
        assert row["peft"]["loss"] == pytest.approx(6.24, abs=0.5)  # nearly flat logits over 512 ids: ln 512
        assert "problem" in row["unsloth"] or row["unsloth"]["tokens_per_second"] > 0
    assert "unsloth" in said
    assert not list(tmp_path.glob("graft-bench-*")), "the scratch checkpoints are removed"
