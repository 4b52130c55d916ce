"""Exit codes, streams and start-up time: what batch scripts hold on to (sysexits.h where it has a number)."""
import json
import os
import subprocess

import pytest
from graft_cli import GRAFT, ROOT, run_graft

COMMANDS = ["train", "plan", "resume", "generate", "eval", "score", "tokenize", "merge", "adapter", "data", "recipe", "doctor"]


def test_graft_alone_prints_the_help_and_ends_with_64():
    process = run_graft(check=False)
    assert process.returncode == 64 and "Subcommands" in process.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_ends_with_0(command):
    assert "--help" in run_graft(command, "--help").stdout


def test_help_answers_in_100_ms():
    # Processor time, the best of five: the promise is about the program, not about a busy machine.
    best = min(_processor_seconds("--help") for _ in range(5))
    assert best < 0.1, f"{best * 1000:.0f} ms"


def _processor_seconds(*arguments):
    before = os.times()
    subprocess.run([GRAFT, *arguments], capture_output=True, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_help_and_plan_do_not_load_libtorch():
    for arguments in (["--help"], ["recipe", "list"]):
        process = subprocess.run([GRAFT, *arguments], capture_output=True, text=True, env={"LD_DEBUG": "libs"})
        assert "libtorch" not in process.stderr, arguments


@pytest.mark.parametrize("arguments, meant", [
    (["trian"], "train"), (["train", "r.yaml", "--devise", "cpu"], "--device"), (["recipe", "explian"], "explain"), (["generate", "--modle", "x"], "--model")])
def test_a_misspelling_is_64_and_names_what_was_meant(arguments, meant):
    process = run_graft(*arguments, check=False)
    assert process.returncode == 64 and process.stdout == ""
    assert f"did you mean: {meant}" in process.stderr


@pytest.mark.parametrize("arguments", [
    ["train", "nowhere.yaml"], ["plan", "nowhere.yaml"], ["resume", "nowhere"], ["score", "--model", "nowhere", "--input", "x", "--output", "y"],
    ["generate", "--model", "nowhere", "--prompt", "x"], ["tokenize", "--model", "nowhere", "x"], ["adapter", "inspect", "nowhere"]])
def test_a_path_that_does_not_exist_is_64(arguments):
    process = run_graft(*arguments, "--json" if arguments[0] != "tokenize" else "--quiet", check=False)
    assert process.returncode == 64, process.stderr
    assert process.stdout == "" and "nowhere" in process.stderr


def test_version():
    assert run_graft("--version").stdout.startswith("graft ")


def test_an_error_has_no_stack_trace():
    process = run_graft("generate", "--model", "nowhere", "--prompt", "x", check=False)
    assert "frame #" not in process.stderr and "terminate" not in process.stderr


def test_explain_knows_every_key_it_lists():
    text = run_graft("recipe", "explain", "adapter.rank").stdout
    assert "adapter.rank" in text and "16" in text
    process = run_graft("recipe", "explain", "adapter.rnak", check=False)
    assert process.returncode == 64 and "adapter.rank" in process.stderr


def test_schema_is_json():
    assert json.loads(run_graft("recipe", "schema").stdout)["type"] == "object"


def test_values_that_would_be_taken_for_others_are_usage_errors(tmp_path):
    base = ROOT / "recipes/quickstart/base"
    generate = ["generate", "--model", base, "--prompt", "Hi", "--max-new-tokens", "2"]
    for extra in (["--temperature", "nan"], ["--top-p", "nan"], ["--temperature", "1", "--seed", "-1"],
                  ["--temperature", "1", "--seed", "18446744073709551616"]):
        refused = run_graft(*generate, *extra, check=False)
        assert refused.returncode == 64 and not refused.stdout, extra
    assert run_graft(*generate, "--seed", "18446744073709551615").returncode == 0
    tokens = tmp_path / "tokens.jsonl"
    tokens.write_text('{"tokens":[1,2,3]}\n')
    for command in (["score", "--model", base, "--input", tokens, "--output", ""], ["quantize", "--model", base, "--type", "nf4", "--output", ""],
                    ["eval", "--model", base, "--data", ROOT / "recipes/quickstart/acorn_eval.jsonl", "--max-length", "1"]):
        assert run_graft(*command, check=False).returncode == 64, command


def test_version_and_json_are_common_to_all_commands(tmp_path):
    assert run_graft("score", "--version").stdout.startswith("graft ")
    for arguments in (["show", "quickstart"], ["explain", "adapter.rank"], ["copy", "quickstart", str(tmp_path / "own.yaml")]):
        assert isinstance(json.loads(run_graft("recipe", *arguments, "--json").stdout), dict)
