"""Where results are printed."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console

FILE_WIDTH = 400


def results_console(file: TextIO | None = None) -> Console:
    """Return a console as wide as the screen; a file or a pipe has no edge, unless COLUMNS gives it one.

    Args:
        file: stdout, if not given.
    """
    is_screen = (file or sys.stdout).isatty()
    return Console(file=file, width=None if is_screen or "COLUMNS" in os.environ else FILE_WIDTH)
