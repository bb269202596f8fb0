"""Descriptions expanded into trials: resolved configuration, signature and dependency order."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from orchestration.describe import Experiment, Point, Sweep, Table, experiments_of
from orchestration.errors import DescriptionError
from orchestration.expand import Expansion
from orchestration.signing import Signer
from orchestration.table_lines import Line, lines_of
from orchestration.trial_description import Trial


@dataclass(frozen=True)
class Entry:
    """One request for a trial: several experiments, or variants of one, may ask for the same trial.

    ``requested`` is False when the trial is there only because another one needs it.
    """

    experiment: str
    variant: str
    name: str
    seed: int
    point: Mapping[str, Any]
    tags: Mapping[str, str]
    signature: str
    requested: bool

    def called(self, trial: Trial) -> Trial:
        """Return the trial as this request calls it; the first request for it may have called it otherwise."""
        return replace(
            trial,
            name=self.name,
            experiment=self.experiment,
            variant=self.variant,
            tags=self.tags,
            point=self.point,
        )


@dataclass(frozen=True)
class Plan:
    """Everything a file describes, ready to run.

    Args:
        trials: each signature once; a trial comes after everything it needs.
        entries: every request, in the order of the description.
        experiments: as written.
        tables: as written.
        repeated: ``<experiment>/<name>`` of trials that one experiment asks for at several equal points.
    """

    trials: tuple[Trial, ...]
    entries: tuple[Entry, ...]
    experiments: tuple[Experiment, ...] = ()
    tables: tuple[Table, ...] = ()
    repeated: tuple[str, ...] = ()

    @property
    def requested(self) -> frozenset[str]:
        """The signatures that were asked for by themselves."""
        return frozenset(entry.signature for entry in self.entries if entry.requested)

    @property
    def sweeps(self) -> tuple[Sweep, ...]:
        """The requested experiments whose trials a controller follows while they run."""
        names = {entry.experiment for entry in self.entries if entry.requested}
        return tuple(
            one
            for one in self.experiments
            if isinstance(one, Sweep) and one.name in names and (one.scheduler is not None or one.is_adaptive)
        )

    @property
    def followed(self) -> frozenset[str]:
        """The signatures that sweeps alone ask for: a controller starts them, and may stop them."""
        sweeps = {sweep.name for sweep in self.sweeps}
        others = {entry.signature for entry in self.entries if entry.experiment not in sweeps}
        return frozenset(entry.signature for entry in self.entries if entry.experiment in sweeps) - others

    @property
    def open_points(self) -> dict[str, int]:
        """Sweep -> how many of its points are still to be chosen from results."""
        return {
            sweep.name: left
            for sweep in self.sweeps
            if sweep.is_adaptive and sweep.space and (left := sweep.size - len(sweep.space.points)) > 0
        }

    def trials_of(self, experiment: str) -> list[Trial]:
        """Return the requested trials of an experiment, called as they are called there."""
        by_signature = {trial.signature: trial for trial in self.trials}
        return [
            entry.called(by_signature[entry.signature])
            for entry in self.entries
            if entry.experiment == experiment and entry.requested
        ]

    def lines_of(self, table: Table) -> list[Line]:
        """Return the rows of a table with the trials of each cell.

        Raises:
            DescriptionError: it names an experiment that was not requested, or a cell that no trial, or that several
                configurations would fill.
        """
        trials: list[Trial] = []
        for name in table.experiment_names:
            of_experiment = self.trials_of(name)
            if not of_experiment:
                known = ", ".join(sorted({entry.experiment for entry in self.entries if entry.requested}))
                raise DescriptionError(f"table {table.name!r}: there is no experiment {name!r}; the file has: {known}")
            trials += of_experiment
        return lines_of(table, trials)


def plan(
    descriptions: Iterable[Experiment | Table],
    only: Sequence[str] = (),
    chosen: Mapping[str, Sequence[Point]] = MappingProxyType({}),
) -> Plan:
    """Return the trials of what a file describes.

    Args:
        descriptions: experiments and tables, in order.
        only: the experiments that are requested; none given are all. What they need is planned as well. Tables that
            also show others are left out.
        chosen: sweep -> the points it has chosen from results so far, behind those it starts with.

    Raises:
        DescriptionError: something in the description cannot be run, or a cell of a table has no trial; the message
            says where it was written.
    """
    with _without_collecting():
        return _plan(list(descriptions), only, chosen)


def _plan(
    descriptions: Sequence[Experiment | Table], only: Sequence[str], chosen: Mapping[str, Sequence[Point]]
) -> Plan:
    tables = tuple(item for item in descriptions if isinstance(item, Table))
    experiments = _with_points(experiments_of(descriptions), chosen)
    _require_experiments(tables, {experiment.name for experiment in experiments})
    tables = tuple(table for table in tables if not only or set(table.experiment_names) <= set(only))
    drafts = Expansion(experiments, only).drafts()
    signer = Signer()
    trials: dict[str, Trial] = {}
    entries: dict[tuple[str, str], Entry] = {}
    repeated: list[str] = []
    for draft in drafts:
        trial = signer.trial(draft)
        trials.setdefault(trial.signature, trial)
        entry = Entry(
            draft.experiment.name,
            draft.variant.name,
            trial.name,
            draft.key.seed,
            trial.point,
            trial.tags,
            trial.signature,
            draft.requested,
        )
        known = entries.setdefault((entry.experiment, entry.name), entry)
        if known is not entry:
            repeated.append(f"{entry.experiment}/{entry.name}")
        if known.signature != entry.signature:
            raise DescriptionError(
                f"experiment {entry.experiment!r}: two different trials are called {entry.name!r}; rename a variant, "
                "or put {point} and {seed} into trial_name"
            )
    planned = Plan(tuple(trials.values()), tuple(entries.values()), tuple(experiments), tables, tuple(repeated))
    for table in tables:
        if not set(table.experiment_names) & set(planned.open_points):  # points that are still to come fill rows, too
            planned.lines_of(table)
    return planned


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Spare Python the search for garbage among the many small objects of a large plan, all of which stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _with_points(experiments: Sequence[Experiment], chosen: Mapping[str, Sequence[Point]]) -> list[Experiment]:
    """Return the experiments with the points that were chosen for them; none may need what a sweep may stop."""
    sweeps = {one.name for one in experiments if isinstance(one, Sweep)}
    for experiment in experiments:
        for variant in experiment.variants:
            for name, need in {**experiment.needs, **variant.needs}.items():
                if isinstance(need.experiment, Sweep) or need.experiment_name in sweeps:
                    raise DescriptionError(
                        f"experiment {experiment.name!r}: need {name!r}: {need.experiment_name!r} is a sweep, which "
                        "may stop any of its trials; describe the trial that is needed as an experiment of its own"
                    )
    return [one.at(chosen[one.name]) if isinstance(one, Sweep) and chosen.get(one.name) else one for one in experiments]


def _require_experiments(tables: Sequence[Table], names: set[str]) -> None:
    seen: set[str] = set()
    for table in tables:
        if table.name in seen:
            raise DescriptionError(f"two tables are called {table.name!r}; rename one")
        seen.add(table.name)
        for name in table.experiment_names:
            if name not in names:
                raise DescriptionError(
                    f"table {table.name!r}: there is no experiment {name!r}; there are: {', '.join(sorted(names))}"
                )
