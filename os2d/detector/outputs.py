"""Where detections go: pictures, videos, and tables in several formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from PIL import Image

from os2d.detector.sources import Source, is_image, is_video
from os2d.errors import ConfigError, DataError
from os2d.whole_file import whole_file


class Format(StrEnum):
    """What is written into a file."""

    PICTURE = "picture"
    VIDEO = "video"
    FOLDER = "folder"
    JSON = "json"
    CSV = "csv"
    COCO = "coco"


TABLES = (Format.JSON, Format.CSV, Format.COCO)
COCO_ENDING = ".coco.json"
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Output:
    """One ``--output``.

    Args:
        path: of a file or a folder.
        format: of what is written there.
    """

    path: Path
    format: Format

    @property
    def is_drawn(self) -> bool:
        """Whether it shows the images."""
        return self.format not in TABLES


def find_outputs(paths: Sequence[Path], wanted: Format | None, sources: Sequence[Source]) -> list[Output]:
    """Return what is to be written; everything that cannot work is said before anything is computed.

    Args:
        paths: files and folders.
        wanted: the format of all of them; None: told by the ending of each.
        sources: what is looked at.

    Raises:
        ConfigError: the format is unknown, does not fit the sources, or a file would be lost.
    """
    outputs = [Output(path, wanted or _format_of(path)) for path in paths]
    for output in outputs:
        _check(output, sources)
    written = [path for output in outputs for path in drawn_files(output, sources)]
    read = {source.path.resolve() for source in sources}
    lost = next((path for path in written if path.resolve() in read), None)
    if lost is not None:
        raise ConfigError(f"--output: {lost} itself would be drawn over; choose another folder or name")
    if len(set(written)) < len(written):
        twice = next(path for path in written if written.count(path) > 1)
        raise ConfigError(f"--output: {twice} would be written twice; give every folder of images its own output")
    return outputs


def drawn_files(output: Output, sources: Sequence[Source]) -> list[Path]:
    """Return the drawn file of every source; nothing for a table."""
    if not output.is_drawn:
        return []
    return [drawn_file(output, source) for source in sources]


def drawn_file(output: Output, source: Source) -> Path:
    """Return where a source is drawn; a format that cannot be written becomes PNG."""
    if output.format is not Format.FOLDER:
        return output.path
    name = source.path.name
    writable = source.is_video or source.path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tiff")
    return output.path / (name if writable else f"{source.path.stem}.png")


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture; the file appears complete or not at all.

    Raises:
        DataError: it cannot be written.
    """
    _save(path, lambda unfinished: picture.save(unfinished, quality=JPEG_QUALITY))


def save_text(text: str, path: Path) -> None:
    """Write a text; as :func:`save_picture`."""
    _save(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def _save(path: Path, write: Callable[[Path], object]) -> None:
    try:
        with whole_file(path, ending=path.suffix) as unfinished:
            write(unfinished)
    except (OSError, ValueError) as e:  # a ValueError: no picture has this ending
        raise DataError(f"{path}: cannot be written: {e}") from e


def _format_of(path: Path) -> Format:
    name = path.name.lower()
    if name.endswith(COCO_ENDING):
        return Format.COCO
    if name.endswith((".json", ".csv")):
        return Format(path.suffix[1:].lower())
    if is_video(path):
        return Format.VIDEO
    if is_image(path):
        return Format.PICTURE
    if path.is_dir() or not path.suffix:
        return Format.FOLDER
    raise ConfigError(
        f"--output {path}: unknown format; expected a picture (.png, .jpg), a video (.mp4, .mkv), .json, .csv, "
        f"{COCO_ENDING} or a folder, or say which it is with --format"
    )


def _check(output: Output, sources: Sequence[Source]) -> None:
    path, format_ = output.path, output.format
    if format_ is Format.FOLDER:
        if path.exists() and not path.is_dir():
            raise ConfigError(f"--output {path}: expected a folder, this is a file")
        return
    if path.is_dir():
        raise ConfigError(f"--output {path}: expected a file for the format {format_}, this is a folder")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--output {path}: there is no folder {path.parent}; create it first")
    only_videos = all(source.is_video for source in sources)
    if format_ is Format.PICTURE and (len(sources) > 1 or only_videos):
        what = "a video file (.mp4, .mkv) for a video" if only_videos else f"a folder for {len(sources)} images"
        raise ConfigError(f"--output {path}: expected {what}, got the name of one picture")
    if format_ is Format.VIDEO and (len(sources) > 1 or not only_videos):
        raise ConfigError(
            f"--output {path}: a video is written of one video, not of images; name a folder or a picture"
        )
