"""What Ray runs for each trial: it starts our worker, forwards its metrics to Tune, and minds the wish to stop.

Tune gets no checkpoint: the worker, wherever it is started again, goes on from the trial's own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray import tune

from orchestration.durable import write_whole
from orchestration.journal import TrialFolder
from orchestration.launch.ray.multi_node import other_nodes
from orchestration.launch.worker import MOST_STARTS, STOP_SECONDS, Next, Step, Worker

POLL_SECONDS = 0.1
ELSEWHERE_SECONDS = 1.0


def run_trial(config: Mapping[str, Any]) -> None:
    """Run one trial to its end, or until the session is asked to stop.

    Args:
        config: ``folder`` of the trial, ``session`` folder, and ``cwd`` to run in. In a sweep, ``metric``: new steps
            with this one are forwarded. Nobody learns from the others, and every report costs Tune some time.
    """
    folder = TrialFolder(Path(config["folder"]))
    session = Session(Path(config["session"]))
    forward = _Forwarder(folder, config["metric"]).forward if "metric" in config else _forward_nothing
    starts = 0
    while not folder.is_done() and not session.is_stopping() and folder.prune_wish() is None:
        if (wish := folder.cancel_wish()) is not None:
            session.give_up(folder.signature, wish.told)
            break
        last = folder.last_attempt()
        if last is not None and last.is_live():  # somebody else is at it
            time.sleep(ELSEWHERE_SECONDS)
            continue
        starts += 1
        step = _one_worker(folder, session, forward, Path(config["cwd"]))
        if step.next is Next.GIVE_UP or starts >= MOST_STARTS:
            session.give_up(folder.signature, step.reason or f"it did not finish in {starts} attempts")
            break
        if not session.is_stopping():
            time.sleep(step.pause_seconds)
    forward()


class Session:
    """The folder through which a driver and its trials on any host talk: files appear, and never change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stop = folder / "stop"
        self._kill = folder / "kill"
        self._given_up = folder / "given_up"

    def ask_to_stop(self) -> None:
        """Let every trial save and end."""
        self._stop.touch()

    def is_stopping(self) -> bool:
        """Tell whether trials should save and end."""
        return self._stop.exists()

    def kill(self) -> None:
        """Do not wait any longer for trials that still run."""
        self._kill.touch()

    def is_killing(self) -> bool:
        """Tell whether workers that still run should be killed."""
        return self._kill.exists()

    def give_up(self, signature: str, reason: str) -> None:
        """Record that a trial is not tried again."""
        self._given_up.mkdir(exist_ok=True)
        write_whole(self._given_up / signature, reason)

    def reasons(self) -> dict[str, str]:
        """Return signature -> why it was given up."""
        if not self._given_up.is_dir():
            return {}
        return {path.name: path.read_text() for path in self._given_up.iterdir() if not path.name.startswith(".")}


def _one_worker(folder: TrialFolder, session: Session, forward: Callable[[], None], cwd: Path) -> Step:
    request = folder.request()
    resources = request.resources if request else folder.trial.resources
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "") if resources.gpus else ""
    with other_nodes(folder, resources, cwd) as node:
        worker = Worker(folder, resources, gpus, cwd, node)
        asked = False
        try:
            while not worker.has_ended():
                if not asked and session.is_stopping():
                    worker.ask_to_stop()
                    asked = True
                if asked and session.is_killing():
                    worker.kill()
                forward()
                worker.wait(POLL_SECONDS)
        except BaseException:  # Tune ends the trial by an exception in `report`
            if folder.prune_wish() is None:  # the worker sees that wish by itself
                worker.ask_to_stop()
            _wait_for_end(worker)
            raise
    return worker.conclude(request.attempts_before if request else 0)


def _wait_for_end(worker: Worker) -> None:
    """Keep the place of a trial until its worker has saved, so that not more run at a time than fit."""
    deadline = time.monotonic() + STOP_SECONDS
    while not worker.has_ended() and time.monotonic() < deadline:
        worker.wait(POLL_SECONDS)


def _forward_nothing() -> None:
    """Leave the metrics where they are."""


class _Forwarder:
    """Reports the steps of a sweep's trial that were not reported yet.

    Args:
        folder: of the trial.
        metric: forward steps with this one only, all of them, and none that was there before: a sweep knows those.
    """

    def __init__(self, folder: TrialFolder, metric: str) -> None:
        self._folder = folder
        self._metric = metric
        self._offset = folder.metrics_from(0)[1]

    def forward(self) -> None:
        points, self._offset = self._folder.metrics_from(self._offset)
        by_step: dict[int, dict[str, float]] = {}
        for point in points:
            by_step.setdefault(point.step, {})[point.name] = point.value
        for step, metrics in by_step.items():
            if self._metric in metrics:
                tune.report({**metrics, "step": step})
