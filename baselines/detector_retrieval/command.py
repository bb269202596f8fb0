"""What the command lines of detector + retrieval share: a task, run in a folder."""

from __future__ import annotations

import logging
from pathlib import Path

from yacs.config import CfgNode

from os2d.command import final_line, start_log
from os2d.console import ConsoleRun
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
