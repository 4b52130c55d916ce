"""One small run from end to end: the files interface promises, continuing, refusing, and the verbs around it."""
import hashlib
import json
import shutil

import pytest
from conftest import BASE
from graft_cli import ROOT, graft_json, run_graft

EVAL = ROOT / "recipes/quickstart/acorn_eval.jsonl"


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_plan_counts_without_writing(recipe, tmp_path):
    plan = graft_json("plan", recipe())
    assert plan["steps"] == 3 and plan["train_samples"] == 100 and plan["dropped_samples"] == 0
    # Rank 4 on seven linears of six layers: 4·(in + out) each.
    assert plan["trainable_parameters"] == 6 * 4 * ((192 + 192) * 2 + (192 + 96) * 2 + (192 + 512) * 3)
    assert plan["predicted_peak_memory_bytes"] == sum(plan["predicted_memory_parts"].values())
    assert not (tmp_path / "run").exists()


def test_a_run_leaves_what_it_promises_and_continues(recipe, tmp_path):
    path, run = recipe(), tmp_path / "run"
    process = run_graft("train", path)
    assert process.stdout.strip() == str(run / "adapter")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert set(rows[0]) == {"step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "supervised_tokens", "tokens_per_second", "step_seconds", "peak_memory_bytes"}
    for name in ("recipe.yaml", "recipe.resolved.yaml", "log.txt", "report.json", "adapter/adapter_config.json", "adapter/README.md"):
        assert (run / name).exists(), name
    assert list(run.glob("events.out.tfevents.*"))
    assert (run / "recipe.yaml").read_bytes() == path.read_bytes()
    report = json.loads((run / "report.json").read_text())
    assert report["predicted_peak_memory_bytes"] > 0 and report["peak_memory_bytes"] > 0

    before = sha(run / "adapter/adapter_model.safetensors")
    for again in (run_graft("train", path), run_graft("resume", run)):
        assert again.stdout.strip() == str(run / "adapter")
    assert sha(run / "adapter/adapter_model.safetensors") == before

    other = run_graft("train", path, "adapter.rank=8", check=False)
    assert other.returncode == 73 and "adapter.rank" in other.stderr


def test_a_finished_run_is_known_without_its_data_base_or_device(recipe, tmp_path):
    data = tmp_path / "train.jsonl"
    shutil.copy(ROOT / "recipes/quickstart/acorn_train.jsonl", data)
    path = recipe(data={"train": [{"path": str(data), "format": "messages"}], "cache": "none"})
    run_graft("train", path)
    weights = tmp_path / "run/adapter/adapter_model.safetensors"
    before = sha(weights)
    data.rename(tmp_path / "moved.jsonl")
    for again in (run_graft("train", path), run_graft("resume", tmp_path / "run"), run_graft("resume", tmp_path / "run", "--device", "cuda")):
        assert again.stdout.strip() == str(tmp_path / "run/adapter") and "nothing to do" in again.stderr
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    document = graft_json("resume", tmp_path / "elsewhere")
    assert document["adapter"] == document["report"]["final_weights"] == str(tmp_path / "elsewhere/adapter")
    (tmp_path / "elsewhere").rename(tmp_path / "run")
    # Final weights that are cut short are made again, from the last checkpoint.
    (tmp_path / "moved.jsonl").rename(data)
    weights.write_bytes(weights.read_bytes()[:100])
    again = run_graft("resume", tmp_path / "run")
    assert "damaged" in again.stderr and sha(weights) == before


def test_a_damaged_copy_of_the_recipe_is_written_again(recipe, tmp_path):
    path = recipe()
    run_graft("train", path)
    resolved = tmp_path / "run/recipe.resolved.yaml"
    before = resolved.read_text()
    (tmp_path / "run/report.json").unlink()
    resolved.write_text("")
    assert "damaged" in run_graft("train", path).stderr
    assert resolved.read_text() == before
    resolved.write_text("schema: 99\n")  # of another run, perhaps of another graft: nobody else's to mend
    refused = run_graft("train", path, "seed=8", check=False)
    assert refused.returncode == 73 and resolved.read_text() == "schema: 99\n", refused.stderr


def test_the_resolved_recipe_gives_the_same_bytes(recipe, tmp_path):
    run_graft("train", recipe())
    run_graft("train", tmp_path / "run/recipe.resolved.yaml", f"output_dir={tmp_path / 'again'}")
    assert sha(tmp_path / "run/adapter/adapter_model.safetensors") == sha(tmp_path / "again/adapter/adapter_model.safetensors")


def test_sample_prompts_are_answered_at_each_evaluation(recipe, tmp_path):
    prompts = tmp_path / "probes.txt"
    prompts.write_text("What does Acorn sell?\n\nWho are you?\r\n")
    acorn = {"path": str(EVAL), "format": "messages"}
    sections = {"data": {"train": [acorn], "eval": {"split": 0.1}, "cache": "none"}, "eval": {"every": 2, "at_start": True}}
    run_graft("train", recipe(**sections), f"output_dir={tmp_path / 'without'}")
    run_graft("train", recipe(**sections), f"eval.sample_prompts={prompts}")
    samples = [line.split("  sample: ")[1] for line in (tmp_path / "run/log.txt").read_text().splitlines() if "  sample: " in line]
    assert len(samples) == 3 * 2  # at the start, after steps 2 and 3
    # The last answer is what generate says with the adapter; what the samples cost is time alone.
    chat = tmp_path / "chat.json"
    chat.write_text(json.dumps([{"role": "user", "content": "Who are you?"}]))
    said = graft_json("generate", "--model", BASE, "--adapter", tmp_path / "run/adapter", "--dtype", "float32", "--chat", chat, "--max-new-tokens", 128)
    question, answer = samples[-1].split(" -> ")
    assert json.loads(question) == "Who are you?" and json.loads(answer.removesuffix(" (cut)")) == said["text"]
    assert answer.endswith(" (cut)") == (said["finish_reason"] == "length")
    assert sha(tmp_path / "run/adapter/adapter_model.safetensors") == sha(tmp_path / "without/adapter/adapter_model.safetensors")

    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    for given, code, words in ((tmp_path / "no.txt", 78, "does not exist"), (empty, 65, "no prompt")):
        refused = run_graft("plan", recipe(**sections), f"eval.sample_prompts={given}", check=False)
        assert refused.returncode == code and words in refused.stderr, refused.stderr
    refused = run_graft("plan", recipe(), f"eval.sample_prompts={prompts}", check=False)
    assert refused.returncode == 78 and "nothing is evaluated" in refused.stderr


def test_the_adapter_changes_what_the_model_says(recipe, tmp_path):
    run_graft("train", recipe(), "train.steps=30", "train.optimizer.lr=3e-3")
    adapter = tmp_path / "run/adapter"
    base = graft_json("eval", "--model", BASE, "--data", EVAL)
    adapted = graft_json("eval", "--model", BASE, "--adapter", adapter, "--data", EVAL)
    assert adapted["loss"] < 0.5 * base["loss"] and adapted["supervised_tokens"] == base["supervised_tokens"]
    merged = tmp_path / "merged"
    facts = graft_json("merge", "--model", BASE, "--adapter", adapter, "--output", merged, "--dtype", "float32")
    assert facts["merged_modules"] == 42
    # float32 keeps the sum: the merged model is the adapted one to rounding (the base is bfloat16 on disk, computed in float32 here).
    both = [graft_json("eval", "--model", m, *a, "--data", EVAL, "--dtype", "float32") for m, a in ((BASE, ["--adapter", adapter]), (merged, []))]
    assert both[0]["loss"] == pytest.approx(both[1]["loss"], rel=1e-4)
    refused = run_graft("merge", "--model", BASE, "--adapter", adapter, "--output", merged, check=False)
    assert refused.returncode == 73


def test_generate_prints_one_document_per_line(tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"messages": [{"role": "user", "content": "Good morning!"}]}\n{"prompt": "One day"}\n')
    lines = run_graft("generate", "--model", BASE, "--input", prompts, "--max-new-tokens", 8, "--json").stdout.splitlines()
    documents = [json.loads(line) for line in lines]
    assert len(documents) == 2
    for document in documents:
        assert set(document) == {"prompt_tokens", "tokens", "text", "finish_reason"} and document["finish_reason"] in ("stop", "length")


def test_data_inspect_shows_what_carries_loss(recipe):
    document = graft_json("data", "inspect", recipe(), "--limit", 2)
    sample = document["samples"][0]
    assert len(document["samples"]) == 2 and len(sample["ids"]) == len(sample["labels"]) == len(sample["position_ids"])
    trained = [i for i, label in enumerate(sample["labels"]) if label != -100]
    assert trained and all(sample["labels"][i] == sample["ids"][i] for i in trained)
    assert trained[0] > 0, "the question carries no loss"


def test_full_fine_tuning_gives_a_model_directory(recipe, tmp_path):
    process = run_graft("train", recipe(adapter={"type": "full"}), "train.optimizer.lr=1e-4")
    model = tmp_path / "run/model"
    assert process.stdout.strip() == str(model)
    assert graft_json("eval", "--model", model, "--data", EVAL)["samples"] == 100


def test_log_to_says_where_rows_go(recipe, tmp_path):
    first = run_graft("train", recipe(), "log.to=[jsonl]")
    run = tmp_path / "run"
    assert (run / "metrics.jsonl").exists() and not list(run.glob("events.out.tfevents.*"))
    assert "step 2/3" not in first.stderr and "done: 3 steps" in first.stderr
    assert "step 2/3" in (run / "log.txt").read_text()  # the log has what stderr left out
    second = run_graft("train", recipe(), "log.to=[console, tensorboard]", f"output_dir={tmp_path / 'other'}")
    assert "step 2/3" in second.stderr
    assert not (tmp_path / "other/metrics.jsonl").exists() and list((tmp_path / "other").glob("events.out.tfevents.*"))


@pytest.mark.parametrize("progress, lines, bar", [("auto", True, False), ("lines", True, False), ("bar", False, True), ("none", False, False)])
def test_progress_off_a_terminal(recipe, tmp_path, progress, lines, bar):
    process = run_graft("train", recipe(), f"log.progress={progress}")
    assert ("step 2/3" in process.stderr) == lines
    assert ("[########" in process.stderr) == bar  # a bar only where it is asked for: elsewhere it fills log files
    assert "step 2/3" in (tmp_path / "run/log.txt").read_text() and "[###" not in (tmp_path / "run/log.txt").read_text()


def test_progress_on_a_terminal(recipe):
    import os
    import pty
    import subprocess
    from graft_cli import GRAFT
    leader, follower = pty.openpty()
    process = subprocess.Popen([GRAFT, "train", str(recipe())], stdout=subprocess.DEVNULL, stderr=follower, env={**os.environ, "TERM": "xterm"})
    os.close(follower)
    seen = b""
    try:
        while chunk := os.read(leader, 4096):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    assert process.wait() == 0
    assert b"[########" in seen and b"step 2/3" not in seen


def test_min_delta_ends_a_run_that_gains_little(recipe, tmp_path):
    stop = {"steps": 8, "schedule": {"type": "constant", "warmup": 0}, "stop_when": {"patience": 2, "min_delta": 1000}}
    sections = {"train": stop, "eval": {"every": 1, "at_start": False, "max_batches": 2}}
    data = {"train": [{"path": str(EVAL), "format": "messages"}], "cache": "none", "eval": {"split": 0.1}}
    report = graft_json("train", recipe(data=data, **sections))["report"]
    assert report["stopped_early"] and report["step"] == 3


def test_a_template_sees_today_or_the_day_that_is_given(tmp_path):
    import datetime
    import shutil
    model = tmp_path / "model"
    shutil.copytree(BASE, model)
    (model / "chat_template.jinja").write_text("{{ strftime_now('%Y-%m-%d') }}")
    lines = tmp_path / "lines.jsonl"
    lines.write_text('{"messages": [{"role": "user", "content": "x"}]}')

    def day(*more):
        return run_graft("tokenize", "--model", model, run_graft("tokenize", "--model", model, "--file", lines, *more).stdout, "--decode").stdout.strip().strip('"')
    before = datetime.date.today()
    assert day() in (before.isoformat(), datetime.date.today().isoformat())  # midnight may pass in between
    assert day("--template-date", "2024-02-29") == "2024-02-29"
    refused = run_graft("tokenize", "--model", model, "--file", lines, "--template-date", "2023-02-29", check=False)
    assert refused.returncode == 64 and "--template-date" in refused.stderr
    # The same day for generate, eval and score: the prompt's length is that of the date's own ids.
    ids = json.loads(run_graft("tokenize", "--model", model, "--file", lines, "--template-date", "1999-12-31").stdout)
    score = tmp_path / "score.safetensors"
    run_graft("score", "--model", model, "--input", lines, "--output", score, "--template-date", "1999-12-31")
    header = int.from_bytes(score.read_bytes()[:8], "little")
    place = json.loads(score.read_bytes()[8:8 + header])["tokens.0"]["data_offsets"]
    data = score.read_bytes()[8 + header:][place[0]:place[1]]
    assert [int.from_bytes(data[i:i + 8], "little") for i in range(0, len(data), 8)] == ids
