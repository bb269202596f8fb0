"""A run without an orchestrator: it logs to the console and keeps its files in one plain folder."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

import torch
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from yacs.config import CfgNode

from os2d import distributed
from os2d.config import NEUTRAL_KEYS
from os2d.errors import ConfigError, Os2dError
from os2d.whole_file import whole_file

logger = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 2
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class RunInterruptedError(Os2dError):
    """The run was asked to stop and can be resumed."""

    exit_code = 75


class ConsoleRun:
    """The :class:`~os2d.run.Run` of ``main.py``; a context manager that turns SIGINT and SIGTERM into ``should_stop``.

    ``<folder>/checkpoints`` holds what :meth:`resume` reads, ``<folder>`` the named checkpoints and ``metrics.jsonl``,
    ``<folder>/artifacts`` the artifacts. Of several processes that ``torchrun`` started (inside
    :func:`~os2d.distributed.process_group`) only the first one writes; the others share its folder.

    Args:
        folder: of the run; None: a temporary one, so that nothing remains and nothing is resumed.
        seed: of every random generator.
        inputs: name of a need -> folder of a finished run.
    """

    artifacts_folder = "artifacts"

    def __init__(self, folder: Path | None, seed: int, inputs: Mapping[str, Path] | None = None) -> None:
        self.rank, self.world_size = distributed.rank(), distributed.world_size()
        self._is_temporary = folder is None
        self._temporary = tempfile.TemporaryDirectory(prefix="os2d-") if folder is None and self.rank == 0 else None
        if folder is None:
            folder = Path(distributed.from_first(self._temporary.name if self._temporary else ""))
        self.dir = folder.absolute()
        self.dir.mkdir(parents=True, exist_ok=True)
        self.seed = seed
        self.inputs: Mapping[str, Path] = dict(inputs or {})
        self.should_stop = False
        self._handlers: dict[signal.Signals, Any] = {}
        self._progress = Progress(
            BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
        )

    def __enter__(self) -> Self:
        self._handlers = {number: signal.signal(number, self._stop) for number in STOP_SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._progress.tasks:  # stopping a bar that never started prints an empty line
            self._progress.stop()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._temporary:
            self._temporary.cleanup()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Ask the task to stop; the next signal of the kind ends the process at once.

        Not where several processes work together: whoever started them may well send the signal twice.
        """
        self.should_stop = True
        if self.world_size == 1:
            signal.signal(number, self._handlers[signal.Signals(number)])
        if self.rank == 0:
            logger.warning("%s: stopping as soon as the state is saved", signal.Signals(number).name)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Append the metrics to ``metrics.jsonl``."""
        if self.rank > 0:
            return
        line = json.dumps({"step": step, "metrics": {name: float(value) for name, value in metrics.items()}})
        with (self.dir / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
        logger.debug("step %d: %s", step, ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))

    def progress(self, step: int, total: int) -> None:
        """Show a bar where the output is a terminal."""
        if self.rank > 0 or not self._progress.console.is_terminal:
            return
        if not self._progress.tasks:
            self._progress.start()
            self._progress.add_task("", total=total)
        self._progress.update(self._progress.tasks[0].id, completed=step, total=total)

    def save(self, state: Mapping[str, Any], step: int, name: str | None = None) -> Path:
        """Write a checkpoint; a run without a folder keeps the named ones only, and only until it ends."""
        path = self.dir / "checkpoints" / f"step_{step:08d}.pth" if name is None else self.dir / name
        if self.rank > 0 or (name is None and self._is_temporary):
            return path
        _write(path, lambda unfinished: torch.save(dict(state), unfinished))
        if name is None:
            for old in self._checkpoints()[:-KEPT_CHECKPOINTS]:
                old.unlink()
        return path

    def resume(self) -> Mapping[str, Any] | None:
        """Return the newest readable checkpoint."""
        for path in reversed(self._checkpoints()):
            try:
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as e:  # a damaged file can raise nearly anything; the one before it is good
                logger.warning("%s: cannot be read (%s); trying the checkpoint before it", path, e)
                continue
            logger.info("resuming from %s", path)
            return state
        return None

    def artifact(self, name: str, content: Any) -> Path:
        """Keep a file to copy, a matplotlib figure, a PIL image or text."""
        path = self.dir / self.artifacts_folder / name
        if self.rank > 0:
            return path
        match content:
            case Path():
                _write(path, lambda unfinished: shutil.copyfile(content, unfinished))
            case Figure():
                _write(path, lambda unfinished: content.savefig(unfinished, format=path.suffix[1:]))
            case Image.Image():
                _write(path, lambda unfinished: content.save(unfinished, format=path.suffix[1:]))
            case str():
                _write(path, lambda unfinished: unfinished.write_text(content, encoding="utf-8"))
            case _:
                raise TypeError(f"artifact {name}: expected a path, figure, image or text, got {type(content)}")
        return path

    def interrupt(self) -> NoReturn:
        """Leave the task."""
        raise RunInterruptedError(f"interrupted; the same command resumes from {self.dir}")

    def keep_config(self, config: CfgNode) -> None:
        """Write ``config.yml``.

        Raises:
            ConfigError: the folder holds an unfinished run of another configuration, which must not be resumed.
        """
        path = self.dir / "config.yml"
        if self.rank > 0:
            return
        if path.exists() and self._checkpoints():
            with path.open(encoding="utf-8") as stream:
                there = _plain_values(CfgNode.load_cfg(stream))
            here = _plain_values(config)
            different = sorted(k for k in {*here, *there} if here.get(k) != there.get(k))
            if different:
                key = different[0]
                raise ConfigError(
                    f"output.path: {self.dir} holds a run of another configuration ({key}: {there.get(key)!r} there, "
                    f"{here.get(key)!r} here); choose another folder or delete that one"
                )
        path.write_text(config.dump(), encoding="utf-8")

    def _checkpoints(self) -> list[Path]:
        return sorted((self.dir / "checkpoints").glob("step_*.pth"))


def _write(path: Path, write: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        write(unfinished)


def _plain_values(config: CfgNode, prefix: str = "") -> dict[str, Any]:
    """Return the dotted keys that matter for a result, with their values."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        name = prefix + key
        if isinstance(value, CfgNode):
            values |= _plain_values(value, name + ".")
        elif not any(name == k or (k.endswith(".") and name.startswith(k)) for k in NEUTRAL_KEYS):
            values[name] = list(value) if isinstance(value, tuple) else value
    return values
