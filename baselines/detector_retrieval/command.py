"""What the command lines of detector + retrieval share: a task in a folder, its log, its exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from yacs.config import CfgNode

from baselines.detector_retrieval.retrieval.needs import DATA_FOLDER_NAME
from os2d.console import ConsoleRun
from os2d.data.catalog import resolved_root
from os2d.engine.distributed import launch
from os2d.errors import Os2dError
from os2d.run import Task

logger = logging.getLogger("baselines.detector_retrieval")

LINE = "%(asctime)s %(name)s %(levelname)s: %(message)s"

EXIT_CODES = "exit codes: 0 done, 2 something to correct (one line says what), 75 interrupted and can be resumed"


def exit_code_of(work: Callable[[], None]) -> int:
    """Do the work and return the exit code; what a user can correct is printed in one line."""
    try:
        work()
    except Os2dError as e:
        if launch().rank == 0 or e.exit_code != 75:
            print(f"error: {e}", file=sys.stderr)
        return e.exit_code
    return 0


def run_task(task: Task, config: CfgNode, folder: Path | None) -> None:
    """Check the configuration and run the task in a folder; the same command again resumes an interrupted run."""
    task.validate(config)
    with ConsoleRun(folder, config.random_seed) as run:
        _start_log(folder / "log.txt" if folder is not None else None, run.rank)
        logger.info("configuration:\n%s", config)
        metrics = task(config, run)
        logger.info("final: %s", ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))


def retrieval_folder(given: str | None) -> Path:
    """Return the folder of prepared retrieval data sets: the given one, else ``retrieval`` below the data root."""
    return Path(given).expanduser() if given else resolved_root(None) / DATA_FOLDER_NAME


def _start_log(file: Path | None, rank: int) -> None:
    """Let everything our code tells appear on the standard output, and in the file if there is one."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if file is not None and rank == 0:
        handlers.append(logging.FileHandler(file, encoding="utf-8"))
    logging.basicConfig(level=logging.WARNING, format=LINE, handlers=handlers, force=True)
    for name in ("baselines", "os2d"):
        logging.getLogger(name).setLevel(logging.INFO if rank == 0 else logging.WARNING)
