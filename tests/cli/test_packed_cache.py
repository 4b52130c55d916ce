"""quant.cache: the weights are the same bits without it, on the start that writes it, and on the start that reads it; damage is repaired."""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import BASE, run_graft
from graft_cli import GRAFT

BYTES = re.compile(r"\d+(\.\d+)? [KMG]iB")


@pytest.fixture
def home(tmp_path):
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}


@pytest.fixture
def train(recipe, tmp_path, home):
    """Trains a step on a 4-bit base; returns the adapter's hash and what was said."""
    def run(cache="auto", model=BASE, **quant):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        path = recipe(quant={"type": "nf4", "cache": str(cache), **quant}, model={"path": str(model), "dtype": "bf16", "max_length": 128}, train={"steps": 1})
        process = run_graft("train", path, env=home)
        return hashlib.sha256((tmp_path / "run/adapter/adapter_model.safetensors").read_bytes()).hexdigest(), process.stderr
    return run


def copies(tmp_path):
    return sorted(p for p in (tmp_path / "cache/graft/quantized").glob("*") if p.is_dir())


@pytest.mark.parametrize("quant", [{}, {"type": "fp4", "double": False, "block": 128}])
def test_the_adapter_is_the_same_without_with_a_new_and_with_an_old_cache(train, tmp_path, quant):
    plain, said = train(cache="none", **quant)
    assert "4-bit weights" not in said and not (tmp_path / "cache").exists()
    first, said = train(**quant)
    (copy,) = copies(tmp_path)
    assert f"for the next start in {copy}" in said and BYTES.search(said)
    second, said = train(**quant)
    assert f"from {copy}" in said and "keeping" not in said
    assert plain == first == second
    assert sorted(p.name for p in copy.iterdir()) == ["config.json", "model.safetensors"]


def test_a_start_that_changes_the_base_is_not_what_is_kept(recipe, tmp_path, home):
    """PiSSA takes its start out of the quantized weights; the copy holds them as they were."""
    kept = []
    for init in ("default", "pissa"):
        path = recipe(f"{init}.yaml", quant={"type": "nf4"}, model={"path": str(BASE), "dtype": "bf16", "max_length": 128}, train={"steps": 1},
                      adapter={"rank": 4, "init": init}, output_dir=str(tmp_path / init))
        run_graft("train", path, env=home)
        (copy,) = copies(tmp_path)
        kept.append((copy.name, hashlib.sha256((copy / "model.safetensors").read_bytes()).hexdigest()))
        shutil.rmtree(tmp_path / "cache")
    assert kept[0] == kept[1]


def test_another_form_or_another_base_has_a_copy_of_its_own(train, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(BASE, model)
    train(model=model)
    train(model=model, double=False)
    train(model=model, skip=["q_proj"])
    assert len(copies(tmp_path)) == 3
    weights = model / "model.safetensors"
    status = weights.stat()
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))  # same name, length and time: only the content tells
    assert "keeping" in train(model=model)[1]
    assert len(copies(tmp_path)) == 4


def test_a_directory_of_ones_own(train, tmp_path):
    own = tmp_path / "own"
    first, said = train(cache=own)
    assert f"next start in {own}/" in said
    second, said = train(cache=own)
    assert f"from {own}/" in said and first == second and not (tmp_path / "cache").exists()


