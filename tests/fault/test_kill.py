"""kill -9 at any moment, then the same again until done: byte-identical adapter, no metrics row doubled or missing."""
import os
import random
import signal
import subprocess

from conftest import Run

KILLS = int(os.environ.get("GRAFT_FAULT_KILLS", "24"))


def test_the_same_recipe_gives_the_same_bytes(undisturbed, tmp_path):
    again = Run(tmp_path).complete()
    assert again.adapter_hash() == undisturbed.adapter_hash()
    assert again.rows() == undisturbed.rows()


def test_kill_9_at_random_moments_changes_nothing(undisturbed, tmp_path):
    generator = random.Random(17)
    kills = case = 0
    while kills < KILLS:
        run = Run(tmp_path / f"case{case}")
        case += 1
        for _ in range(8):
            process = run.start()
            try:
                process.communicate(timeout=generator.uniform(0, 1.2 * undisturbed.seconds))
                assert process.returncode == 0, "it ended by itself, and not well"
                break
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                kills += 1
        run.complete()
        assert run.adapter_hash() == undisturbed.adapter_hash(), f"after {kills} kills"
        assert run.rows() == undisturbed.rows()
        assert not [p for p in run.output.rglob("*") if ".tmp-" in p.name or ".old-" in p.name], "a killed save left its temporary files"


def test_a_finished_run_says_so_and_prints_the_adapter(undisturbed):
    before = undisturbed.adapter_hash()
    process = undisturbed.finish()
    assert process.returncode == 0
    assert process.out.strip() == str(undisturbed.output / "adapter")
    assert undisturbed.adapter_hash() == before
