"""The benchmark of orchestration: what it measures, how it judges, what it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.bench.case import Case, Sizes, plan_of
from orchestration.bench.finding import Finding, Target, Unit
from orchestration.bench.logging_cost import measure_logging
from orchestration.bench.machine import Machine
from orchestration.bench.report import Report, as_markdown, notes
from orchestration.bench.run import STAGES, chosen_stages
from orchestration.bench.scene import STATES, make_trials
from orchestration.bench.slurm import measure_slurm
from orchestration.bench.worker_start import measure_worker_start
from orchestration.errors import DescriptionError
from orchestration.status import board_of_names

ROOT = Path(__file__).resolve().parents[2]
TINY = Sizes(trials=20, table_runs=3, submitted=3, local_trials=2, synced_trials=2, synced_steps=5, repetitions=1)


@pytest.fixture
def case(tmp_path):
    return Case(TINY, tmp_path)


def oneshot(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    command = [sys.executable, "-m", "orchestration.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_more_is_better_of_rates_and_less_of_seconds():
    rate = Finding("s", "t", Unit.TRIALS, (1.0, 3.0), (2.0, 4.0), "bare", Target(0.8, of_ratio=True, at_least=True))
    assert (rate.best, rate.best_bare, rate.ratio, rate.is_met) == (3.0, 4.0, 0.75, False)
    time = Finding("s", "t", Unit.SECONDS, (1.0, 3.0), (2.0, 4.0), "bare", Target(1.3, of_ratio=True))
    assert (time.best, time.ratio, time.is_met) == (1.0, 0.5, True)
    assert Finding("s", "t", ours=(1.6,), target=Target(1.5)).is_met is False
    assert Finding("s", "t", target=Target(1.5), skipped="no cluster").is_met is None


def test_the_scene_has_trials_in_every_state(tmp_path):
    board = board_of_names(make_trials(tmp_path, plan_of(20)))
    board.look()
    told = {"done": 8, "failed": 2, "running": 2, "cancelled": 2, "lost": 2, "queued": 2, "planned": 2}
    assert {state: board.states().count(state) for state in set(board.states())} == told
    assert len(STATES) == 10


def test_a_worker_reaches_its_task_and_logging_costs_something(case):
    (start,) = measure_worker_start(case)
    assert len(start.ours) == len(start.bare) == 3 and min(start.ours) > 0
    (logging,) = measure_logging(case)
    assert logging.unit is Unit.SHARE and 0 < logging.ours[0] < 1


@pytest.mark.parametrize("path", ["", str(ROOT)])
def test_without_a_cluster_slurm_is_skipped_and_says_so(case, monkeypatch, path):
    monkeypatch.setenv("PATH", path)
    (finding,) = measure_slurm(case)
    assert finding.skipped.startswith("sbatch, squeue, sinfo, scancel: not on the PATH")


def test_a_run_of_cheap_stages_prints_json_and_keeps_it(tmp_path):
    file = tmp_path / "bench.json"
    told = oneshot("bench", "orchestration", "--quick", "--stages", "status, plan", "--json", "--output", str(file))
    assert told.returncode == 0, told.stderr
    report = json.loads(told.stdout)
    assert report == json.loads(file.read_text())
    assert [finding["stage"] for finding in report["findings"]] == ["plan", "status", "status"]
    assert all(finding["best"] == min(finding["samples"]) > 0 for finding in report["findings"])
    assert report["machine"]["cores"] == os.cpu_count() and report["sizes"]["trials"] == 200


def test_a_document_names_conditions_numbers_and_what_was_left_out():
    findings = [
        Finding("a", "what", Unit.POINTS, (8000.0,), (10_000.0,), "bare", Target(7000, at_least=True), "a note"),
        Finding("b", "other", target=Target(1.0), skipped="there is no cluster"),
    ]
    report = Report(Machine("a processor", 2, 1.5, "3.11", "abc"), TINY, findings)
    text = as_markdown(report)
    assert "| a | what | 8,000 points/s | 10,000 points/s (bare) | 0.80 | at least 7,000 points/s | yes |" in text
    assert "| b | other | skipped |" in text and "load before 1.5" in text
    assert notes(report) == ["a: a note", "b: there is no cluster"]


def test_an_unknown_stage_is_an_error_that_lists_the_known_ones():
    assert chosen_stages("table,plan") == ["plan", "table"] and chosen_stages("") == list(STAGES)
    with pytest.raises(DescriptionError, match="no stage is named 'speed'; expected some of plan, status"):
        chosen_stages("speed")


def test_one_command_has_the_benchmarks_of_both():
    told = oneshot("bench", "--help").stdout
    assert "os2d" in told and "orchestration" in told
    assert "--against" in oneshot("bench", "os2d", "--help").stdout
    assert oneshot("bench", "os2d", "--threads", "-1").returncode == 2
