"""What a task may ask of whoever runs it, and the plain console implementation.

A task is ``task(config, run) -> final metrics``. It knows nothing of schedulers, trackers or clusters: it logs,
saves and resumes through its :class:`Run`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, Protocol

from yacs.config import CfgNode


class Run(Protocol):
    """One execution of one task; every orchestrator provides its own."""

    @property
    def dir(self) -> Path:
        """The folder that belongs to this run."""

    @property
    def seed(self) -> int:
        """The seed every random generator of the task is derived from."""

    @property
    def inputs(self) -> Mapping[str, Path]:
        """Name of a need -> folder of the finished run that satisfies it."""

    @property
    def rank(self) -> int:
        """Rank of this process among the ``world_size`` processes of the run."""

    @property
    def world_size(self) -> int:
        """Number of processes that work on this run together."""

    @property
    def should_stop(self) -> bool:
        """True once the run was asked to end early: save, then call :meth:`interrupt`."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics of a step; logging a step again replaces it."""

    def progress(self, step: int, total: int) -> None:
        """Tell how far the task is; cheap enough for every step."""

    def save(self, state: Mapping[str, Any], step: int, name: str | None = None) -> Path:
        """Write a checkpoint atomically and return its path.

        Unnamed checkpoints are for :meth:`resume` and only the last few are kept; named ones stay.
        """

    def resume(self) -> Mapping[str, Any] | None:
        """Return the newest readable unnamed checkpoint, or None for a fresh start."""

    def artifact(self, name: str, content: Any) -> Path:
        """Keep a file under ``artifacts/<name>``: a path to copy, a matplotlib figure, a PIL image or text."""

    def interrupt(self) -> NoReturn:
        """Leave the task after ``should_stop``: the state is saved and the run can be resumed."""


class MissingInput(str):
    """Stands where a fingerprint would, for a file or data set that is not on this machine.

    A plan is made all the same; whoever starts its trials refuses those that read it. The text is the whole message.

    Args:
        what: is missing.
        how: to get it.
    """

    how: str

    def __new__(cls, what: str, how: str) -> MissingInput:
        """Join both to one message."""
        text = super().__new__(cls, f"{what}; {how}")
        text.how = how
        return text


@dataclass(frozen=True)
class Task:
    """A task as planners see it: cheap to import, because the work itself is named by an import string.

    Args:
        function: ``"package.module:function"`` with the signature ``(config, run) -> metrics``.
        default_config: returns a fresh configuration tree with every key and its default.
        code_version: raised by hand when the same configuration gives other numbers than before.
        validate: raises :class:`~os2d.errors.ConfigError` for values that cannot work together.
        fingerprints: names the data and weight files a configuration reads, with a hash of their content, or a
            :class:`MissingInput` for what is not there.
        seed_key: the configuration key that holds the seed.
        neutral_keys: keys (or prefixes ending in ``.``) that cannot change any result.
    """

    function: str
    default_config: Callable[[], CfgNode]
    code_version: str
    validate: Callable[[CfgNode], None]
    fingerprints: Callable[[CfgNode], Mapping[str, str]]
    seed_key: str = "random_seed"
    neutral_keys: tuple[str, ...] = ()

    def __call__(self, config: CfgNode, run: Run) -> Mapping[str, float]:
        """Import the function and run it."""
        module, _, name = self.function.partition(":")
        metrics: Mapping[str, float] = getattr(import_module(module), name)(config, run)
        return metrics