def shorten(copy):
    os.truncate(copy / "model.safetensors", (copy / "model.safetensors").stat().st_size // 2)


def break_a_maximum(copy):
    """NaN in one weight's scales: found only when that weight is read, after others were taken."""
    from struct import unpack
    bytes_ = bytearray((copy / "model.safetensors").read_bytes())
    (length,) = unpack("<Q", bytes_[:8])
    header = json.loads(bytes_[8:8 + length])
    name = sorted(n for n in header if n.endswith(".nested_absmax"))[-1]
    begin = 8 + length + header[name]["data_offsets"][0]
    bytes_[begin:begin + 4] = b"\xff\xff\xff\xff"
    (copy / "model.safetensors").write_bytes(bytes_)


def flip_a_bit(part):
    """A number that looks like any other: only a checksum tells."""
    def flip(copy):
        from struct import unpack
        bytes_ = bytearray((copy / "model.safetensors").read_bytes())
        (length,) = unpack("<Q", bytes_[:8])
        header = json.loads(bytes_[8:8 + length])
        name = sorted(n for n in header if n.endswith(part))[-1]
        begin, end = header[name]["data_offsets"]
        bytes_[8 + length + (begin + end) // 2] ^= 0x11
        (copy / "model.safetensors").write_bytes(bytes_)
    flip.__name__ = f"flip_in{part.replace('.', '_')}"
    return flip


@pytest.mark.parametrize("damage", [shorten, break_a_maximum, flip_a_bit(".weight"), flip_a_bit(".weight.absmax"), flip_a_bit(".nested_absmax"),
                                    flip_a_bit(".weight.quant_map"), flip_a_bit(".nested_quant_map")])
def test_a_damaged_copy_is_reported_once_and_replaced(train, tmp_path, damage):
    plain, _ = train()
    (copy,) = copies(tmp_path)
    damage(copy)
    repaired, said = train()
    assert repaired == plain
    assert said.count("cannot be used") == 1 and "quantizing again" in said and "keeping" in said, said
    again, said = train()
    assert again == plain and "cannot be used" not in said and f"from {copy}" in said


def test_a_cache_that_cannot_be_written_is_said_and_the_run_goes_on(train, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no directory")
    adapter, said = train(cache=blocked)
    assert "are not kept for the next start" in said
    assert adapter == train(cache="none")[0]


def whole_copies(directory):
    return [p for p in directory.glob("*") if p.is_dir()] + list(directory.glob(".*"))


def test_a_disk_without_room_is_said_and_the_run_goes_on(recipe, train, tmp_path):
    """A write that fails half-way (no file may be longer than 1 MiB, the copy takes more), and a disk whose free space is looked at first."""
    plain, _ = train(cache="none")
    short = recipe("short.yaml", quant={"type": "nf4", "cache": str(tmp_path / "short")}, model={"path": str(BASE), "dtype": "bf16", "max_length": 128},
                   train={"steps": 1}, output_dir=str(tmp_path / "limited"))
    limited = f"trap '' XFSZ; ulimit -f 1024; exec {GRAFT} train {short}"
    process = subprocess.run(["bash", "-c", limited], capture_output=True, text=True)
    assert process.returncode == 0 and "are not kept for the next start" in process.stderr, process.stderr
    assert hashlib.sha256((tmp_path / "limited/adapter/adapter_model.safetensors").read_bytes()).hexdigest() == plain
    assert whole_copies(tmp_path / "short") == []

    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], capture_output=True).returncode != 0:
        print("tmpfs cannot be mounted here; the look at the free space was left out")
        return
    try:
        adapter, said = train(cache=disk / "cache")
        assert adapter == plain and "64.0 MiB free" in said and "they take" in said
        assert whole_copies(disk / "cache") == []
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_kills_leave_no_half_copy_and_the_next_start_cleans_up(recipe, train, tmp_path, home):
    plain, _ = train(cache="none")
    path = recipe("killed.yaml", quant={"type": "nf4"}, model={"path": str(BASE), "dtype": "bf16", "max_length": 128}, train={"steps": 1},
                  output_dir=str(tmp_path / "killed"))
    start = time.monotonic()
    assert subprocess.run([GRAFT, "train", str(path)], env=home, capture_output=True).returncode == 0
    whole = time.monotonic() - start
    for share in (0.5, 0.65, 0.8):
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        shutil.rmtree(tmp_path / "killed", ignore_errors=True)
        process = subprocess.Popen([GRAFT, "train", str(path)], env=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=share * whole)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        for copy in copies(tmp_path):
            if not copy.name.startswith("."):
                assert {p.name for p in copy.iterdir()} == {"config.json", "model.safetensors"}
        adapter, said = train()
        assert adapter == plain and "cannot be used" not in said
        assert [p.name for p in (tmp_path / "cache/graft/quantized").glob(".*")] == []


def test_two_processes_that_start_at_once(recipe, tmp_path, home):
    processes = []
    for name in ("a", "b"):
        path = recipe(f"{name}.yaml", quant={"type": "nf4"}, model={"path": str(BASE), "dtype": "bf16", "max_length": 128}, train={"steps": 1},
                      output_dir=str(tmp_path / name))
        processes.append(subprocess.Popen([GRAFT, "train", str(path)], env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    for process in processes:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0 and "warning" not in said, said
    adapters = {(tmp_path / name / "adapter/adapter_model.safetensors").read_bytes() for name in ("a", "b")}
    assert len(adapters) == 1 and len(copies(tmp_path)) == 1
