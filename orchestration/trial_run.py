"""What a task sees of its trial folder: logging, saving, resuming, and the wish to stop."""

from __future__ import annotations

import io
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NoReturn

from orchestration.attempt import Attempt, now_ms
from orchestration.checkpoints import Checkpoints, step_of
from orchestration.durable import LineWriter, make_folder, write_whole
from orchestration.journal import TrialFolder
from orchestration.plan import Trial
from orchestration.stop import Pulse, StopRequest

logger = logging.getLogger(__name__)


class InterruptedTrial(BaseException):
    """Raised by :meth:`TrialRun.interrupt`; not an ``Exception``, so that no task catches it by accident."""


class TrialRun:
    """One attempt at a trial as its task sees it."""

    rank = 0
    world_size = 1

    def __init__(self, folder: TrialFolder, trial: Trial, attempt: Attempt, pulse: Pulse, stop: StopRequest) -> None:
        self.dir = folder.path
        self.seed = trial.seed
        self.inputs: Mapping[str, Path] = MappingProxyType(
            {name: folder.path.parent / signature for name, signature in trial.needs.items()}
        )
        self.step = 0
        self._folder = folder
        self._attempt = attempt
        self._pulse = pulse
        self._stop = stop
        self._checkpoints = Checkpoints(folder.checkpoints)
        self._checkpoints.sweep()
        self._metrics = LineWriter(folder.metrics_file)
        self._events = LineWriter(folder.events_file)

    @property
    def should_stop(self) -> bool:
        """True once somebody asked the trial to end early."""
        return self._stop.reason is not None

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Append the metrics of a step; readers take the last value of a step."""
        if isinstance(step, bool) or not isinstance(step, int):
            raise TypeError(f"log: step: expected an int, got {step!r}")
        values = {str(name): float(value) for name, value in metrics.items()}
        self._metrics.append({"step": step, "time_ms": now_ms(), "attempt": self._attempt.number, "metrics": values})
        self.step = max(self.step, step)

    def progress(self, step: int, total: int) -> None:
        """Tell how far the task is; the next heartbeat carries it."""
        self._pulse.step, self._pulse.total = step, total
        self.step = max(self.step, step)

    def save(self, state: Mapping[str, Any], step: int, name: str | None = None) -> Path:
        """Write a checkpoint; what was logged before it is on the disk before it."""
        self._metrics.sync()
        return self._checkpoints.save(state, step, name)

    def resume(self) -> Mapping[str, Any] | None:
        """Return the newest intact unnamed checkpoint, or None for a fresh start."""
        if self.rank == 0:
            self._take_over()
        state = self._checkpoints.newest(self._report_damage)
        if state is not None:
            self.step = step_of(self._checkpoints.unnamed()[-1])
            self.event("resumed", step=self.step)
        return state

    def artifact(self, name: str, content: Any) -> Path:
        """Keep a file under ``artifacts/``: a path to copy, text, bytes, a matplotlib figure or a PIL image."""
        path = self._folder.artifacts / name
        if not path.resolve().is_relative_to(self._folder.artifacts.resolve()):
            raise ValueError(f"artifact name {name!r}: it leads out of the trial's artifacts folder")
        make_folder(path.parent)
        write_whole(path, _writer(name, content))
        return path

    def interrupt(self) -> NoReturn:
        """Leave the task after ``should_stop``."""
        raise InterruptedTrial

    def event(self, kind: str, **details: Any) -> None:
        """Record something worth telling."""
        self._events.append({"kind": kind, "time_ms": now_ms(), "attempt": self._attempt.number, **details})

    def close(self) -> None:
        """Wait until everything is on the disk."""
        self._metrics.sync()
        self._metrics.close()
        self._events.close()

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
