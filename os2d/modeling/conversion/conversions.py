"""What can be converted to what, and how the published documents call the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from os2d.errors import CheckpointError
from os2d.modeling.conversion import (
    caffe2_cirtorch,
    caffe2_groupnorm,
    cirtorch,
    maskrcnn_benchmark,
    recognition,
    torchvision_to_cirtorch,
    torchvision_to_detectron2,
    torchvision_to_maskrcnn_benchmark,
    weakalign,
)
from os2d.modeling.conversion.maskrcnn_benchmark import ImageUnits
from os2d.modeling.conversion.recognition import Layout, Recognised
from os2d.modeling.conversion.resnet import Converted
from os2d.modeling.weights_file import write_pickle_whole, write_whole

HERE = "init.model"
"""The target of weights that are to be loaded into this project's network."""

SUFFIXES = (".pth.tar", ".pth", ".pkl", ".pt")


@dataclass(frozen=True)
class Conversion:
    """One way from a layout to another.

    Args:
        source: what is converted.
        target: what the result is for.
        convert: the pure function; only detectors need the units of their images.
        output_name: of the written file, made of the input's ``stem`` and ``suffix`` and the ``depth`` of the ResNet.
        entry: of the written file that holds the weights; empty: the file itself.
        further: entries of the written file.
        write: how the file is written.
    """

    source: Layout
    target: str
    convert: Callable[[Mapping[str, Tensor], ImageUnits], Converted]
    output_name: str
    entry: str = ""
    further: Mapping[str, Any] = field(default_factory=dict)
    write: Callable[[Path, Mapping[str, Any]], None] = write_whole

    def output_path(self, path: Path, architecture: str) -> Path:
        """Return the published name of the result, beside the file it is made from."""
        suffix = next((s for s in SUFFIXES if path.name.endswith(s)), path.suffix)
        stem, depth = path.name.removesuffix(suffix), architecture.removeprefix("ResNet")
        return path.with_name(self.output_name.format(stem=stem, suffix=suffix, depth=depth))

    def content(self, converted: Converted) -> dict[str, Any]:
        """Return what the written file holds."""
        return {self.entry: converted.weights, **self.further} if self.entry else dict(converted.weights)


CONVERSIONS: Mapping[str, Conversion] = {
    "caffe2-cirtorch": Conversion(
        recognition.CAFFE2_CIRTORCH,
        HERE,
        lambda weights, units: caffe2_cirtorch.convert(weights),
        "{stem}-converted{suffix}",
    ),
    "cirtorch": Conversion(
        recognition.CIRTORCH,
        HERE,
        lambda weights, units: cirtorch.convert(weights),
        "{stem}-converted{suffix}",
    ),
    "caffe2-groupnorm": Conversion(
        recognition.CAFFE2_GROUPNORM,
        HERE,
        lambda weights, units: caffe2_groupnorm.convert(weights),
        "resnet{depth}_caffe2_groupnorm.pth",
    ),
    "maskrcnn-benchmark": Conversion(
        recognition.MASKRCNN_BENCHMARK,
        HERE,
        maskrcnn_benchmark.convert,
        "{stem}_converted{suffix}",
    ),
    "weakalign": Conversion(
        recognition.WEAKALIGN,
        HERE,
        lambda weights, units: weakalign.convert(weights),
        "{stem}-converted.pth",
        entry="net",
    ),
}
"""Layout -> how it gets the names that ``init.model`` loads."""

CONVERSIONS_OF_TORCHVISION: Mapping[str, Conversion] = {
    "cirtorch": Conversion(
        recognition.TORCHVISION,
        "cirtorch",
        lambda weights, units: torchvision_to_cirtorch.convert(weights),
        "{stem}_cirtorch{suffix}",
        entry="state_dict",
    ),
    "maskrcnn-benchmark": Conversion(
        recognition.TORCHVISION,
        "maskrcnn-benchmark",
        lambda weights, units: torchvision_to_maskrcnn_benchmark.convert(weights),
        "{stem}_maskrcnnbenchmark{suffix}",
    ),
    "detectron2": Conversion(
        recognition.TORCHVISION,
        "detectron2",
        lambda weights, units: torchvision_to_detectron2.convert(weights),
        "torchvision-R-{depth}.pkl",
        entry="model",
        further={"__author__": "torchvision", "matching_heuristics": True},
        write=write_pickle_whole,
    ),
}
"""Other project -> how a ResNet trained under torchvision's names gets there."""


def find_conversion(found: Recognised, target: str) -> Conversion:
    """Return the way from what was recognised to a target.

    Raises:
        CheckpointError: there is none; the message says what to do instead.
    """
    name = found.layout.name
    if target == HERE:
        if name in CONVERSIONS:
            return CONVERSIONS[name]
        if found.layout in (recognition.OS2D, recognition.TORCHVISION):
            others = f"; --to {' or '.join(CONVERSIONS_OF_TORCHVISION)} writes it for these projects"
            raise CheckpointError(
                f"holds {found.layout.holds}: init.model takes it as it is"
                + (others if found.layout is recognition.TORCHVISION else "")
            )
        raise CheckpointError(
            f"holds {found.layout.holds}, which cannot be converted; what can: {', '.join(CONVERSIONS)}"
        )
    if found.layout is recognition.TORCHVISION:
        return CONVERSIONS_OF_TORCHVISION[target]
    raise CheckpointError(
        f"holds {found.layout.holds}; only {recognition.TORCHVISION.holds} can be written for {target}"
    )
