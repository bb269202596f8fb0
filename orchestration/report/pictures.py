"""Pictures that evaluations leave: of the images they do worst and best in, and of the first ones."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from orchestration.report.stories import Chapter, TrialStory

FOLDER = "pictures"

WIDTH_PX, QUALITY = 720, 78

MOST_BYTES = 5_000_000
"""Of all pictures on a page together, which must stay small enough to be sent and opened."""

KINDS = {"worst": "Worst images", "best": "Best images", "": "First images"}
"""End of a file's name -> what it shows; the order in which they are shown."""


@dataclass(frozen=True)
class Picture:
    """A picture of a setting: of its first trial that has it."""

    setting: str
    story: TrialStory
    address: str
    original: str


@dataclass(frozen=True)
class Strip:
    """The pictures of one kind side by side."""

    title: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Gallery:
    """The pictures of one data set."""

    dataset: str
    strips: Sequence[Strip]


class Album:
    """The pictures of a page, as many as it has room for.

    Args:
        chapters: the experiments, the most interesting first.
    """

    def __init__(self, chapters: Sequence[Chapter]) -> None:
        self.left_out = 0
        self._bytes_left = MOST_BYTES
        wanted = _wanted(chapters)
        # The worst and best images of every data set come before the first ones of any.
        room = {place: self._strip(place, wanted[place]) for place in sorted(wanted, key=lambda place: not place[1])}
        self.galleries = [
            Gallery(dataset, strips)
            for dataset in dict.fromkeys(dataset for dataset, _ in wanted)
            if (strips := [s for kind in KINDS if (s := room.get((dataset, kind))) is not None and s.pictures])
        ]

    def _strip(self, place: tuple[str, str], wanted: Sequence[tuple[str, TrialStory, Path]]) -> Strip:
        pictures = []
        for setting, story, file in wanted:
            if self._bytes_left > 0:
                address = picture_address(file)
                self._bytes_left -= len(address)
                original = f"{story.folder}/artifacts/{FOLDER}/{quote(file.name)}"
                pictures.append(Picture(setting, story, address, original))
            else:
                self.left_out += 1
        return Strip(KINDS[place[1]], pictures)


def picture_address(path: Path, width_px: int = WIDTH_PX) -> str:
    """Return a picture as a ``data:`` address, reduced to at most ``width_px``."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if picture.width > width_px:
        height = max(1, round(picture.height * width_px / picture.width))
        picture = picture.resize((width_px, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, format="WEBP", quality=QUALITY, method=1)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _wanted(chapters: Sequence[Chapter]) -> dict[tuple[str, str], list[tuple[str, TrialStory, Path]]]:
    """Return (data set, kind) -> setting, trial and file, for the first trial of each setting that has the picture."""
    found: dict[tuple[str, str], list[tuple[str, TrialStory, Path]]] = {}
    for chapter in chapters:
        for setting, stories in chapter.settings.items():
            label = chapter.label(setting) if len(chapters) > 1 else setting
            seen: set[str] = set()
            for story in stories:
                for file in sorted((story.artifacts / FOLDER).glob("*.png")) if story.artifacts else ():
                    if file.name not in seen:
                        seen.add(file.name)
                        found.setdefault(_place(file.stem), []).append((label, story, file))
    return found


def _place(stem: str) -> tuple[str, str]:
    dataset, _, kind = stem.rpartition("-")
    return (dataset, kind) if kind in KINDS and dataset else (stem, "")
