"""Detection in many images and videos: what ``oneshot detect`` does once it knows what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from os2d.data.video import change_video
from os2d.detector.detector import Detector
from os2d.detector.learned_classes import LearnedClasses
from os2d.detector.outputs import Format, Output, drawn_file, save_picture
from os2d.detector.records import Record
from os2d.detector.sources import Source
from os2d.visualization.found_objects import Colour, colours_of, draw_found


@dataclass(frozen=True)
class Wanted:
    """How images are looked at; see :meth:`Detector.detect`."""

    threshold: float | None = None
    scales: tuple[float, ...] | None = None
    max_detections: int | None = None


@dataclass
class Search:
    """The same classes, looked for in one image after the other.

    Args:
        detector: the network.
        classes: learned once.
        wanted: how images are looked at.
        drawn: where images are shown with what was found.
        records: what was found so far.
    """

    detector: Detector
    classes: LearnedClasses
    wanted: Wanted
    drawn: Sequence[Output] = ()
    records: list[Record] = field(default_factory=list)

    def run(self, sources: Sequence[Source], console: Console) -> None:
        """Look at every image, draw what is found, and keep a record of each.

        Raises:
            DataError: an image cannot be read, or a file not be written.
        """
        colours = colours_of(self.classes.names)
        for output in self.drawn:
            if output.format is Format.FOLDER:
                output.path.mkdir(parents=True, exist_ok=True)
        with _bar(sources, console) as advance:
            for source in sources:
                if source.is_video:
                    self._video(source, colours, advance)
                else:
                    (image,) = source.images()
                    drawn = self._look(image, source, None, colours, advance)
                    for output in self.drawn:
                        save_picture(drawn, drawn_file(output, source))

    def _video(self, source: Source, colours: dict[str, Colour], advance: Callable[[], None]) -> None:
        """Look at every frame; a video is read again for every further place it is drawn to."""
        frames = len(self.records)
        for number, output in enumerate(self.drawn):
            if number == 0:
                looked = _numbered(lambda image, k: self._look(image, source, k, colours, advance))
                change_video(source.path, drawn_file(output, source), looked)
            else:
                again = _numbered(lambda image, k: draw_found(image, self.records[frames + k].detections, colours))
                change_video(source.path, drawn_file(output, source), again)
        if not self.drawn:
            for number, image in enumerate(source.images()):
                self._look(image, source, number, colours, advance)

    def _look(
        self,
        image: Image.Image,
        source: Source,
        frame: int | None,
        colours: dict[str, Colour],
        advance: Callable[[], None],
    ) -> Image.Image:
        """Return an image with what is found in it, of which a record is kept."""
        wanted = self.wanted
        found = self.detector.detect(
            image,
            self.classes,
            threshold=wanted.threshold,
            scales=wanted.scales,
            max_detections=wanted.max_detections,
        )
        self.records.append(Record(source.path.name, frame, image.width, image.height, found))
        advance()
        return draw_found(image, found, colours) if self.drawn else image


def _numbered(change: Callable[[Image.Image, int], Image.Image]) -> Callable[[Image.Image], Image.Image]:
    """Return the change of one image after the other, each with its number."""
    count = 0

    def next_one(image: Image.Image) -> Image.Image:
        nonlocal count
        count += 1
        return change(image, count - 1)

    return next_one


@contextmanager
def _bar(sources: Sequence[Source], console: Console) -> Iterator[Callable[[], None]]:
    """Show on a terminal how many images are done; elsewhere nothing."""
    frames = [source.frames for source in sources]
    total = None if None in frames else sum(count or 0 for count in frames)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = console.is_terminal and total != 1
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task("detecting", total=total)
        yield lambda: progress.advance(task)
