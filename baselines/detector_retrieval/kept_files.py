"""Files that a finished run has left for those that need it.

Light on purpose (no torch).
"""

from __future__ import annotations

from pathlib import Path

from os2d.errors import CheckpointError


def kept_file(folder: Path, *names: str) -> Path:
    """Return the file of a finished run that has the first of some names, of which the earlier ones are preferred.

    Raises:
        CheckpointError: there is none.
    """
    for name in names:
        for path in (folder / name, folder / "checkpoints" / name):
            if path.is_file():
                return path
    raise CheckpointError(f"{folder}: expected {' or '.join(names)} of a finished run, found none")
