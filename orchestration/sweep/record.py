"""What a sweep decided, in order: ``runs/sweeps/<name>/<settings>/``, which one driver writes at a time.

``settings`` is a hash of everything that a decision depends on apart from how many points there are, so that a sweep
with other settings begins anew, and one with a larger ``n`` goes on. Results are never in here: they are in the folders
of the trials.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from orchestration.attempt import now_ms
from orchestration.describe import Experiment, Point, Sweep, Table
from orchestration.durable import LineWriter, create_whole, make_folder, read_lines, to_json
from orchestration.errors import LaunchError
from orchestration.runs import Runs, file_name
from orchestration.signature import SHOWN_DIGITS, canonical_json, signature_of
from orchestration.sweep_settings import settings_of, sweeps_of


@dataclass(frozen=True)
class Suggestion:
    """A point that a searcher chose. ``index`` counts from 0, the points known before anything ran included."""

    index: int
    point: Point


class SweepRecord:
    """The decisions of one sweep."""

    def __init__(self, sweep: Sweep, runs: Runs) -> None:
        self._settings = settings_of(sweep)
        digest = signature_of({"settings": canonical_json(self._settings)})
        self.folder = runs.root / "sweeps" / file_name(sweep.name, digest) / digest[:SHOWN_DIGITS]
        self._name = sweep.name
        self._lines = LineWriter(self.folder / "events.jsonl")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only driver of the sweep.

        Raises:
            LaunchError: another process runs it.
        """
        make_folder(self.folder)
        create_whole(self.folder / "sweep.json", to_json({"name": self._name, **self._settings}, indent=1))
        try:
            with FileLock(self.folder / "lock", timeout=0):
                yield
                self._lines.close()
        except Timeout:
            raise LaunchError(
                f"sweep {self._name!r}: another process runs it already; wait for it, or end it with `oneshot cancel`"
            ) from None

    def suggestions(self) -> list[Suggestion]:
        """Return the points that were chosen from results, in the order of their choice."""
        return [Suggestion(event["index"], event["point"]) for event in self._events("suggested")]

    def pruned(self) -> set[str]:
        """Return the signatures of the trials that this sweep has stopped."""
        return {event["signature"] for event in self._events("pruned")}

    def note_suggested(self, suggestion: Suggestion, signature: str) -> None:
        """Record a choice before anything comes of it."""
        self._note("suggested", index=suggestion.index, point=dict(suggestion.point), signature=signature)

    def note_pruned(self, signature: str, step: int, why: str) -> None:
        """Record that a trial is to be stopped."""
        self._note("pruned", signature=signature, step=step, why=why)

    def note_exploited(self, signature: str, donor: str, step: int, settings: Mapping[str, Any]) -> None:
        """Record that a member of a population goes on from a copy of another one."""
        self._note("exploited", signature=signature, donor=donor, step=step, settings=dict(settings))

    def _note(self, kind: str, **details: Any) -> None:
        self._lines.append({"kind": kind, "time_ms": now_ms(), **details})
        self._lines.sync()

    def _events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in read_lines(self.folder / "events.jsonl")[0] if event["kind"] == kind]


def chosen_points(descriptions: Iterable[Experiment | Table], runs_root: Path) -> dict[str, tuple[Point, ...]]:
    """Return, for each sweep that learns from results, the points it has chosen so far."""
    chosen: dict[str, tuple[Point, ...]] = {}
    for sweep in sweeps_of(descriptions):
        if sweep.searcher is not None and sweep.is_adaptive:
            suggestions = SweepRecord(sweep, Runs(runs_root)).suggestions()
            chosen[sweep.name] = tuple(one.point for one in suggestions)[: sweep.size - sweep.searcher.known_points]
    return chosen
