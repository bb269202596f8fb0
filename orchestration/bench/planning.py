"""How long ``oneshot plan`` takes for many trials."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from orchestration.bench.case import TASK, Case, run_command, seconds_of
from orchestration.bench.finding import Finding, Target

FILE = """
from orchestration.describe import Experiment, grid

many = Experiment("many", {task!r}, space=grid({{"index": list(range({count}))}}))
"""


def measure_planning(case: Case) -> Iterator[Finding]:
    """Plan trials that differ in a configuration key, as a command."""
    folder, count = case.new_folder("plan"), case.sizes.trials
    file = folder / "many.py"
    file.write_text(FILE.format(task=TASK, count=count), encoding="utf-8")
    command = ["-m", "orchestration.cli", "plan", str(file), "--runs", str(folder / "runs")]
    samples = tuple(seconds_of(partial(run_command, command)) for _ in case.rounds())
    yield Finding("plan", f"`oneshot plan` of {count:,} trials", ours=samples, target=Target(3.0))
