"""Damaged checkpoints are noticed before the first step and passed over; a run directory in use is left alone."""
import random
import shutil
import signal
import time

import pytest
from conftest import GRAFT, Run


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run stopped by a signal after a dozen steps, with two checkpoints."""
    run = Run(tmp_path_factory.mktemp("interrupted"))
    process = run.start()
    while not (run.output / "checkpoints/step-00000012").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 75
    assert len(run.checkpoints()) >= 2
    return run


def copy_of(run, folder):
    other = Run(folder)
    shutil.copytree(run.output, other.output)
    return other


def files(run):
    return sorted(p.name for p in run.checkpoints()[-1].iterdir())


DAMAGES = {
    "missing": lambda path, older: path.unlink(),
    "empty": lambda path, older: path.write_bytes(b""),
    "half": lambda path, older: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one byte more": lambda path, older: path.write_bytes(path.read_bytes() + b"\0"),
    "of another step": lambda path, older: shutil.copy(older / path.name, path),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_newest_checkpoint_is_passed_over_and_named(undisturbed, interrupted, tmp_path, damage):
    changed = ["trainer_state.safetensors", "state.json", "adapter_model.safetensors", "manifest.json"]
    for number, name in enumerate(changed):
        run = copy_of(interrupted, tmp_path / str(number))
        newest, older = run.checkpoints()[-1], run.checkpoints()[-2]
        DAMAGES[damage](newest / name, older)
        process = run.finish()
        assert process.returncode == 0, process.err
        assert newest.name in process.err and "is not used" in process.err and older.name in process.err
        assert run.adapter_hash() == undisturbed.adapter_hash()
        assert run.rows() == undisturbed.rows()


def test_a_flipped_bit_anywhere_in_the_newest_checkpoint_is_found(undisturbed, interrupted, tmp_path):
    generator = random.Random(9)
    for number in range(8):
        run = copy_of(interrupted, tmp_path / str(number))
        path = run.checkpoints()[-1] / generator.choice(files(run))
        data = bytearray(path.read_bytes())
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        path.write_bytes(data)
        process = run.finish()
        assert process.returncode == 0, process.err
        assert "is not used" in process.err, path.name
        assert run.adapter_hash() == undisturbed.adapter_hash()


def test_when_no_checkpoint_is_whole_it_is_65_and_not_a_restart(interrupted, tmp_path):
    run = copy_of(interrupted, tmp_path)
    for checkpoint in run.checkpoints():
        (checkpoint / "state.json").write_bytes(b"")
    rows = run.rows()
    process = run.finish()
    assert process.returncode == 65 and process.out == ""
    assert "state.json" in process.err
    assert run.rows() == rows


def test_a_file_in_place_of_the_newest_checkpoint_is_named_and_moved_aside(undisturbed, interrupted, tmp_path):
    run = copy_of(interrupted, tmp_path)
    newest, step = run.checkpoints()[-1], undisturbed.checkpoints()[-1].name
    shutil.rmtree(newest)
    for path in (newest, newest.parent / step):  # the run comes past the second of them for certain
        path.write_text("mine")
    process = run.finish()
    assert process.returncode == 0, process.err
    for name in (newest.name, step):
        assert f"{name} is not used" in process.err and "not a directory" in process.err
        assert (newest.parent / f"{name}.not-a-checkpoint").read_text() == "mine"
    assert (newest.parent / step).is_dir()
    assert run.adapter_hash() == undisturbed.adapter_hash()
    assert run.rows() == undisturbed.rows()


def test_a_kill_behind_the_last_checkpoint_leaves_a_report_of_the_whole_run(tmp_path):
    import json
    run = Run(tmp_path, steps=12)
    process = run.start()
    while not (run.output / "checkpoints/step-00000012").exists():
        assert process.poll() in (None, 0), process.communicate()[1]
        time.sleep(0.0005)  # it may be done before the kill: then there is nothing left to resume, and the report is whole all the same
    process.kill()
    process.communicate()
    run.complete()
    report = json.loads((run.output / "report.json").read_text())
    rows = [json.loads(line) for line in (run.output / "metrics.jsonl").read_text().splitlines()]
    trained = [row for row in rows if "loss" in row]
    seconds = sum(row["step_seconds"] for row in trained)
    assert report["seconds"] >= seconds and report["peak_memory_bytes"] >= trained[-1]["peak_memory_bytes"]
    assert report["tokens_per_second"] == pytest.approx(report["tokens"] / seconds, rel=1e-6)
    assert len(run.checkpoints()) <= 3


def test_foreign_and_higher_numbered_directories_are_left_alone(undisturbed, interrupted, tmp_path):
    run = copy_of(interrupted, tmp_path)
    foreign = [run.output / "checkpoints" / name for name in ("step-99999999", "notes", "step-7", "checkpoint-900")]
    for path in foreign:
        path.mkdir()
        (path / "mine.txt").write_text("keep")
    run.complete()
    assert run.adapter_hash() == undisturbed.adapter_hash()
    assert all((path / "mine.txt").read_text() == "keep" for path in foreign)


def test_a_second_run_into_the_same_directory_is_73_and_does_no_harm(undisturbed, tmp_path):
    run = Run(tmp_path)
    first = run.start()
    while not (run.output / "metrics.jsonl").exists():
        assert first.poll() is None, first.communicate()[1]
        time.sleep(0.005)
    import subprocess
    second = subprocess.run([GRAFT, "train", str(run.recipe)], capture_output=True, text=True)
    third = subprocess.run([GRAFT, "resume", str(run.output)], capture_output=True, text=True)
    assert (second.returncode, third.returncode) == (73, 73), second.stderr + third.stderr
    assert str(first.pid) in second.stderr
    first.communicate(timeout=300)
    assert first.returncode == 0
    assert run.adapter_hash() == undisturbed.adapter_hash()
    assert run.rows() == undisturbed.rows()


def test_another_recipe_into_the_same_directory_is_73_and_names_the_key(undisturbed, tmp_path):
    import subprocess
    run = copy_of(undisturbed, tmp_path)
    process = subprocess.run([GRAFT, "train", str(run.recipe), "seed=6"], capture_output=True, text=True)
    assert process.returncode == 73
    assert "seed" in process.stderr
