"""A folder with an experiment file, launches of it, and everything that can go wrong with processes."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestration.plan import Plan, plan
from orchestration.runs import Runs

ROOT = Path(__file__).resolve().parents[2]
STEPS = 40
PROMPT_SECONDS = 25
"""Of what takes a few at rest: tests share a machine, and a launch that does not listen would take longer still."""

FILE = """
from orchestration.describe import Experiment, Need, Variant

def describe(seconds: float = 0.0):
    task = "tests.integration.counting_task:task"
    config = {{"steps": {steps}, "save_every": 4, "runtime.seconds_per_step": seconds}}
    counts = Experiment("counts", task, config, variants=[Variant("a"), Variant("b", {{"optim.lr": 1}})], seeds=2)
    yield counts
    yield Experiment("reading", task, {{"steps": 2}}, variants=counts.variants, seeds=2, needs={{"m": Need(counts)}})
"""


class Project:
    """The folder, and what can be asked about the runs in it.

    Args:
        folder: made unless it exists.
        program: the module that is run: launches alone, or the whole command line.
    """

    def __init__(self, folder: Path, program: str = "tests.integration.launch_only") -> None:
        folder.mkdir(exist_ok=True)
        self.program = program
        self.environment = {"PYTHONPATH": str(ROOT)}
        self.prefix: list[str] = []  # a command that runs the launch
        self.folder = folder
        self.file = folder / "file.py"
        self.file.write_text(FILE.format(steps=STEPS))
        self.runs = Runs(folder / "runs")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a launch as a terminal would: leader of a process group of its own."""
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-m", self.program, *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a launch to its end; return the exit code and what it printed."""
        return finish(self.start(*arguments))

    def plan(self) -> Plan:
        """Return the plan of the file."""
        from orchestration.experiment_file import ExperimentFile

        return plan(ExperimentFile(self.file).descriptions())

    def logged(self) -> int:
        """Return how many lines of metrics there are."""
        return sum(path.read_bytes().count(b"\n") for path in self.runs.root.glob("*/metrics.jsonl"))

    def wait_until_logged(self, lines: int, seconds: float = 90) -> None:
        """Wait until so many more lines of metrics were written."""
        goal, deadline = self.logged() + lines, time.monotonic() + seconds
        while self.logged() < goal:
            if time.monotonic() > deadline:
                pytest.fail(f"no {lines} lines of metrics within {seconds} s")
            time.sleep(0.02)

    def live_workers(self) -> list[int]:
        """Return the pids of workers that hold a claim."""
        last = [folder.last_attempt() for folder in self.runs.folders()]
        return [attempt.pid for attempt in last if attempt is not None and attempt.is_live()]

    def wait_until_idle(self, seconds: float = 15) -> None:
        """Wait until no worker is left."""
        deadline = time.monotonic() + seconds
        while self.live_workers():
            if time.monotonic() > deadline:
                pytest.fail(f"workers still run after {seconds} s: {self.live_workers()}")
            time.sleep(0.05)

    def outcomes(self) -> list[str]:
        """Return the outcomes of all attempts; ``None`` of one that nobody recorded."""
        return [str(attempt.outcome) for folder in self.runs.folders() for attempt in folder.attempts()]

    def numbers(self) -> dict[tuple[str, str], list[tuple[str, int, float]]]:
        """Return (experiment, name) -> every metric at every step."""
        return {
            (experiment, name): [(point.name, point.step, point.value) for point in folder.metrics()]
            for experiment, name, folder in self.runs.names()
        }

    def require_one_worker_at_a_time(self) -> None:
        """Fail when two attempts at one trial overlapped, or one followed a result."""
        for folder in self.runs.folders():
            attempts = folder.attempts()
            for before, after in itertools.pairwise(attempts):
                assert before.ended_ms is not None
                assert before.outcome != "ok"
                assert before.ended_ms <= after.started_ms or before.outcome == "lost"


def finish(process: subprocess.Popen[str], seconds: float = 400) -> tuple[int, str]:
    """Wait for the end; return the exit code and what was printed. Nothing is left running when it takes too long."""
    try:
        out, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
        pytest.fail(f"not finished within {seconds} s; printed: {out}")
    return process.returncode, out


def interrupt(process: subprocess.Popen[str]) -> tuple[int, float, str]:
    """Press Ctrl-C: the whole foreground group gets the signal. Return exit code, seconds to the end, and output."""
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    return process.returncode, time.monotonic() - begin, out


def records(out: str) -> list[dict[str, Any]]:
    """Return the JSON in what a command printed besides the list of what it will do."""
    found: list[dict[str, Any]] = json.loads(out[out.index("\n[") if not out.startswith("[") else 0 :])
    return found


def without_addresses(cells):
    """Return the cells of a table in JSON without the addresses of runs, which only MLflow has."""
    return [{key: value for key, value in cell.items() if key != "address"} for cell in cells]
