"""Find objects in images, a video or what a camera sees: ``python baselines/onenet/demo.py --config-file FILE ...``."""

from __future__ import annotations

import argparse
import glob
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

if __name__ == "__main__":  # by its path, Python looks for packages beside this file only
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from PIL import Image, ImageOps

from baselines.onenet.config_file import read_config
from baselines.onenet.data.class_names import class_names
from baselines.onenet.drawing import draw_detections
from baselines.onenet.predictor import Predictor
from baselines.onenet.window import A_MOMENT, UNTIL_A_KEY, camera_pictures, show
from os2d.command import exit_code_of
from os2d.data.images import read_image
from os2d.data.video import change_video, pictures_of
from os2d.errors import ConfigError, DataError

logger = logging.getLogger("OneNet")

WINDOW = "OneNet detections"

EXAMPLES = """\
examples:
  python baselines/onenet/demo.py --config-file baselines/onenet/configs/onenet.res50.dcn.yaml \\
      --input 'photos/*.jpg' --output found --confidence-threshold 0.4 --opts MODEL.WEIGHTS models/r50_dcn.pth
  python baselines/onenet/demo.py --config-file baselines/onenet/configs/onenet.res18.nodcn.yaml \\
      --video-input street.mp4 --output street.mkv --opts MODEL.WEIGHTS models/r18_nodcn.pth MODEL.DEVICE cpu

exit codes: 0 done, 2 something to correct (one line says what)
"""


class Demo:
    """A trained network that draws what it finds.

    Args:
        predictor: the network.
        names: of its classes.
        threshold: detections with a greater score are drawn.
    """

    def __init__(self, predictor: Predictor, names: Sequence[str], threshold: float) -> None:
        self.predictor, self.names, self.threshold = predictor, names, threshold
        self.found = 0

    def __call__(self, picture: Image.Image) -> Image.Image:
        """Return a picture with what was found in it; ``found`` tells how much that was."""
        detections = self.predictor(picture, self.threshold)
        self.found = len(detections)
        return draw_detections(picture, detections, self.names)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks and return the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    return exit_code_of(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Find and draw; whatever is wrong with files is said before the network is loaded."""
    if not 0 <= options.confidence_threshold <= 1:
        raise ConfigError(f"--confidence-threshold: expected a score from 0 to 1, got {options.confidence_threshold}")
    if options.webcam and options.output:
        raise ConfigError(f"--output {options.output}: what a camera sees is only shown; leave --output out")
    images = _images(options.input) if options.input else []
    targets = _targets(images, options.output)
    video = _video_target(options.video_input, options.output) if options.video_input else None
    config = read_config(options.config_file, options.opts)
    names = class_names(config)
    demo = Demo(Predictor(config), names, options.confidence_threshold)
    if images:
        _draw_images(demo, images, targets)
    elif options.webcam:
        _show_all(demo, camera_pictures())
    elif video:
        count = change_video(options.video_input, video, demo)
        logger.info("%s: %d pictures, written to %s", options.video_input, count, video)
    else:
        _show_all(demo, pictures_of(options.video_input))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", type=Path, required=True, metavar="FILE", help="YAML file of the network")
    sources = parser.add_mutually_exclusive_group(required=True)
    sources.add_argument("--input", nargs="+", metavar="IMAGE", help="images, a folder, or one pattern: 'folder/*.jpg'")
    sources.add_argument("--video-input", type=Path, metavar="FILE", help="a video")
    sources.add_argument("--webcam", action="store_true", help="the first camera, in a window; Esc ends")
    parser.add_argument("--output", type=Path, help="a folder, or a file for one image or video; default: a window")
    parser.add_argument(
        "--confidence-threshold", type=float, default=0.5, metavar="SCORE", help="draw what scores more (0.5)"
    )
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="override the configuration; last"
    )
    return parser


def _images(given: Sequence[str]) -> list[Path]:
    """Return the images of the command line; a single word that is no image is a folder or a pattern."""
    paths = [Path(name).expanduser() for name in given]
    missing = [path for path in paths if not path.is_file()]
    if not missing:
        return paths
    if len(paths) > 1:
        raise DataError(f"--input {missing[0]}: no such image")
    if paths[0].is_dir():
        found = [path for path in paths[0].iterdir() if path.suffix.lower() in Image.registered_extensions()]
    else:
        found = [Path(name) for name in glob.glob(str(paths[0]))]  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise DataError(f"--input {given[0]}: no such image, no folder with images, and no image matches the pattern")
    return sorted(found)


def _targets(images: Sequence[Path], output: Path | None) -> Sequence[Path | None]:
    """Return where every image is written."""
    if output is None:
        return [None] * len(images)
    if output.is_dir():
        targets = [output / image.name for image in images]
        _check_nothing_is_lost(images, targets, output)
        return targets
    if len(images) > 1:
        raise ConfigError(f"--output {output}: expected a folder for {len(images)} images; create it first")
    if images and output.suffix.lower() not in Image.registered_extensions():
        raise ConfigError(f"--output {output}: expected a folder, or a file with the ending of an image such as .jpg")
    if images and not output.parent.is_dir():
        raise ConfigError(f"--output {output}: there is no folder {output.parent}; create it first")
    _check_nothing_is_lost(images, [output], output)
    return [output] * len(images)


def _check_nothing_is_lost(images: Sequence[Path], targets: Sequence[Path], output: Path) -> None:
    """Refuse to write over an image that is read, or over what was drawn into another one."""
    sources = {image.resolve() for image in images}
    for target in targets:
        if target.resolve() in sources:
            raise ConfigError(f"--output {output}: {target} itself would be drawn over; choose another folder or name")
    if len(set(targets)) < len(images):
        raise ConfigError(f"--output {output}: several images have the same name; give every folder its own output")


def _draw_images(demo: Demo, images: Sequence[Path], targets: Sequence[Path | None]) -> None:
    for path, target in zip(images, targets, strict=True):
        picture = read_image(path)
        ImageOps.exif_transpose(picture, in_place=True)
        started = time.perf_counter()
        drawn = demo(picture)
        logger.info("%s: detected %d instances in %.2fs", path, demo.found, time.perf_counter() - started)
        if target is not None:
            _save(drawn, target)
        elif not show(WINDOW, drawn, UNTIL_A_KEY):
            return


def _save(drawn: Image.Image, target: Path) -> None:
    try:
        drawn.save(target, quality=95)
    except (OSError, ValueError) as e:
        raise DataError(f"{target}: cannot be written: {e}") from e


def _show_all(demo: Demo, pictures: Iterator[Image.Image]) -> None:
    for picture in pictures:
        if not show(WINDOW, demo(picture), A_MOMENT):
            return


def _video_target(source: Path, output: Path | None) -> Path | None:
    """Return where the video is written; None: to a window."""
    if not source.is_file():
        raise DataError(f"{source}: no such video")
    target = output / f"{source.stem}.mkv" if output and output.is_dir() else output
    if target and target.exists():
        raise ConfigError(f"--output {target}: exists; delete it or choose another name")
    if target and not target.parent.is_dir():
        raise ConfigError(f"--output {target}: there is no folder {target.parent}; create it first")
    return target


if __name__ == "__main__":
    sys.exit(main())
