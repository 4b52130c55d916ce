import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from graft_cli import ROOT, graft_json, run_graft  # noqa: E402,F401

BASE = ROOT / "recipes/quickstart/base"


@pytest.fixture
def recipe(tmp_path):
    """Writes a small recipe over the embedded base; keyword arguments replace top-level sections."""
    def write(name="recipe.yaml", **sections):
        document = {
            "schema": 1, "output_dir": str(tmp_path / "run"), "model": {"path": str(BASE), "dtype": "fp32", "max_length": 128},
            "adapter": {"rank": 4}, "data": {"train": [{"path": str(ROOT / "recipes/quickstart/acorn_eval.jsonl"), "format": "messages"}], "cache": "none"},
            "batch": {"sequences_per_step": 2, "micro_sequences": 1}, "train": {"steps": 3, "schedule": {"type": "constant", "warmup": 0}}, "log": {"every": 1}}
        document.update(sections)
        path = tmp_path / name
        path.write_text(json.dumps({k: v for k, v in document.items() if v is not None}, indent=1))  # JSON is YAML
        return path
    return write
