"""How long ``oneshot status`` takes with many trials."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from orchestration.bench.case import Case, plan_of, run_command, seconds_of
from orchestration.bench.finding import Finding, Target
from orchestration.bench.scene import make_trials


def measure_status(case: Case) -> Iterator[Finding]:
    """Show trials in every state, as a command; the folders are in the memory of the machine."""
    whole = case.sizes.trials
    for count in (whole, whole // 10):
        root = case.new_folder("status")
        make_trials(root, plan_of(count))
        command = ["-m", "orchestration.cli", "status", "--runs", str(root)]
        run_command(command)
        samples = tuple(seconds_of(partial(run_command, command)) for _ in case.rounds())
        target = Target(1.5) if count == whole else None
        note = "of ten, four are done and one each failed, runs, was preempted, lost, waits or is planned"
        yield Finding("status", f"`oneshot status` of {count:,} trials", ours=samples, target=target, note=note)
