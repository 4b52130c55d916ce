"""What is refused, and when; what plan promises; how a run that was stopped or damaged goes on."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

from graft_cli import GRAFT, ROOT, graft_json, run_graft

BASE = ROOT / "recipes/quickstart/base"
EVAL = ROOT / "recipes/quickstart/acorn_eval.jsonl"


def test_files_of_somebody_else_are_not_written_over(recipe, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name, text in (("recipe.yaml", "# written by hand\n"), ("log.txt", "mine\n")):
        (run / name).write_text(text)
        refused = run_graft("train", recipe(), check=False)
        assert refused.returncode == 73 and name in refused.stderr and (run / name).read_text() == text
        (run / name).unlink()
    path = recipe()
    (run / "recipe.yaml").write_text(path.read_text())  # the very recipe: people keep it there
    run_graft("train", run / "recipe.yaml")
    refused = run_graft("plan", path, "~train.steps", "train.tokens=9000T", check=False)
    assert refused.returncode == 78 and "train.tokens" in refused.stderr and "command line" in refused.stderr


def test_what_cannot_be_trained_is_refused_before_a_run_directory_is_made(recipe, tmp_path):
    run = tmp_path / "run"
    wrong = {
        ("train.steps=13", "train.schedule.type=wsd", "train.schedule.decay=50"): "decay",
        ("train.steps=13", "train.schedule.warmup=5 epochs"): "warm-up",
        ("~adapter.rank", "adapter.init_from=/nonexistent"): "does not exist",
        ('adapter.target=["regex:("]',): "malformed",
        ('adapter.exclude=["regex:["]',): "malformed",
        ("quant.type=nf4", 'quant.skip=["regex:["]'): "malformed",
        ("export=[]",): "export",
        (f"model.path={EVAL}",): "is a file, not a directory",
        ("~adapter.rank", f"adapter.init_from={ROOT}", "adapter.dtype=bf16"): "float32",
        ("~adapter.rank", "adapter.type=full", "adapter.dtype=bf16"): "adapter.type",
    }
    for overrides, words in wrong.items():
        for command in ("plan", "train"):
            refused = run_graft(command, recipe(), *overrides, check=False)
            assert refused.returncode == 78 and words in refused.stderr, (overrides, refused.stderr)
            assert not run.exists(), overrides
    budget = run_graft("plan", recipe(), "memory.budget=1MB", "runtime.device=cpu", check=False)
    assert budget.returncode == 78 and "checkpointing: full" in budget.stderr and "offload" not in budget.stderr
    weighted = {"path": str(EVAL), "format": "messages", "weight": 0.5}
    acorn = {"path": str(EVAL), "format": "messages"}
    refused = run_graft("plan", recipe(data={"train": [acorn], "eval": [weighted], "cache": "none"}), check=False)
    assert refused.returncode == 78 and "weight" in refused.stderr


def test_plan_counts_what_train_trains(recipe, tmp_path):
    run_graft("train", recipe(adapter={"rank": 8, "target": ["q_proj"]}))
    cases = {"saved whole": (recipe("a.yaml", adapter={"rank": 4, "modules_to_save": ["lm_head", "norm"]}),),
             "continued": (recipe("b.yaml", adapter={"init_from": str(tmp_path / "run/adapter")}),),
             "without a half": (recipe("c.yaml", adapter={"rank": 4, "target": ["*_proj"], "exclude": "attention"}),)}
    biased = tmp_path / "biased"
    shutil.copytree(BASE, biased)
    config = json.loads((biased / "config.json").read_text())
    (biased / "config.json").write_text(json.dumps({**config, "attention_bias": True, "mlp_bias": True}))
    for bias in "all", "lora_only":
        adapter = {"rank": 4, "target": ["q_proj"], "bias": bias}
        cases[f"bias {bias}"] = (recipe(f"{bias}.yaml", adapter=adapter), f"model.path={biased}", "model.init=random")
    for number, (name, arguments) in enumerate(cases.items()):
        planned = graft_json("plan", *arguments)["trainable_parameters"]
        out = tmp_path / f"out{number}"
        run_graft("train", *arguments, f"output_dir={out}", "train.steps=1")
        assert json.loads((out / "report.json").read_text())["trainable_parameters"] == planned, name


def test_resume_never_starts_anew_in_silence(recipe, tmp_path):
    run = tmp_path / "run"
    run_graft("train", recipe(), "checkpoint.resume=none")
    shutil.copytree(run, tmp_path / "lost")
    (tmp_path / "lost/report.json").unlink()
    shutil.rmtree(tmp_path / "lost/checkpoints")
    lost = run_graft("resume", tmp_path / "lost", check=False)
    assert lost.returncode == 65 and "they are gone" in lost.stderr
    (tmp_path / "lost/metrics.jsonl").unlink()  # log.to need not write any: the run remembers that it saved
    lost = run_graft("resume", tmp_path / "lost", check=False)
    assert lost.returncode == 65 and "they are gone" in lost.stderr
    (run / "report.json").unlink()  # as if it had been stopped before the end
    assert run_graft("resume", run).stdout.strip() == str(run / "adapter")  # although `train` would refuse it
    assert run_graft("resume", run, "--dtype", "bf16", check=False).returncode == 64
    shutil.copytree(run, tmp_path / "blocked")
    (tmp_path / "blocked/report.json").unlink()
    (tmp_path / "blocked/log.txt").unlink()
    (tmp_path / "blocked/log.txt").mkdir()
    assert run_graft("resume", tmp_path / "blocked", check=False).returncode == 74


def test_final_weights_that_are_gone_are_written_again(recipe, tmp_path):
    run_graft("train", recipe())
    before = (tmp_path / "run/adapter/adapter_model.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "run/adapter")
    run_graft("resume", tmp_path / "run")
    assert (tmp_path / "run/adapter/adapter_model.safetensors").read_bytes() == before


def test_evaluation_data_that_changed_is_noticed(recipe, tmp_path):
    acorn = {"path": str(EVAL), "format": "messages"}
    other = tmp_path / "eval.jsonl"
    other.write_text("".join(EVAL.read_text().splitlines(keepends=True)[:4]))
    data = {"train": [acorn], "eval": [{"path": str(other), "format": "messages"}], "cache": "none"}
    run_graft("train", recipe(data=data), "train.steps=4")
    (tmp_path / "run/report.json").unlink()
    other.write_text("".join(EVAL.read_text().splitlines(keepends=True)[4:8]))
    changed = run_graft("resume", tmp_path / "run", check=False)
    assert changed.returncode == 65 and "the evaluation data" in changed.stderr


def test_more_threads_than_cores_are_warned_about(recipe):
    cores = len(os.sched_getaffinity(0))
    assert "runtime.threads" in run_graft("train", recipe(), "train.steps=1", f"runtime.threads={cores + 1}").stderr


def test_faults_of_the_file_system_are_errors_and_no_bugs(recipe, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for overrides in (f"model.path={tmp_path / 'loop'}",), (f"output_dir={tmp_path / 'loop'}",), (f"output_dir={tmp_path / ('a' * 300)}",):
        refused = run_graft("train", recipe(), *overrides, check=False)
        assert refused.returncode in (74, 78) and "bug" not in refused.stderr, (overrides, refused.stderr)


def test_a_limit_on_file_sizes_is_a_failed_write(recipe, tmp_path):
    limited = subprocess.run(["bash", "-c", f"ulimit -f 8; exec {GRAFT} train {recipe()}"], capture_output=True, text=True)
    assert limited.returncode == 74 and "ulimit" in limited.stderr, limited.stderr


def test_closed_standard_descriptors_do_not_let_log_lines_into_the_runs_files(recipe, tmp_path):
    assert subprocess.run(["bash", "-c", f"exec {GRAFT} train {recipe()} <&- >&- 2>&-"]).returncode == 0
    for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines():
        json.loads(line)
    assert (tmp_path / "run/.lock").read_text().startswith("process ")


def test_full_training_keeps_the_template_it_trained_with(recipe, tmp_path):
    data = {"train": [{"path": str(EVAL), "format": "messages"}], "template": "chatml", "cache": "none"}
    run_graft("train", recipe(adapter={"type": "full"}, data=data), "train.steps=1")
    assert "im_start" in (tmp_path / "run/model/chat_template.jinja").read_text()


def test_a_signal_in_the_first_moments_ends_as_a_later_one(recipe, tmp_path):
    process = subprocess.Popen([GRAFT, "train", str(recipe()), f"output_dir={tmp_path / 'early'}", "train.steps=100000"], stderr=subprocess.DEVNULL)
    usr1 = 1 << (signal.SIGUSR1 - 1)
    status = pathlib.Path(f"/proc/{process.pid}/status")
    # From where graft holds its signals back, long before the run is set up.
    while not any(int(line.split()[1], 16) & usr1 for line in status.read_text().splitlines() if line.startswith(("SigBlk", "SigCgt"))):
        assert process.poll() is None
    process.send_signal(signal.SIGUSR1)
    assert process.wait(120) == 75


def test_a_log_reader_that_goes_away_does_not_stop_a_training(recipe, tmp_path):
    process = subprocess.Popen([GRAFT, "train", str(recipe())], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stderr.close()
    assert process.stdout.read().strip() == str(tmp_path / "run/adapter")
    assert process.wait(120) == 0
