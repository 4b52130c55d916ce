"""Shared by the parity tests: where graft is, how to run it, what is skipped when real material is missing."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from graft_cli import DATA, GRAFT, ROOT, graft_json, run_graft  # noqa: E402,F401  (re-exported to the tests)


@pytest.fixture
def need_data():
    """Skips with a printed reason when the real material is missing."""
    def check(name):
        path = DATA / name
        if not path.exists():
            pytest.skip(f"{path} is not there; this comparison with real files was left out")
        return path
    return check
