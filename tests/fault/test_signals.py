"""TERM, USR1, USR2 and INT save and end with 75 within 10 s; the run then goes on to the same bytes."""
import pathlib
import re
import signal
import time

import pytest
from conftest import Run


def wait_for_rows(run, process, count):
    path = run.output / "metrics.jsonl"
    for _ in range(3000):
        if path.exists() and path.read_text().count("\n") >= count:
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    raise AssertionError("no progress")


@pytest.mark.parametrize("name", ["TERM", "USR1", "USR2", "INT"])
def test_signal_saves_and_ends_with_75(undisturbed, tmp_path, name):
    run = Run(tmp_path, every=1000)  # no periodic checkpoint: only the signal can have saved
    process = run.start()
    wait_for_rows(run, process, 5)
    sent = time.monotonic()
    process.send_signal(getattr(signal, f"SIG{name}"))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert time.monotonic() - sent < 10
    assert out == "" and name in err and "saved" in err
    last = run.rows()[-1]["step"]
    assert last < 48
    assert run.checkpoints()[-1].name == f"step-{last:08d}"
    run.complete()
    assert run.adapter_hash() == undisturbed.adapter_hash()
    assert run.rows() == undisturbed.rows()


def test_no_thread_that_computes_takes_signals(tmp_path):
    """oneDNN's kernels point the stack pointer into their work buffer: a signal's frame there would overwrite the heap around it."""
    run = Run(tmp_path, steps=100000, every=100000)
    process = run.start()
    wait_for_rows(run, process, 3)
    takers = []
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        blocked = int(re.search(r"^SigBlk:\s*(\w+)", (task / "status").read_text(), re.M).group(1), 16)
        if any(not blocked >> (number - 1) & 1 for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)):
            takers.append(int(task.name))
    process.kill()
    process.communicate()
    assert len(takers) == 1 and takers[0] != process.pid, takers  # the flag's own thread, which waits


@pytest.mark.parametrize("name", ["TERM", "USR1"])
def test_signals_up_to_the_last_moment_do_not_change_the_exit_code(tmp_path, name):
    """A batch system that repeats its signal, or sends it to the process and its group, must still see 75."""
    for number in range(3):
        run = Run(tmp_path / str(number), steps=100000, every=100000)
        process = run.start()
        wait_for_rows(run, process, 3)
        while process.poll() is None:
            process.send_signal(getattr(signal, f"SIG{name}"))
            time.sleep(0.003)
        assert process.returncode == 75, process.communicate()[1]


def test_a_signal_behind_the_end_does_not_change_success(tmp_path):
    for number in range(3):
        run = Run(tmp_path / str(number), steps=4, every=2)
        process = run.start()
        report = run.output / "report.json"
        while process.poll() is None and not (report.exists() and '"finished": true' in report.read_text()):
            time.sleep(0.001)
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.003)
        assert process.returncode == 0, process.communicate()[1]


def test_a_signal_that_is_not_listed_acts_as_the_system_has_it(tmp_path):
    for sent, code in ((signal.SIGTERM, -signal.SIGTERM), (signal.SIGUSR1, 75)):
        run = Run(tmp_path / str(code), steps=100000, every=100000)
        run.recipe.write_text(run.recipe.read_text().replace("keep: 2", "keep: 2, on_signal: [USR1]"))
        process = run.start()
        wait_for_rows(run, process, 3)
        process.send_signal(sent)
        process.communicate(timeout=60)
        assert process.returncode == code


def test_signals_at_random_moments_again_and_again(undisturbed, tmp_path):
    import random
    generator = random.Random(3)
    run = Run(tmp_path)
    for _ in range(6):
        process = run.start()
        time.sleep(generator.uniform(0, undisturbed.seconds * 0.5))
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode in (0, 75, -signal.SIGTERM), err  # a signal before they are held simply ends it
    run.complete()
    assert run.adapter_hash() == undisturbed.adapter_hash()
    assert run.rows() == undisturbed.rows()


def test_second_interrupt_stops_at_once(tmp_path):
    run = Run(tmp_path, steps=100000, every=100000)
    process = run.start()
    wait_for_rows(run, process, 3)
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode in (75, 130)
