"""A disk that fills up: exit 74, every checkpoint that was saved verifies, no litter; with space again the run goes on to the same bytes."""
import os
import resource
import signal
import subprocess

import pytest
from conftest import GRAFT, Run


@pytest.fixture
def small_disk(tmp_path):
    """Mounts tmpfs of a given size; says so when it may not."""
    mounts = []

    def mount(size):
        path = tmp_path / f"disk{len(mounts)}"
        path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"tmpfs cannot be mounted here ({done.stderr.strip()}); the sweep over free space was left out")
        mounts.append(path)
        return path

    yield mount
    for path in mounts:
        subprocess.run(["umount", str(path)], check=False)


def intact(run):
    """Every checkpoint directory present is whole, and nothing temporary is left."""
    import hashlib
    import json
    for checkpoint in run.checkpoints():
        manifest = json.loads((checkpoint / "manifest.json").read_text())
        for name, entry in manifest["files"].items():
            assert hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() == entry["sha256"], f"{checkpoint.name}/{name}"
    assert not [p for p in run.output.rglob("*") if ".tmp-" in p.name]


def test_sweep_over_the_free_space(undisturbed, small_disk, tmp_path):
    full = sum(p.stat().st_size for p in undisturbed.output.rglob("*") if p.is_file())
    stopped = 0
    for percent in range(10, 121, 10):
        disk = small_disk(int(full * percent / 100))
        run = Run(tmp_path / f"case{percent}")
        run.output = disk / "run"
        run.recipe.write_text(run.recipe.read_text().replace(str(tmp_path / f"case{percent}" / "run"), str(run.output)))
        process = run.finish()
        assert process.returncode in (0, 74), process.err
        if process.returncode == 0:
            assert run.adapter_hash() == undisturbed.adapter_hash()
            continue
        stopped += 1
        assert "space" in process.err
        intact(run)
        subprocess.run(["mount", "-o", f"remount,size={3 * full}", str(disk)], check=True)
        run.complete()
        assert run.adapter_hash() == undisturbed.adapter_hash()
        assert run.rows() == undisturbed.rows()
    assert stopped > 0


def test_a_file_size_limit_in_the_middle_of_a_save_is_74(undisturbed, tmp_path):
    run = Run(tmp_path)
    largest = max(p.stat().st_size for p in undisturbed.output.rglob("trainer_state.safetensors"))

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 100, largest - 100))

    process = subprocess.run([GRAFT, "train", str(run.recipe)], capture_output=True, text=True, preexec_fn=limit)
    assert process.returncode == 74, process.stderr
    assert "trainer_state.safetensors" in process.stderr
    intact(run)
    run.complete()
    assert run.adapter_hash() == undisturbed.adapter_hash()


def test_an_output_directory_that_cannot_be_written_is_74(tmp_path):
    if os.geteuid() == 0:
        target = "/proc/graft-cannot-write-here"
    else:
        (tmp_path / "closed").mkdir(mode=0o500)
        target = str(tmp_path / "closed/run")
    run = Run(tmp_path)
    process = subprocess.run([GRAFT, "train", str(run.recipe), f"output_dir={target}"], capture_output=True, text=True)
    assert process.returncode == 74, process.stderr
