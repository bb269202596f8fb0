"""Small archives in the layout of the published ones."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path

PHOTO = random.Random(3).randbytes(300_000)
GROZI = {"grozi/classes/grozi.csv": b"csv", "grozi/classes/images/1.jpg": b"1", "grozi/src/3264/0.jpg": PHOTO}
RETAIL = {
    f"{name}/{path}": b"retail"
    for name in ("dairy", "paste")
    for path in (f"classes/{name}.csv", "classes/images/1.jpg", "src/original/0.jpg")
}


def zipped(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # the same whenever it is made
    return stream.getvalue()


def files_in(folder: Path) -> dict[str, bytes]:
    visible = [f for f in sorted(folder.rglob("*")) if f.is_file() and not f.name.startswith(".")]
    return {str(f.relative_to(folder)): f.read_bytes() for f in visible}
