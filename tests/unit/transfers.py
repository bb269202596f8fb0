"""What is transferred in tests, and what is looked at afterwards."""

from __future__ import annotations

import random
from pathlib import Path

from os2d.download.how_to_get import find_dataset_download, find_model_download
from os2d.download.sources import DatasetDownload, ModelDownload
from tests.unit.file_server import FileServer

CONTENT = random.Random(7).randbytes(300_000)
AT_ONCE = (0.0, 0.0)
"""Pauses between attempts that do not keep a test waiting."""


def dataset(name: str) -> DatasetDownload:
    entry = find_dataset_download(name)
    assert entry is not None
    return entry


def model(name: str) -> ModelDownload:
    entry = find_model_download(name)
    assert entry is not None
    return entry


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def ranges(server: FileServer) -> list[str | None]:
    return [asked.range for asked in server.asked]
