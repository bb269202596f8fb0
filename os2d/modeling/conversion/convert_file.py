"""Converting one weights file into another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from os2d.errors import CheckpointError
from os2d.modeling.conversion import recognition
from os2d.modeling.conversion.conversions import CONVERSIONS, HERE, Conversion, find_conversion
from os2d.modeling.conversion.maskrcnn_benchmark import ImageUnits, read_units
from os2d.modeling.conversion.recognition import PLACES, Recognised, recognise
from os2d.modeling.network_description import configuration_of
from os2d.modeling.weights_file import load_weights

AUTO = "auto"
"""The layout is told from the keys."""


@dataclass(frozen=True)
class DetectorOptions:
    """How the images of a detector of maskrcnn-benchmark are normalised, as far as a user says so.

    Args:
        config: its YAML configuration; None: the file of the weights' name that ends in ``.yaml``, if it exists.
        pixel_std: instead of ``INPUT.PIXEL_STD``.
        to_bgr255: instead of ``INPUT.TO_BGR255``.
    """

    config: Path | None = None
    pixel_std: tuple[float, float, float] | None = None
    to_bgr255: bool | None = None

    @property
    def given(self) -> bool:
        """Tell whether a user has set anything."""
        return any(option is not None for option in (self.config, self.pixel_std, self.to_bgr255))


@dataclass(frozen=True)
class ConversionReport:
    """What was converted, and how to load it."""

    input: str
    layout: str
    holds: str
    recognised_by: str
    place: str
    architecture: str
    tensors: int
    dropped: Sequence[str]
    options: dict[str, Any]
    output: str
    config: dict[str, Any]


def convert_file(
    path: Path,
    *,
    layout: str = AUTO,
    target: str = HERE,
    architecture: str | None = None,
    detector: DetectorOptions | None = None,
    output: Path | None = None,
    replace: bool = False,
) -> ConversionReport:
    """Convert a weights file and write the result beside it, under its published name.

    Args:
        path: of the file.
        layout: of its keys, or ``auto``.
        target: ``init.model``, or another project for which a ResNet of torchvision is written.
        architecture: the only one that is accepted.
        detector: of the layout ``maskrcnn-benchmark``.
        output: another file or folder for the result.
        replace: the output may exist and is replaced.

    Raises:
        CheckpointError: the file cannot be read or converted, or the result cannot be written.
    """
    try:
        found = _recognise(load_weights(path), layout)
        conversion = find_conversion(found, target)
        units = _image_units(path, conversion, detector or DetectorOptions())
        converted = conversion.convert(found.weights, units)
    except CheckpointError as e:
        message = str(e)
        raise CheckpointError(message if message.startswith(str(path)) else f"{path}: {message}") from e
    if architecture is not None and converted.architecture != architecture:
        raise CheckpointError(f"{path}: expected a {architecture}, found a {converted.architecture}")
    written = _output_path(conversion.output_path(path, converted.architecture), output, path, replace)
    conversion.write(written, conversion.content(converted))
    return ConversionReport(
        input=str(path),
        layout=found.layout.name,
        holds=found.layout.holds,
        recognised_by=found.layout.sign if layout == AUTO else "the option --layout",
        place=found.place,
        architecture=converted.architecture,
        tensors=len(converted.weights),
        dropped=converted.dropped,
        options={"pixel_std": list(units.pixel_std), "to_bgr255": units.to_bgr255} if _is_detector(conversion) else {},
        output=str(written),
        config=configuration_of(converted.weights, written) if target == HERE else {},
    )


def _recognise(content: dict[str, Any], layout: str) -> Recognised:
    found = recognise(content)
    if found is None:
        raise CheckpointError(f"expected weights by name, at the top or under {', '.join(PLACES)}")
    if layout == AUTO:
        return found
    known = {known.name: known for known in recognition.LAYOUTS}
    return Recognised(known[layout], found.place, found.weights)


def _is_detector(conversion: Conversion) -> bool:
    return conversion is CONVERSIONS[recognition.MASKRCNN_BENCHMARK.name]


def _image_units(path: Path, conversion: Conversion, options: DetectorOptions) -> ImageUnits:
    if not _is_detector(conversion):
        if options.given:
            raise CheckpointError(
                f"is of layout {conversion.source.name}, which has no options; "
                f"leave out those of {recognition.MASKRCNN_BENCHMARK.name}"
            )
        return ImageUnits()
    beside = path.with_suffix(".yaml")
    config = options.config or (beside if beside.is_file() else None)
    told = read_units(config) if config else ImageUnits()
    return ImageUnits(
        told.pixel_std if options.pixel_std is None else options.pixel_std,
        told.to_bgr255 if options.to_bgr255 is None else options.to_bgr255,
    )


def _output_path(published: Path, asked: Path | None, source: Path, replace: bool) -> Path:
    path = asked or published
    if path.is_dir():
        path = path / published.name
    if not path.parent.is_dir():
        raise CheckpointError(f"{path}: there is no folder {path.parent}; create it first")
    if path.exists() and path.samefile(source):
        raise CheckpointError(f"{path}: is the file to convert; give another --output")
    if path.exists() and not replace:
        raise CheckpointError(f"{path}: exists already; --force replaces it, --output writes another file")
    return path
