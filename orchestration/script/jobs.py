"""The jobs of a script: the trials of a file by the names and positions that its flags take."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestration.errors import DescriptionError
from orchestration.plan import Entry, Plan

MOST_NAMED = 8
"""How many jobs a message names before it says how many more there are."""


@dataclass(frozen=True)
class Job:
    """One requested trial of a plan, and its position among them."""

    index: int
    entry: Entry

    @property
    def name(self) -> str:
        """The full name, unique in the plan."""
        return f"{self.entry.experiment}/{self.entry.name}"

    @property
    def called(self) -> tuple[str, ...]:
        """Every name it answers to, the most specific first: trial, variant, experiment, and the first two alone."""
        experiment, variant = self.entry.experiment, self.entry.variant
        return self.name, f"{experiment}/{variant}", experiment, self.entry.name, variant


def jobs_of(plan: Plan) -> list[Job]:
    """Return the jobs of a plan in its order; what is only needed by others has no number."""
    return [Job(i, entry) for i, entry in enumerate(entry for entry in plan.entries if entry.requested)]


def choose_jobs(jobs: Sequence[Job], names: Sequence[str], indices: Sequence[int]) -> list[Job]:
    """Return the jobs with these names or indices, in the order of the plan; neither given are all.

    Raises:
        DescriptionError: a name or an index that no job has, a name that jobs of several experiments have.
    """
    wrong = sorted({index for index in indices if not 0 <= index < len(jobs)})
    if wrong:
        raise DescriptionError(
            f"--job-indices: there is no job {', '.join(map(str, wrong))}; the {len(jobs)} jobs have the indices 0 to "
            f"{len(jobs) - 1} (--list shows them)"
        )
    if not names and not indices:
        return list(jobs)
    chosen = set(indices)
    for name in names:
        chosen |= {job.index for job in _jobs_called(jobs, name)}
    return [job for job in jobs if job.index in chosen]


def restricted(plan: Plan, jobs: Sequence[Job]) -> Plan:
    """Return the part of a plan that these jobs are, with what they need."""
    chosen = {(job.entry.experiment, job.entry.name) for job in jobs}
    asked_for = {job.entry.signature for job in jobs}
    wanted = set(asked_for)
    for trial in reversed(plan.trials):
        if trial.signature in wanted:
            wanted |= set(trial.needs.values())
    entries = [
        entry if (entry.experiment, entry.name) in chosen else replace(entry, requested=False)
        for entry in plan.entries
        if (entry.experiment, entry.name) in chosen or entry.signature in wanted - asked_for
    ]
    trials = tuple(trial for trial in plan.trials if trial.signature in wanted)
    return replace(plan, trials=trials, entries=tuple(entries))


def _jobs_called(jobs: Sequence[Job], name: str) -> list[Job]:
    found: list[Job] = []
    for kind in zip(*(job.called for job in jobs), strict=True):
        found = [job for job, called in zip(jobs, kind, strict=True) if called == name]
        if found:
            break
    experiments = list(dict.fromkeys(job.entry.experiment for job in found))
    if len(experiments) > 1:
        meant = " or ".join(f"{experiment}/{name}" for experiment in experiments)
        raise DescriptionError(
            f"--job-names: {name}: jobs of {len(experiments)} experiments are called so; say {meant}"
        )
    if not found:
        raise DescriptionError(f"--job-names: {name}: no job is called so; {_hint(jobs, name)} (--list shows all)")
    return found


def _hint(jobs: Sequence[Job], name: str) -> str:
    known = list(dict.fromkeys(called for job in jobs for called in job.called))
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    more = len(jobs) - MOST_NAMED
    return f"there are {', '.join(job.name for job in jobs[:MOST_NAMED])}" + (f" and {more} more" if more > 0 else "")
