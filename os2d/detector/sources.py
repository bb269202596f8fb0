"""Where images come from: files, folders of them, and the frames of videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from os2d.data.video import number_of_pictures, pictures_of
from os2d.detector.class_images import read_upright
from os2d.errors import ConfigError, DataError

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".ogv", ".3gp")
)


@dataclass(frozen=True)
class Source:
    """A file with one image, or a video.

    Args:
        path: of the file.
        frames: how many images are in it; None: nobody knows before the end.
    """

    path: Path
    frames: int | None = 1

    @property
    def is_video(self) -> bool:
        """Whether it holds frames."""
        return is_video(self.path)

    def images(self) -> Iterator[Image.Image]:
        """Yield its RGB images.

        Raises:
            DataError: it cannot be read.
        """
        if self.is_video:
            yield from pictures_of(self.path)
        else:
            yield read_upright(self.path)


def is_video(path: Path) -> bool:
    """Tell from its name whether a file is a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_image(path: Path) -> bool:
    """Tell from its name whether a file is an image."""
    return path.suffix.lower() in Image.registered_extensions() and not is_video(path)


def find_sources(given: Sequence[Path]) -> list[Source]:
    """Return the files that are meant; a folder stands for the images in it, sorted by name.

    Raises:
        DataError: a file is missing or no video, or there is no image in a folder.
    """
    sources = []
    for path in given:
        if path.is_dir():
            sources += [Source(file) for file in images_in(path)]
        elif not path.is_file():
            raise DataError(f"--image {path}: no such image, folder or video")
        else:
            sources.append(Source(path, number_of_pictures(path)) if is_video(path) else Source(path))
    return sources


def images_in(folder: Path) -> list[Path]:
    """Return the images of a folder, sorted by name.

    Raises:
        DataError: there is none.
    """
    found = sorted(path for path in folder.iterdir() if path.is_file() and is_image(path))
    if not found:
        raise DataError(f"{folder}: expected a folder with images, found none in it")
    return found


def find_class_images(given: Sequence[str]) -> dict[str, list[Path]]:
    """Return name of a class -> files of its pictures.

    Args:
        given: ``FILE`` for a class that is called as the file, ``FOLDER`` for a class per picture in it, and
            ``NAME=FILE`` or ``NAME=FOLDER`` for views of one class.

    Raises:
        DataError: a file is missing.
        ConfigError: a name is empty, or two files without a name are called the same.
    """
    found: dict[str, list[Path]] = {}
    for text in given:
        name, separator, rest = text.partition("=")
        is_named = bool(separator) and not Path(text).exists()
        path = Path(rest if is_named else text).expanduser()
        if is_named and not name:
            raise ConfigError(f"--class-image {text}: expected FILE or NAME=FILE, got an empty name")
        if not path.exists():
            raise DataError(f"--class-image {path}: no such image or folder")
        for file in images_in(path) if path.is_dir() else [path]:
            label = name if is_named else file.stem
            if label in found and not is_named:
                raise ConfigError(
                    f"--class-image {file}: a class is called {label!r} already; name them: --class-image NAME={file}, "
                    "where one NAME for both makes them views of one class"
                )
            found.setdefault(label, []).append(file)
    return found
