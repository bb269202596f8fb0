"""``oneshot detect``: find the objects of some class images in images and videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from os2d.errors import ConfigError

if TYPE_CHECKING:
    from os2d.detector import Detector, LearnedClasses
    from os2d.detector.outputs import Format, Output
    from os2d.detector.records import Record

app = typer.Typer(no_args_is_help=True, add_completion=False)

EXIT_CODES = "Exit codes: 0 done; 2 something to correct (one line says what)."


@app.command(epilog=EXIT_CODES)
def detect(
    image: Annotated[
        list[Path], typer.Option("--image", metavar="PATH", help="an image, a folder of images or a video; repeat")
    ],
    class_image: Annotated[
        list[str] | None,
        typer.Option(
            "--class-image",
            metavar="[NAME=]PATH",
            help="a picture of what to find, or a folder with one of each class; one NAME for several: views of it",
        ),
    ] = None,
    class_name: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME", help="a class of a network with classes of its own (OneNet); repeat"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="a weights file, released weights by name, or a trial; default: models/os2d_v2-train.pth"),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="detections have a higher score; default: that of the network")
    ] = None,
    scales: Annotated[
        str | None,
        typer.Option(
            metavar="PX[,PX...]", help="sizes at which an image is seen; default: as the network was evaluated"
        ),
    ] = None,
    max_detections: Annotated[int | None, typer.Option(min=1, help="the best of every image; default: all")] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="picture, folder of pictures, video, .json, .csv or .coco.json; repeat for several",
        ),
    ] = None,
    format_name: Annotated[
        str | None, typer.Option("--format", help="of --output: picture, video, folder, json, csv or coco")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print JSON for programs, and nothing else, to stdout")
    ] = False,
    device: Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu or cuda")] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="a key of the network's configuration; repeat"),
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", envvar="ONESHOT_RUNS", help="the folder of all trial folders")] = Path(
        "runs"
    ),
) -> None:
    """Find the objects of some class images in images and videos.

    OS2D and CoAE find what --class-image shows; OneNet finds the classes it
    was trained on, all of them or those that --class names.

    For example:

      oneshot detect --image shelf.jpg --class-image tea.jpg --output out.png

      oneshot detect --image photos --class-image classes --output found.csv

      oneshot detect --image aisle.mp4 --class-image tea.jpg --output out.mp4

    Without --model it takes models/os2d_v2-train.pth; after the quickstart
    --model quickstart/contrastive-seed0 is a small network.
    """
    from rich.console import Console

    from os2d.detector import Detector
    from os2d.detector.find_model import find_model
    from os2d.detector.many_images import Search, Wanted
    from os2d.detector.outputs import find_outputs
    from os2d.detector.sources import find_class_images, find_sources

    wanted = Wanted(threshold, _numbers(scales), max_detections)
    sources = find_sources(image)
    pictures = find_class_images(class_image or [])
    outputs = find_outputs(output or [], _format(format_name), sources)
    overrides = dict(map(_setting, settings or []))
    weights = find_model(model, runs)
    detector = Detector.from_checkpoint(weights, overrides, device)
    classes = _learn(detector, pictures, class_name or [])
    drawn = [wanted_output for wanted_output in outputs if wanted_output.is_drawn]
    search = Search(detector, classes, wanted, drawn)
    search.run(sources, Console(stderr=True))
    about = {
        "model": {"name": detector.name, "weights": str(weights)},
        "threshold": detector.default_threshold if threshold is None else threshold,
    }
    _write(search.records, classes.names, outputs, about)
    if as_json:
        from os2d.detector.records import as_json as records_as_json

        print(records_as_json(search.records, about))
    elif len(drawn) == len(outputs):
        _tell(search.records)


def _learn(detector: Detector, pictures: dict[str, list[Path]], names: list[str]) -> LearnedClasses:
    """Return the classes that the options mean, if they mean some that this network can look for."""
    if detector.class_names is not None:
        if pictures:
            raise ConfigError(
                f"--class-image: {detector.name} finds the classes it was trained on and takes no class images; "
                "choose some of them with --class NAME"
            )
        return detector.learn(names or detector.class_names)
    if names:
        raise ConfigError(f"--class {names[0]}: {detector.name} finds what a picture shows; give --class-image FILE")
    if not pictures:
        raise ConfigError(f"--class-image: expected a picture of what {detector.name} is to find")
    return detector.learn(pictures)


def _write(records: list[Record], names: tuple[str, ...], outputs: list[Output], about: dict[str, object]) -> None:
    from os2d.detector.outputs import Format, save_text
    from os2d.detector.records import as_coco, as_csv, as_json

    for output in outputs:
        if output.format is Format.JSON:
            save_text(as_json(records, about), output.path)
        elif output.format is Format.CSV:
            save_text(as_csv(records), output.path)
        elif output.format is Format.COCO:
            save_text(as_coco(records, names), output.path)


def _tell(records: list[Record]) -> None:
    """Print a line per detection, and one for an image in which there is none."""
    for record in records:
        where = record.image if record.frame is None else f"{record.image}, frame {record.frame}"
        if not record.detections:
            print(f"{where}: nothing found")
        for one in record.detections:
            box = " ".join(f"{value:.1f}" for value in one.box_xyxy)
            print(f"{where}: {one.label} {one.score:.3f} at {box}")


def _numbers(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as e:
        raise ConfigError(f"--scales: expected pixels such as 640 or 640,960, got {text!r}") from e


def _setting(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {text}: expected KEY=VALUE, such as eval.class_image_augmentation=rotation90")
    return key, value


def _format(text: str | None) -> Format | None:
    from os2d.detector.outputs import Format

    if text is None:
        return None
    if text not in list(Format):
        raise ConfigError(f"--format: expected one of {', '.join(Format)}, got {text!r}")
    return Format(text)
