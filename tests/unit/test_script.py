"""Experiment files as scripts: the published launcher's flags, and what is written instead of launched."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestration.describe import Column, Experiment, Table
from orchestration.errors import DescriptionError, ResourcesError
from orchestration.plan import plan
from orchestration.script import run_script, shown_plan
from orchestration.script.flags import parser_of, slurm_options

ROOT = Path(__file__).resolve().parents[2]

FILE = """
from orchestration.describe import Experiment, Need, Resources, Variant
from orchestration.script import main

def describe(steps: int = 6, bad: bool = False):
    task, small = "tests.integration.counting_task:task", Resources(memory_gb=0.1)
    rows = [Variant("a b", {"steps": steps}), Variant("c", {"factor": 2, "fail_at": 0 if bad else -1})]
    counts = Experiment("counts", task, {"runtime.seconds_per_step": 0.02}, rows, seeds=2, resources=small)
    yield counts
    yield Experiment("reading", task, {"steps": 2}, needs={"m": Need(counts, "a b", seed=1)}, resources=small)

if __name__ == "__main__":
    main(__file__)
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file of five jobs in a folder whose name a shell would split."""
    folder = tmp_path / "of my own"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("ONESHOT_RUNS", raising=False)
    path = folder / "file.py"
    path.write_text(FILE)
    return path


def listed(capsys, file, *arguments):
    assert run_script(file, ["--list", *arguments]) == 0
    return [line.split("  ")[1] for line in capsys.readouterr().out.splitlines()]


def script(path):
    """Start a script by hand."""
    return subprocess.Popen(["bash", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_reader_that_goes_away_is_no_error(file):
    command = [sys.executable, str(file), "--list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listing:
        listing.stdout.close()
        _, complaints = listing.communicate()
    assert (listing.returncode, complaints) == (1, "")


ALL = ["counts/a b-seed0", "counts/a b-seed1", "counts/c-seed0", "counts/c-seed1", "reading/default-seed0"]


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        ([], ALL),
        (["--job-indices", "3", "0"], [ALL[0], ALL[3]]),
        (["--job-names", "c"], ALL[2:4]),
        (["--job-names", "counts/c-seed1", "a b-seed0"], [ALL[0], ALL[3]]),
        (["--job-names", "reading"], ALL[4:]),
        (["--steps", "3", "--job-names", "counts/a b"], ALL[:2]),
    ],
)
def test_jobs_are_chosen_by_name_or_by_index_and_keep_their_order(file, capsys, arguments, chosen):
    assert listed(capsys, file, *arguments) == chosen


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--job-names", "counts/d"], r"--job-names: counts/d: no job is called so; did you mean counts/c"),
        (["--job-names", "zzz"], r"zzz: no job is called so; there are counts/a b-seed0, counts/a b-seed1"),
        (["--job-indices", "5", "-1"], r"--job-indices: there is no job -1, 5; the 5 jobs have the indices 0 to 4"),
        (["--job-indices", "1", "--job-names", "c"], r"--job-names: not allowed with argument --job-indices"),
        (["--job-indices", "one"], r"--job-indices: invalid int value: 'one'"),
        (["--timeout", "0"], r"--timeout: expected a positive number, got 0"),
        (["--timeout", "nan"], r"--timeout: expected a positive number, got nan"),
        (["--num-cpus", "0"], r"--num-cpus: expected a positive number, got 0"),
        (["--num-gpus", "-1"], r"--num-gpus: expected 0 or more, got -1"),
        (["--slurm", "--launcher", "ray"], r"--slurm and --launcher ray: say where once"),
        (["--no-launch", "--stdout-file", "a/b"], r"--stdout-file 'a/b': expected a file name"),
        (["--no-launch", "--stderr-file", "out.txt"], r"both are 'out\.txt'"),
        (["--part", "gpu"], r"no such option or argument: --part gpu; file\.py takes: --steps"),
    ],
)
def test_flags_that_cannot_be_followed_say_why_and_nothing_is_written(file, arguments, message):
    with pytest.raises(DescriptionError, match=message):
        run_script(file, arguments)
    assert not list(file.parent.glob("runs/.launch/*"))


def test_a_name_in_two_experiments_is_not_guessed(file):
    file.write_text(
        FILE.replace('Experiment("reading", task,', 'Experiment("reading", task, variants=rows[:1], config=')
    )
    with pytest.raises(DescriptionError, match=r"a b-seed0: jobs of 2 experiments .* counts/a b-seed0 or reading/a b"):
        run_script(file, ["--list", "--job-names", "a b-seed0"])


def test_a_flag_of_the_file_must_not_hide_one_of_every_script(file):
    file.write_text(FILE.replace("bad: bool", "timeout: float = 1.0, bad: bool"))
    with pytest.raises(DescriptionError, match=r"describe\(\) takes --timeout, which every script has already"):
        run_script(file, ["--list"])


def test_help_shows_the_flags_of_the_file_too(file, capsys):
    assert run_script(file, ["--help"]) == 0
    told = capsys.readouterr().out
    assert all(flag in told for flag in ("--job-indices", "--exclude-nodes", "Options of file.py", "--bad"))


def test_without_flags_everything_runs_here_and_a_failure_is_told(file):
    command = [sys.executable, str(file), "--bad", "--num-cpus", "1", "--stdout-file", "told.log"]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 1
    assert "counts/c-seed0: failed" in told.stderr
    jobs = file.parent / "runs" / ".launch"
    assert (jobs / "reading" / "default-seed0" / "told.log").read_text() == "counted to 2\n"
    assert "RuntimeError: told to fail at step 0" in (jobs / "counts" / "c-seed0" / "err.txt").read_text()
    assert subprocess.run([*command[:2], "--nonsense"], capture_output=True).returncode == 2


def test_no_launch_writes_scripts_and_starts_nothing(file, capsys):
    assert run_script(file, ["--no-launch", "--num-cpus", "3", "--job-names", "reading", "-p", "big"]) == 0
    told = capsys.readouterr().out
    folder = file.parent / "runs" / ".launch" / "reading"
    assert told.splitlines()[-1] == f"launch them with: bash '{folder / 'launch.sh'}'"
    assert not list((file.parent / "runs").glob("*/attempts"))
    assert "export OMP_NUM_THREADS=3\n" in (folder / "default-seed0" / "launch.sh").read_text()
    batch = (folder / "default-seed0" / "sbatch.sh").read_text()
    assert "#SBATCH --cpus-per-task=3\n" in batch and "#SBATCH --partition=big\n" in batch
    assert 'sbatch --parsable --dependency="afterok:${job_0}"' in (folder / "submit.sh").read_text()


def test_a_written_script_runs_what_its_job_needs_and_then_the_job(file, capsys):
    run_script(file, ["--no-launch", "--job-names", "reading", "--timeout", "1"])
    capsys.readouterr()
    started = script(file.parent / "runs/.launch/reading/launch.sh")
    out, err = started.communicate(timeout=60)
    assert (started.returncode, err) == (0, "")
    assert [line.partition(":")[0] for line in out.splitlines()] == [ALL[1], ALL[4]]
    assert (file.parent / "runs/.launch/reading/default-seed0/out.txt").read_text() == "counted to 2\n"
    assert run_script(file, ["--no-launch", "--job-names", "reading"]) == 0
    assert "everything is done" in capsys.readouterr().out


def test_a_written_script_goes_on_after_a_failure_and_tells_of_it(file):
    run_script(file, ["--no-launch", "--bad", "--job-indices", "2", "0"])
    started = script(file.parent / "runs/.launch/counts/launch.sh")
    assert "told to fail at step 0" in started.communicate(timeout=60)[1]
    assert started.returncode == 1
    states = {path.parent.name for path in (file.parent / "runs").glob("*/result.json")}
    assert len(states) == 1


def test_a_written_script_that_is_stopped_saves_and_continues_later(file):
    run_script(file, ["--no-launch", "--steps", "100000", "--job-indices", "0", "1"])
    (folder,) = {path.resolve() for path in (file.parent / "runs/by-name/counts").glob("a b-seed0")}
    started = script(file.parent / "runs/.launch/counts/launch.sh")
    deadline = time.monotonic() + 60
    while not (folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    out, _ = started.communicate(timeout=60)
    assert started.returncode == 75
    assert len(out.splitlines()) == 1  # the second job was not started
    assert json.loads((folder / "attempts/1/outcome.json").read_text())["outcome"] == "preempted"
    assert list((folder / "checkpoints").iterdir())


def test_resources_from_flags_do_not_make_other_trials(file, capsys):
    run_script(file, ["--no-launch", "--num-cpus", "2", "--timeout", "0.5"])
    folders = sorted(path.name for path in (file.parent / "runs").glob("*") if len(path.name) == 64)
    run_script(file, ["--no-launch", "--num-gpus", "1"])
    assert folders == sorted(path.name for path in (file.parent / "runs").glob("*") if len(path.name) == 64)
    request = json.loads((file.parent / "runs" / folders[0] / "request.json").read_text())
    assert (request["resources"]["gpus"], request["resources"]["hours"], request["launcher"]) == (1.0, None, None)


def test_a_time_limit_too_short_for_slurm_is_no_obstacle_here(file, capsys):
    assert run_script(file, ["--no-launch", "--timeout", "0.01"]) == 0
    assert not list(file.parent.glob("runs/.launch/*/submit.sh"))
    with pytest.raises(ResourcesError, match=r"counts/a b-seed0 has a time limit of 0\.6 minutes"):
        run_script(file, ["--no-launch", "--timeout", "0.01", "--slurm"])


def test_the_tables_of_a_chosen_job_are_shown_with_all_their_experiments():
    one, other, third = (Experiment(name, "tests.integration.counting_task:task") for name in ("one", "other", "third"))
    columns = [Column("value", "value")]
    tables = [Table("both", "Both", [one, other], columns), Table("last", "Last", third, columns)]
    shown = shown_plan(plan([one, other, third, *tables]), plan([one, other, third], only=["one"]))
    assert shown.tables == (tables[0],)
    assert [entry.experiment for entry in shown.entries if entry.requested] == ["one", "other"]


def test_the_flags_for_slurm_are_passed_on_as_lists_and_texts():
    flags = parser_of("file.py").parse_known_args(
        ["--slurm", "--exclude-nodes", "n1", "n[3-4]", "--nodelist", "n5,n6", "--exclusive-node", "--conda-env", "e 1"]
    )[0]
    options = slurm_options(flags)
    assert (options.exclude, options.nodelist, options.conda_env) == ("n1,n[3-4]", "n5,n6", "e 1")
    assert options.sbatch == {"exclusive": "user"}
    assert isinstance(flags, argparse.Namespace) and flags.launcher == "slurm"


def test_flags_without_a_meaning_are_told(file, capsys):
    run_script(file, ["--list", "-p", "big", "--exclusive-node"])
    assert capsys.readouterr().err.splitlines() == [
        "warning: --partition has no meaning without --slurm",
        "warning: --exclusive-node has no meaning without --slurm",
    ]


def test_a_conda_environment_gets_the_same_command_without_the_flag(file, tmp_path):
    conda = tmp_path / "bin" / "conda"
    conda.parent.mkdir()
    conda.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    conda.chmod(0o755)
    environment = {**os.environ, "PATH": f"{conda.parent}:{os.environ['PATH']}"}
    command = [sys.executable, str(file), "--conda-env", "my env", "--job-indices", "0"]
    told = subprocess.run(command, capture_output=True, text=True, env=environment)
    inside = f"run|--no-capture-output|--name|my env|python|{file}|--job-indices|0|"
    assert (told.stdout, told.returncode) == (inside, 0)
