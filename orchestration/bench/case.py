"""What all stages of a run share: sizes, a folder, and plans of trials that do nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import orchestration
from orchestration.describe import Experiment, grid
from orchestration.errors import LaunchError
from orchestration.plan import Plan, plan
from orchestration.resources import Resources

TASK = "orchestration.bench.tasks:nothing"
SOURCE = str(Path(orchestration.__path__[0]).parent)
COMMAND_SECONDS = 600.0


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    trials: int = 10_000
    table_runs: int = 1_000
    submitted: int = 1_000
    ray_trials: int = 24
    local_trials: int = 20
    synced_trials: int = 40
    synced_steps: int = 500
    repetitions: int = 3


QUICK = Sizes(200, 50, 50, 6, 4, 4, 100, 1)


@dataclass(frozen=True)
class Case:
    """One run of the benchmark.

    Args:
        sizes: how much is measured.
        folder: for everything that is written.
    """

    sizes: Sizes
    folder: Path

    def new_folder(self, name: str) -> Path:
        """Return a folder that no other stage or repetition uses."""
        return Path(mkdtemp(prefix=f"{name}-", dir=self.folder))

    def rounds(self) -> range:
        """Return the repetitions."""
        return range(self.sizes.repetitions)


def plan_of(count: int) -> Plan:
    """Return a plan of so many trials that do nothing."""
    space = grid({"index": list(range(count))})
    return plan([Experiment("bench", TASK, space=space, resources=Resources(memory_gb=0.1))])


def seconds_of(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def run_command(arguments: Sequence[str], extra: Mapping[str, str] | None = None) -> str:
    """Run Python with arguments, with this source first, and return what it printed."""
    paths = [SOURCE, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(extra or {})}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if done.returncode:
        raise LaunchError(f"{' '.join(arguments)}: exit {done.returncode}: {done.stderr[-1000:]}")
    return done.stdout
