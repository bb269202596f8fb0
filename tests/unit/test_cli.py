"""The command line: what is printed, where, and the exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ("--launcher", "local")

FILE = """
from pathlib import Path
from orchestration.describe import Experiment, Need, Table, Column, Variant

def describe(steps: int = 6, rate: float = 0.5, note: str = "", data: Path | None = None, bad: bool = False):
    config = {"steps": steps, "optim.lr": rate, "note": note, "data": data or ""}
    task = "tests.integration.counting_task:task"
    counts = Experiment("counts", task, config, seeds=2)
    yield Experiment("reading", task, {"fail_at": 0 if bad else -1}, seeds=[1], needs={"m": Need(counts)})
    yield Table("t", "Values", "reading", [Column("value", "value")])
"""


@pytest.fixture
def oneshot(tmp_path):
    """Return a function that runs the command in a folder of its own."""
    (tmp_path / "file.py").write_text(FILE)

    def run(*arguments, **variables):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **variables}
        command = [sys.executable, "-m", "orchestration.cli", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run


def test_plan_prints_json_and_nothing_else(oneshot):
    told = oneshot("plan", "file.py", "--json", "--rate", "1")
    needed, requested = json.loads(told.stdout)
    assert told.stderr == ""
    assert {"name", "signature", "config", "seed", "needs", "resources", "state", "requests", "gpu_hours"} <= set(
        needed
    )
    assert (needed["name"], needed["requested"], needed["state"]) == ("default-seed1", False, "planned")
    assert needed["config"]["optim"]["lr"] == 1.0
    assert requested["needs"] == {"m": needed["signature"]}
    assert requested["requested"]


def test_plan_starts_and_creates_nothing(oneshot, tmp_path):
    assert "2 trials: 2 new" in oneshot("plan", "file.py").stdout
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["file.py"]


def test_a_cluster_inside_a_job_takes_no_other_launcher(oneshot):
    told = oneshot("run", "file.py", "--in-slurm", "--cpus", "2", *LOCAL)
    assert told.returncode == 2
    assert told.stderr == "error: --in-slurm: launches with Ray, not with --launcher local; leave one out\n"


def test_run_then_status_then_run_again(oneshot):
    first = oneshot("run", "file.py", *LOCAL, "--json")
    assert first.returncode == 0
    assert [record["state"] for record in json.loads(first.stdout)] == ["done", "done"]
    lines = json.loads(oneshot("status", "--json").stdout)
    assert {(line["experiment"], line["name"], line["state"]) for line in lines} == {
        ("counts", "default-seed1", "done"),
        ("reading", "default-seed1", "done"),
    }
    assert json.loads(oneshot("status", "file.py", "--json").stdout) == lines[::1]
    assert "2 done" in oneshot("run", "file.py", *LOCAL).stderr


def test_diff_tells_why_two_trials_are_two(oneshot):
    for rate in ("0.5", "0.25"):
        assert oneshot("run", "file.py", "--rate", rate, *LOCAL).returncode == 0
    signatures = [record["signature"] for record in json.loads(oneshot("plan", "file.py", "--json").stdout)]
    other = json.loads(oneshot("plan", "file.py", "--rate", "0.25", "--json").stdout)[0]["signature"]
    told = json.loads(oneshot("diff", signatures[0][:12], other, "--json").stdout)
    assert told == [{"what": "optim.lr", "first": 0.5, "second": 0.25, "counts": True}]
    assert "optim.lr" in oneshot("diff", signatures[0], other).stdout
    assert oneshot("diff", signatures[0], "nothing").returncode == 2


def test_a_failed_trial_is_exit_code_1_and_its_log_is_at_hand(oneshot):
    told = oneshot("run", "file.py", "--bad", *LOCAL, "--cpus", "1")
    assert told.returncode == 1
    assert "reading/default-seed1: failed: the same failure twice: RuntimeError: told to fail at step 0" in told.stderr
    assert "RuntimeError: told to fail at step 0" in oneshot("logs", "reading/default-seed1").stdout
    assert "counted to 6" in oneshot("logs", "counts/default-seed1", "-f").stdout
    assert "failed" in oneshot("status", "file.py", "--bad").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "file.py", "--nonsense"], "no such option or argument: --nonsense; file.py takes: --steps"),
        (["run", "file.py", "--steps", "many"], "argument --steps: invalid int value: 'many'"),
        (["plan", "missing.py"], "missing.py: there is no such file"),
        (["plan"], "FILE is missing"),
        (["plan", "--steps", "3", "file.py"], "options of FILE come after FILE"),
        (["plan", "file.py", "--only", "other"], "there is no experiment other; there are: counts, reading"),
        (["plan", "file.py", "--data", "gone.txt"], "data: there is no file gone.txt"),
        (["run", "file.py", "--launcher", "cloud"], "--launcher"),
        (["run", "file.py", "--launcher", "local", "--address", "auto"], "--address: only with --launcher ray"),
        (
            ["run", "file.py", "--launcher", "local", "--cpus", "0.5"],
            "asks for 1 cpus and 0 gpus, but this launcher has 0.5 cpus",
        ),
        (["run", "file.py", "--launcher", "ray", "--cpus", "0"], "asks for 1 cpus"),
        (["run", "file.py", "--launcher", "ray", "--cpus", "1.5"], "--cpus 1.5: a Ray cluster has whole cores"),
        (["logs", "nothing"], "nothing: no such trial in"),
        (["status", "--nonsense"], "--nonsense"),
        (["nonsense"], "nonsense"),
    ],
)
def test_a_wrong_command_line_is_one_message_and_exit_code_2(oneshot, tmp_path, arguments, message):
    told = oneshot(*arguments)
    assert told.returncode == 2
    assert told.stderr.startswith("error: ")
    assert message in told.stderr
    assert told.stderr.count("\n") == 1
    assert told.stdout == ""
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_help_shows_the_options_of_the_file_and_the_exit_codes(oneshot):
    told = oneshot("run", "file.py", "--help")
    assert told.returncode == 0
    for option in ("--launcher", "--steps INT", "--data PATH", "--bad, --no-bad"):
        assert option in told.stdout
    assert "130 interrupted" in " ".join(oneshot("--help").stdout.split())


def test_an_option_of_the_file_must_not_hide_one_of_the_command(oneshot, tmp_path):
    (tmp_path / "file.py").write_text("def describe(runs: int = 1):\n    return []\n")
    assert "describe() takes --runs, which `oneshot plan` has already" in oneshot("plan", "file.py").stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = 1", "file.py: there is no Experiment and no Table in it"),
        ("def describe(: pass", "line 1: "),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("def describe(n): return []", "parameter 'n': expected an annotation among str, int, float, bool, Path"),
        ("def describe(): return [1]", "expected experiments and tables, got int 1"),
        ("from orchestration.describe import *\nExperiment('a/b', 'm:t')", "name 'a/b'"),
    ],
)
def test_a_file_that_describes_nothing_usable_is_told(oneshot, tmp_path, content, message):
    (tmp_path / "file.py").write_text(content)
    told = oneshot("plan", "file.py")
    assert told.returncode == 2
    assert message in told.stderr


def test_module_level_objects_count_and_imported_ones_do_not(oneshot, tmp_path):
    task = "tests.integration.counting_task:task"
    (tmp_path / "base.py").write_text(
        f"from orchestration.describe import Experiment\nbase = Experiment('base', {task!r}, seeds=2)\n"
    )
    (tmp_path / "file.py").write_text(
        "from orchestration.describe import Experiment, Need\nfrom base import base\n"
        f"several = [Experiment(name, {task!r}, needs={{'m': Need(base)}}) for name in ('one', 'two')]\n"
    )
    told = json.loads(oneshot("plan", "file.py", "--json").stdout)
    assert [record["requested"] for record in told] == [False, True]  # `two` asks for the same trial as `one`


def test_an_unwritable_runs_folder_is_named(oneshot, tmp_path):
    (tmp_path / "runs").write_text("a file where the folder should be")
    told = oneshot("run", "file.py", *LOCAL)
    assert told.returncode == 74
    assert told.stderr.startswith("error: ")
    assert str(tmp_path / "runs") in told.stderr
    assert told.stderr.count("\n") == 1


def test_published_values_are_typed_into_a_file_and_stand_in_the_table(oneshot, tmp_path):
    assert oneshot("table", "file.py", "--reference-template", "-o", "mine.csv").returncode == 0
    assert (tmp_path / "mine.csv").read_text() == "table,row,column,value,source\nt,default,value,,\n"
    (tmp_path / "mine.csv").write_text("table,row,column,value,source\nt,default,value,12.5,page 3\n")
    told = oneshot("table", "file.py", "--reference", "mine.csv", "--from", "runs", "--json")
    (cell,) = json.loads(told.stdout)
    assert (cell["state"], cell["published"], cell["published_given_in"]) == ("planned", 12.5, "mine.csv")
    (tmp_path / "mine.csv").write_text("table,row,column,value,source\nt,default,value,much,page 3\n")
    told = oneshot("table", "file.py", "--reference", "mine.csv", "--from", "runs")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == "error: mine.csv, line 2: value: expected a number such as 88.7, got 'much'\n"
