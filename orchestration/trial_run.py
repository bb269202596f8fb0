"""What a task sees of its trial folder: logging, saving, resuming, and the wish to stop."""

from __future__ import annotations

import io
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NoReturn, Protocol

from orchestration.attempt import Attempt, now_ms
from orchestration.checkpoints import Checkpoints
from orchestration.durable import LineWriter, make_folder, write_whole
from orchestration.journal import TrialFolder
from orchestration.stop import StopReason, StopRequest
from orchestration.trial_description import Trial

logger = logging.getLogger(__name__)


class InterruptedTrial(BaseException):
    """Raised by :meth:`TrialRun.interrupt`; not an ``Exception``, so that no task catches it by accident."""


class Progress(Protocol):
    """Whoever passes on how far the task is."""

    step: int
    total: int


class Team(Protocol):
    """The processes that compute the trial together, as one of them sees the others."""

    @property
    def rank(self) -> int:
        """Of this process."""

    @property
    def size(self) -> int:
        """How many processes there are."""

    def should_stop(self, step: int) -> bool:
        """Tell whether this process, having done so many steps, should stop now."""

    def tell_checkpoint(self, step: int | None) -> None:
        """Let the others resume what the first process has resumed; None for a fresh start."""

    def chosen_checkpoint(self) -> int | None:
        """Return the step of the state that the first process has resumed; waits for it."""


class TrialRun:
    """One attempt at a trial as its task sees it.

    Where several processes compute the trial together, each has a run with its ``rank`` of ``world_size``, and:

    * all of them call ``log``, ``progress``, ``save`` and ``artifact`` alike; only the first one writes;
    * ``resume`` returns the same state everywhere, and all of them call it, or only the first one;
    * ``should_stop`` becomes true everywhere at the same step: the step of the last ``log`` or ``progress``. Who asks
      again and again within one step is told after two seconds, which may be a moment earlier than the others: leave
      there only when they survive it, or agree with them first;
    * the metrics that count are those the task returns in the first process.

    Args:
        folder: of the trial.
        trial: what it is.
        attempt: which one this is.
        progress: told how far the task is.
        stop: why to stop, once there is a reason.
        team: the other processes; None when there are none.
    """

    def __init__(
        self,
        folder: TrialFolder,
        trial: Trial,
        attempt: Attempt,
        progress: Progress,
        stop: StopRequest,
        team: Team | None = None,
    ) -> None:
        self.rank = team.rank if team else 0
        self.world_size = team.size if team else 1
        self.dir = folder.path
        self.seed = trial.seed
        self.inputs: Mapping[str, Path] = MappingProxyType(
            {name: folder.path.parent / signature for name, signature in trial.needs.items()}
        )
        self.step = 0
        self._folder = folder
        self._attempt = attempt
        self._progress = progress
        self._stop = stop
        self._team = team
        self._checkpoints = Checkpoints(folder.checkpoints)
        if self.rank == 0:
            self._checkpoints.sweep()
        self._metrics = LineWriter(folder.metrics_file)
        self._events = LineWriter(folder.events_file)

    @property
    def should_stop(self) -> bool:
        """True once somebody asked the trial to end early."""
        if self._team is not None:
            return self._team.should_stop(self.step)
        return self._stop.reason is not None

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Append the metrics of a step; readers take the last value of a step."""
        values = self._values(metrics, step)
        self._require_own()
        self._metrics.append({"step": step, "time_ms": now_ms(), "attempt": self._attempt.number, "metrics": values})
        self.step = max(self.step, step)

    def progress(self, step: int, total: int) -> None:
        """Tell how far the task is; the next heartbeat carries it."""
        self._progress.step, self._progress.total = step, total
        self.step = max(self.step, step)

    def save(self, state: Mapping[str, Any], step: int, name: str | None = None) -> Path:
        """Write a checkpoint; what was logged before it is on the disk before it."""
        self._require_own()
        self._metrics.sync()
        return self._checkpoints.save(state, step, name)

    def resume(self) -> Mapping[str, Any] | None:
        """Return the newest intact unnamed checkpoint, or None for a fresh start."""
        if self.rank == 0:
            self._take_over()
        step = self._checkpoints.newest_step(self._report_damage)
        state = None if step is None else self._checkpoints.at(step)
        if step is not None:
            self.step = step
            self.event("resumed", step=step)
        if self._team is not None:
            self._team.tell_checkpoint(step)
        return state

    def artifact(self, name: str, content: Any) -> Path:
        """Keep a file under ``artifacts/``: a path to copy, text, bytes, a matplotlib figure or a PIL image."""
        path = self._artifact_path(name)
        self._require_own()
        make_folder(path.parent)
        write_whole(path, _writer(name, content))
        return path

    def interrupt(self) -> NoReturn:
        """Leave the task after ``should_stop``."""
        raise InterruptedTrial

    def event(self, kind: str, **details: Any) -> None:
        """Record something worth telling."""
        if self._attempt.is_overtaken():
            return
        self._events.append({"kind": kind, "time_ms": now_ms(), "attempt": self._attempt.number, **details})

    def _require_own(self) -> None:
        """Leave the task when this worker was held up so long that another one took over: the files are its now."""
        if self._attempt.is_overtaken():
            self._stop.set(StopReason.OVERTAKEN)
            raise InterruptedTrial

    def close(self) -> None:
        """Wait until everything is on the disk."""
        self._metrics.sync()
        self._metrics.close()
        self._events.close()

    @staticmethod
    def _values(metrics: Mapping[str, float], step: int) -> dict[str, float]:
        if isinstance(step, bool) or not isinstance(step, int):
            raise TypeError(f"log: step: expected an int, got {step!r}")
        return {str(name): float(value) for name, value in metrics.items()}

    def _artifact_path(self, name: str) -> Path:
        path = self._folder.artifacts / name
        if not path.resolve().is_relative_to(self._folder.artifacts.resolve()):
            raise ValueError(f"artifact name {name!r}: it leads out of the trial's artifacts folder")
        return path

    def _take_over(self) -> None:
        """Go on from the copy of another member's checkpoint, where population based training has left one."""
        perturbed = self._folder.perturbation()
        if perturbed is None or not self._checkpoints.take_over(perturbed.generation, perturbed.step):
            return
        self.event("exploited", donor=perturbed.donor, step=perturbed.step, settings=dict(perturbed.settings))
        numbers = {f"population/{key}": v for key, v in perturbed.settings.items() if type(v) in (int, float)}
        if numbers:
            self.log(numbers, perturbed.step)

    def _report_damage(self, path: Path) -> None:
        logger.warning("%s: damaged; put aside, and the checkpoint before it is used", path)
        self.event("checkpoint_damaged", path=path.name)


def _writer(name: str, content: Any) -> Any:
    """Return bytes, text or a function that writes the content to an open file."""
    if isinstance(content, bytes | str):
        return content
    if isinstance(content, Path):
        source = content

        def copy(file: BinaryIO) -> None:
            with source.open("rb") as original:
                shutil.copyfileobj(original, file)

        return copy
    suffix = Path(name).suffix.removeprefix(".") or "png"
    for method in ("savefig", "save"):  # a matplotlib figure, a PIL image
        if hasattr(content, method):
            buffer = io.BytesIO()
            getattr(content, method)(buffer, format={"jpg": "jpeg"}.get(suffix.lower(), suffix))
            return buffer.getvalue()
    raise TypeError(f"artifact {name!r}: expected a path, text, bytes, figure or image, got {type(content).__name__}")
