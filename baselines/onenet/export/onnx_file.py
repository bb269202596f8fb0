"""Writing the detector as an ONNX file; the only module that needs ``onnx`` and ``onnxscript``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from baselines.onenet.export.exported_network import INPUT, OUTPUTS, ExportedNetwork
from baselines.onenet.modeling.model import DIVISIBILITY, OneNet
from os2d.errors import ConfigError, Os2dError
from os2d.structures.sizes import Size
from os2d.whole_file import whole_file

OPSET = 19
"""The first one that has DeformConv."""

OPSET_OF_SAMPLING = 18
"""The first one that torch writes by itself; lower ones would be translated, which drops operators."""

PACKAGES = ("onnx", "onnxscript")

EXAMPLE_SIZE = Size(w=128, h=96)
"""Of the images that are traced for a file that takes any size."""


class Deformable(StrEnum):
    """How deformable convolutions are written."""

    OPERATOR = "operator"
    SAMPLING = "sampling"


class ExportError(Os2dError):
    """The detector cannot be written for another runtime."""


@dataclass(frozen=True)
class OnnxSettings:
    """How the file is written.

    Args:
        size: of the images it takes, in pixels; None: any. Sides are always multiples of 32.
        batch_size: images at once; None: any number.
        deformable: how deformable convolutions are written.
        opset: version of the operators.
    """

    size: Size | None = None
    batch_size: int | None = None
    deformable: Deformable = Deformable.OPERATOR
    opset: int = OPSET


def write_onnx(model: OneNet, path: Path, settings: OnnxSettings) -> None:
    """Write the detector; the file appears whole or not at all.

    Raises:
        ConfigError: the size or the opset cannot be used, or the detector does what the file would not.
        ExportError: a package is not installed, or the file cannot be written.
    """
    _check(settings)
    if model.selection.suppress_overlaps:
        raise ConfigError(
            "MODEL.OneNet.NMS: expected False for an export, got True; suppress overlaps among the candidates that "
            "the exported network returns"
        )
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ExportError(f"ONNX needs {' and '.join(missing)}: pip install 'oneshot-lab[export]'")
    network = ExportedNetwork(model)
    if settings.deformable is Deformable.SAMPLING:
        network.sample_deformable_convolutions()
    program = _translated(network, settings)
    program.model.metadata_props.update(_metadata(model))
    try:
        with whole_file(path) as unfinished:
            program.save(unfinished)
    except OSError as e:
        raise ExportError(
            f"{path}: cannot be written ({e.strerror}); check the folder and the space on the disk"
        ) from e


def _translated(network: ExportedNetwork, settings: OnnxSettings) -> torch.onnx.ONNXProgram:
    size = settings.size or EXAMPLE_SIZE
    # An example of one image would be taken for a constant.
    example = torch.zeros(settings.batch_size or 2, 3, size.h, size.w)
    with torch.no_grad():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=settings.opset,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes={"images_B3HW": _free_dimensions(settings)},
            verbose=False,
        )
    assert program is not None
    return program


def _free_dimensions(settings: OnnxSettings) -> dict[int, Any]:
    """Return dimension of the images -> what torch calls its range."""
    free: dict[int, Any] = {}
    if settings.batch_size is None:
        free[0] = torch.export.Dim("batch", min=1, max=1024)
    if settings.size is None:
        free[2] = DIVISIBILITY * torch.export.Dim("rows", min=1, max=1024)
        free[3] = DIVISIBILITY * torch.export.Dim("columns", min=1, max=1024)
    return free


def _metadata(model: OneNet) -> dict[str, str]:
    """Return what whoever prepares images for the file must know, as JSON texts."""
    return {"pixel_mean": json.dumps(model.pixel_mean.flatten().tolist())}


def _check(settings: OnnxSettings) -> None:
    size = settings.size
    if size is not None and (size.w % DIVISIBILITY or size.h % DIVISIBILITY or min(size) < DIVISIBILITY):
        raise ConfigError(f"size: expected multiples of {DIVISIBILITY}, got {size.w} x {size.h}")
    if settings.batch_size is not None and settings.batch_size < 1:
        raise ConfigError(f"batch size: expected a positive number, got {settings.batch_size}")
    lowest = OPSET if settings.deformable is Deformable.OPERATOR else OPSET_OF_SAMPLING
    if settings.opset < lowest:
        raise ConfigError(f"opset: expected at least {lowest}, got {settings.opset}")
