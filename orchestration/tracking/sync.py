"""The tracking store kept up to date with the trial folders, by one writer at a time.

Training never waits for it and an unreachable store loses nothing: the folders are the truth, and the next sync writes
what is missing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from filelock import FileLock, Timeout

from orchestration.durable import make_folder
from orchestration.errors import OrchestrationError
from orchestration.runs import Runs
from orchestration.tracking.store_location import StoreAwayError, StoreError, StoreLocation

if TYPE_CHECKING:
    from orchestration.tracking.projection import Projection

logger = logging.getLogger(__name__)

WAIT_SECONDS = 120.0
"""How long an explicit sync waits for another writer."""
UPDATE_SECONDS = 5.0
"""Between two updates at least, of whoever keeps the store up to date."""


@dataclass(frozen=True)
class SyncReport:
    """What a sync did.

    Args:
        tracking_uri: the store.
        trials: looked at.
        created: runs that were made.
        updated: runs that had news.
        points: metric values that were written.
        problems: one line per trial that could not be written; the others were.
        busy: another process was writing to the store, and nothing was done.
    """

    tracking_uri: str
    trials: int = 0
    created: int = 0
    updated: int = 0
    points: int = 0
    problems: tuple[str, ...] = ()
    busy: bool = False


def sync(
    runs_root: Path,
    experiments: Collection[str] | None = None,
    tracking_uri: str | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> SyncReport:
    """Bring the store up to date and return what was done.

    Args:
        runs_root: the folder of the trial folders.
        experiments: names; None takes all of them.
        tracking_uri: None takes ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in the runs folder.
        wait_seconds: for another writer to finish.

    Raises:
        StoreError: the store cannot be used, or another writer did not finish in time.
    """
    report = _Writer(runs_root, experiments, tracking_uri).write(wait_seconds)
    if report.busy:
        raise StoreError(
            f"tracking store {report.tracking_uri}: another process has been writing to it for {wait_seconds:.0f} s; "
            "wait until it is finished and sync again"
        )
    return report


def follow(runs_root: Path, tracking_uri: str | None, on_news: Callable[[SyncReport], object]) -> NoReturn:
    """Keep the store up to date until interrupted; what goes wrong is logged once and tried again.

    Args:
        runs_root: the folder of the trial folders.
        tracking_uri: as for :func:`sync`.
        on_news: called with every report that has any.

    Raises:
        StoreError: the store will never work as it is; one that does not answer is waited for.
    """
    writer = _Writer(runs_root, None, tracking_uri)
    writer.require_hope()
    while True:
        report = writer.write_if_possible()
        if report is not None and report.updated:
            on_news(report)
        time.sleep(writer.pause(UPDATE_SECONDS))


class Follower:
    """Keeps the store up to date while a driver runs, in a thread of its own.

    Nothing here ever raises or makes the driver wait, except :meth:`close`, which waits for a bounded time.

    Args:
        runs_root: the folder of the trial folders.
        experiments: those the driver runs; None takes all of them.
        tracking_uri: as for :func:`sync`.
        seconds: between two updates at least.
    """

    def __init__(
        self,
        runs_root: Path,
        experiments: Collection[str] | None = None,
        tracking_uri: str | None = None,
        seconds: float = UPDATE_SECONDS,
    ) -> None:
        self._writer = _Writer(runs_root, experiments, tracking_uri)
        self._seconds = seconds
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def tick(self) -> None:
        """Ask for an update; returns at once, and asking often costs nothing."""
        self._wanted.set()

    def close(self, wait_seconds: float = 60.0) -> SyncReport | None:
        """Write everything that is missing and return what was done, or None when it could not be.

        Args:
            wait_seconds: for the update that is under way and for other writers, each.
        """
        self._closing.set()
        self._wanted.set()
        self._thread.join(wait_seconds)
        if self._thread.is_alive():
            logger.warning("the tracking store does not answer; run `oneshot sync` when it does: nothing is lost")
            return None
        return self._writer.write_if_possible(wait_seconds, last=True)

    def _work(self) -> None:
        while not self._closing.is_set():
            self._wanted.wait()
            if self._closing.is_set():
                return
            self._wanted.clear()
            self._writer.write_if_possible()
            self._closing.wait(self._writer.pause(self._seconds))


class _Writer:
    """Updates one store under the lock of the runs folder."""

    def __init__(self, runs_root: Path, experiments: Collection[str] | None, tracking_uri: str | None) -> None:
        self._runs = Runs(runs_root)
        self._experiments = experiments
        self._location = StoreLocation.resolve(runs_root, tracking_uri)
        self._projection: Projection | None = None
        self._failures = 0
        self._told: set[str] = set()

    def require_hope(self) -> None:
        """Raise :class:`StoreError` when waiting for the store is of no use."""
        try:
            self._location.require_usable()
        except StoreAwayError as error:
            logger.info("%s", error)

    def write(self, wait_seconds: float) -> SyncReport:
        """Write all news; ``busy`` in the report says that another writer held the lock all the time."""
        if not self._runs.folders():
            return SyncReport(self._location.shown)
        self._location.require_usable()
        import orchestration.tracking.projection  # noqa: F401 - MLflow takes seconds: not while others wait for the lock

        folder = self._runs.root / ".tracking"
        make_folder(folder)
        try:
            with FileLock(folder / "lock", timeout=wait_seconds):
                return self._write_locked()
        except Timeout:
            return SyncReport(self._location.shown, busy=True)

    def write_if_possible(self, wait_seconds: float = 0.0, last: bool = False) -> SyncReport | None:
        """Write all news, or log why not: once per outage."""
        try:
            report = self.write(wait_seconds)
        except OrchestrationError as error:
            self._failures += 1
            if self._failures == 1 or last:
                when = "run `oneshot sync` later" if last else "trying again from time to time"
                logger.warning("%s; %s: nothing is lost", error, when)
            return None
        except Exception:  # a fault in the projection must not end the launch that it follows
            self._failures += 1
            if self._failures == 1 or last:
                logger.exception("the tracking store was not updated; run `oneshot sync` later: nothing is lost")
            return None
        if report.busy and last:
            logger.warning("another process writes to %s; it, or `oneshot sync`, writes the rest", report.tracking_uri)
        if not report.busy:
            self._failures = 0
        for problem in report.problems:
            if problem not in self._told:
                self._told.add(problem)
                logger.warning("not in the tracking store: %s", problem)
        return report

    def pause(self, seconds: float) -> float:
        """Return how long to wait before the next update: longer the longer the store has been unreachable."""
        return min(seconds * 2.0 ** min(self._failures, 5), max(seconds, 60.0))

    def _write_locked(self) -> SyncReport:
        from orchestration.tracking.projection import Projection

        projection = self._projection or Projection(self._runs, self._location)
        self._projection = None  # after a failure the store is looked at afresh
        written = projection.update(self._experiments)
        if not written.problems:
            self._projection = projection
        return SyncReport(
            tracking_uri=self._location.shown,
            trials=written.trials,
            created=written.created,
            updated=written.updated,
            points=written.points,
            problems=tuple(written.problems),
        )
