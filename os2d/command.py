"""What the published commands share: one line for an error, the exit code, and the log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from os2d.distributed import launch
from os2d.errors import Os2dError

EXIT_CODES = "exit codes: 0 done, 2 something to correct (one line says what), 75 interrupted and can be resumed"


def exit_code_of(work: Callable[[], object]) -> int:
    """Do the work and return the exit code; what a user can correct is printed in one line."""
    try:
        work()
    except Os2dError as e:
        if launch().rank == 0 or e.exit_code != 75:
            print(f"error: {e}", file=sys.stderr)
        return e.exit_code
    return 0


def start_log(file: Path | None, rank: int, system: str, loggers: Sequence[str], level: int = logging.INFO) -> None:
    """Let everything our code tells appear on the standard output, and in the file if there is one.

    Other libraries only warn; of several processes all but the first only do so too.

    Args:
        file: to append to.
        rank: of this process.
        system: what a line names, after its time.
        loggers: of our code.
        level: from which they tell.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if file is not None and rank == 0:
        handlers.append(logging.FileHandler(file, encoding="utf-8"))
    line = f"%(asctime)s {system} %(levelname)s: %(message)s"
    logging.basicConfig(level=logging.WARNING, format=line, handlers=handlers, force=True)
    for name in loggers:
        logging.getLogger(name).setLevel(level if rank == 0 else logging.WARNING)


def final_line(metrics: Mapping[str, float]) -> str:
    """Return the last line of a log: every metric and its value."""
    return f"final: {', '.join(f'{name} {value:.4f}' for name, value in metrics.items())}"
