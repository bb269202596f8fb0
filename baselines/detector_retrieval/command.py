"""What the command lines of detector + retrieval share: a task in a folder, and where prepared data lies."""

from __future__ import annotations

import logging
from pathlib import Path

from yacs.config import CfgNode

from baselines.detector_retrieval.retrieval.needs import DATA_FOLDER_NAME
from os2d.command import final_line, start_log
from os2d.console import ConsoleRun
from os2d.data.catalog import resolved_root
from os2d.run import Task

logger = logging.getLogger("baselines.detector_retrieval")


def run_task(task: Task, config: CfgNode, folder: Path | None) -> None:
    """Check the configuration and run the task in a folder; the same command again resumes an interrupted run."""
    task.validate(config)
    with ConsoleRun(folder, config.random_seed) as run:
        start_log(folder / "log.txt" if folder is not None else None, run.rank, "%(name)s", ("baselines", "os2d"))
        logger.info("configuration:\n%s", config)
        metrics = task(config, run)
        logger.info(final_line(metrics))


def retrieval_folder(given: str | None) -> Path:
    """Return the folder of prepared retrieval data sets: the given one, else ``retrieval`` below the data root."""
    return Path(given).expanduser() if given else resolved_root(None) / DATA_FOLDER_NAME
