"""What a finished fetch leaves behind: where the files came from, and that nothing was left half-done."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from os2d.download.partial import disk_errors
from os2d.whole_file import whole_file


@dataclass(frozen=True)
class FileRecord:
    """One file that came.

    Args:
        file: its published path.
        source: the address it came from.
        sha256: of the file, for archives of the archive.
        size_bytes: likewise.
    """

    file: str
    source: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Receipt:
    """The content of ``.fetched-<name>.json``.

    Args:
        moving: True while unpacked files are being moved into place: what lies there may be half of it.
        files: what came.
        holds: the files and folders that belong to it, relative to the receipt's folder; empty until all are there.
        archives: published paths of archives that came and are still to be unpacked and removed.
    """

    moving: bool = False
    files: tuple[FileRecord, ...] = ()
    holds: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()


def receipt_path(folder: Path, name: str) -> Path:
    """Return where the receipt of ``name`` lies."""
    return folder / f".fetched-{name}.json"


def read_receipt(path: Path) -> Receipt:
    """Return the receipt; an empty one when there is none or it cannot be read: then nothing is known."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files = tuple(FileRecord(**record) for record in content["files"])
        return Receipt(bool(content["moving"]), files, tuple(content["holds"]), tuple(content["archives"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Receipt()


def write_receipt(path: Path, receipt: Receipt) -> None:
    """Replace the receipt."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as unfinished:
            unfinished.write_text(json.dumps(asdict(receipt), indent=1), encoding="utf-8")
