"""What is transferred in tests, and what is looked at afterwards."""

from __future__ import annotations

import random
from pathlib import Path

from tests.unit.file_server import FileServer

CONTENT = random.Random(7).randbytes(300_000)
AT_ONCE = (0.0, 0.0)
"""Pauses between attempts that do not keep a test waiting."""


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def ranges(server: FileServer) -> list[str | None]:
    return [asked.range for asked in server.asked]
