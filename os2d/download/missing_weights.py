"""What to do about a weights file that is not there.

Light on purpose (no torch): planners ask too.
"""

from __future__ import annotations

from pathlib import Path

from os2d.download.how_to_get import find_model_download, how_to_get

CONVERTED, RENAMED = "-converted.pth", "-renamed.pth"
"""Two endings under which the published documents speak of one and the same file."""


def why_missing(path: Path) -> str:
    """Return the message about a missing file: what lies there instead, or how to get it."""
    if path.is_dir():
        return f"{path}: no such weights file: it is a folder; give the path of a file in it"
    return f"{path}: no such weights file; {_advice(path)}"


def _advice(path: Path) -> str:
    twin, source = _twin(path), _source(path)
    if twin is not None and twin.is_file():
        return f"{twin} holds the same weights under their other published name: name that one, or cp {twin} {path}"
    if source is not None and source.is_file():
        return f"make it: oneshot models convert {source} --output {path}"
    command = how_to_get(str(path))
    return f"get it: {command}" if command else "check the path, or what was to write it"


def _twin(path: Path) -> Path | None:
    for ending, other in ((RENAMED, CONVERTED), (CONVERTED, RENAMED)):
        if path.name.endswith(ending):
            return path.with_name(path.name.removesuffix(ending) + other)
    return None


def _source(path: Path) -> Path | None:
    """Return the file beside ``path`` that is converted to it, whether it exists or not."""
    published = find_model_download(str(path))
    if published is not None and published.convert and path.name != Path(published.files[0].file).name:
        return path.with_name(Path(published.files[0].file).name)
    for ending in (RENAMED, CONVERTED, "_converted.pth"):
        if path.name.endswith(ending):
            return path.with_name(path.name.removesuffix(ending) + ".pth")
    return None
