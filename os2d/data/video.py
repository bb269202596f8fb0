"""Videos as pictures and back, by PyAV, which brings its own decoders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from PIL import Image

from os2d.errors import DataError
from os2d.whole_file import whole_file

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer


def change_video(source: Path, target: Path, change: Callable[[Image.Image], Image.Image]) -> int:
    """Write a video with every picture changed, at the times of the source, and return how many there were.

    The target appears complete or not at all.

    Args:
        source: of any format that FFmpeg reads.
        target: its ending names the format, such as .mkv or .mp4.
        change: keeps the size of a picture.

    Raises:
        DataError: the source cannot be read, or the target not be written.
    """
    av = _av()
    try:
        with (
            whole_file(target, ending=target.suffix) as unfinished,
            av.open(str(source)) as video,
            av.open(str(unfinished), "w") as changed,
        ):
            _check_has_pictures(source, video)
            return _copy(av, video, changed, change)
    except (av.error.FFmpegError, ValueError) as e:  # a plain ValueError: no format has the ending of the target
        raise DataError(f"{source}: cannot be turned into {target}: {e}") from e


def pictures_of(source: Path) -> Iterator[Image.Image]:
    """Yield the pictures of a video.

    Raises:
        DataError: it cannot be read.
    """
    with _opened(source) as video:
        yield from (frame.to_image() for frame in video.decode(video=0))


def number_of_pictures(source: Path) -> int | None:
    """Return how many pictures a video says it has; None: it does not say.

    Raises:
        DataError: it cannot be read.
    """
    with _opened(source) as video:
        stream = video.streams.video[0]
        seconds = float(video.duration / _av().time_base) if video.duration else 0.0
        return stream.frames or round(seconds * float(stream.average_rate or 0)) or None


@contextmanager
def _opened(source: Path) -> Iterator[InputContainer]:
    av = _av()
    try:
        with av.open(str(source)) as video:
            _check_has_pictures(source, video)
            yield video
    except av.error.FFmpegError as e:
        raise DataError(f"{source}: cannot be read as a video: {e}") from e


def _check_has_pictures(source: Path, video: InputContainer) -> None:
    if not video.streams.video:
        raise DataError(f"{source}: expected a video, got a file without pictures")


def _copy(
    av: ModuleType, video: InputContainer, changed: OutputContainer, change: Callable[[Image.Image], Image.Image]
) -> int:
    stream = video.streams.video[0]
    rate = stream.average_rate or Fraction(25)
    written = changed.add_stream("libx264", rate=rate)
    written.width, written.height = stream.width, stream.height
    even = stream.width % 2 == 0 and stream.height % 2 == 0
    written.pix_fmt = "yuv420p" if even else "yuv444p"  # halved colours need even sides
    written.codec_context.time_base = stream.time_base or 1 / rate
    count = 0
    for frame in video.decode(stream):
        picture = av.VideoFrame.from_image(change(frame.to_image()))
        picture.pts, picture.time_base = frame.pts, frame.time_base
        changed.mux(written.encode(picture))
        count += 1
    changed.mux(written.encode(None))
    return count


def _av() -> ModuleType:
    try:
        import av
    except ModuleNotFoundError as e:
        raise DataError("videos need PyAV: pip install 'oneshot-lab[video]', or pip install av") from e
    return av
