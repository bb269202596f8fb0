"""``oneshot export``: OneNet for other runtimes."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from yacs.config import CfgNode

from baselines.onenet.config_file import named_config, read_config
from baselines.onenet.export.exported_network import has_deformable_convolutions
from baselines.onenet.export.onnx_file import OPSET, Deformable, OnnxSettings, write_onnx
from baselines.onenet.export.tensorrt_engine import build_engine, check_tensorrt
from baselines.onenet.modeling.model import OneNet, build_model, padded_side
from baselines.onenet.modeling.weights import HEAD, load_init_model, read_detector_weights
from os2d.errors import CheckpointError, ConfigError
from os2d.structures.sizes import Size

logger = logging.getLogger(__name__)

app = typer.Typer(add_completion=False)


class Engine(StrEnum):
    """What runs the result."""

    ONNX = "onnx"
    TENSORRT = "tensorrt"


class Choice(StrEnum):
    """How deformable convolutions are written."""

    AUTO = "auto"
    OPERATOR = "operator"
    SAMPLING = "sampling"


@app.command()
def export(
    weights: Annotated[Path, typer.Argument(help="a trained OneNet (.pth)")],
    output: Annotated[Path, typer.Argument(help="the file to write")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY VALUE]...", help="of the configuration")
    ] = None,
    config_file: Annotated[str, typer.Option(help="a published name, or a YAML file")] = "onenet.res50.dcn",
    engine: Annotated[Engine, typer.Option(help="what runs the result")] = Engine.ONNX,
    size: Annotated[
        str, typer.Option(metavar="WxH", help="of its images; empty: any (ONNX), wide test images (TensorRT)")
    ] = "",
    batch_size: Annotated[int, typer.Option(min=0, help="images at once; 0: any number (ONNX), one (TensorRT)")] = 0,
    deformable: Annotated[
        Choice,
        typer.Option(
            help="deformable convolutions: by DeformConv, or by sampling for runtimes without it; auto: as the ONNX "
            "Runtime that is installed here needs it"
        ),
    ] = Choice.AUTO,
    opset: Annotated[int, typer.Option(help="version of ONNX's operators")] = OPSET,
    half: Annotated[bool, typer.Option("--half", help="TensorRT: let it compute in fp16")] = False,
) -> None:
    """Write a trained OneNet for ONNX Runtime or TensorRT.

    The result takes a batch of float32 images (RGB from 0 to 255, resized as in tests, padded at the right and at the
    bottom with the mean colour to multiples of 32) and returns boxes, scores and classes of the best candidates, best
    first, in pixels of its input.
    """
    if engine is Engine.TENSORRT:
        check_tensorrt()
    config = read_config(named_config(config_file), overrides or [])
    model = _trained(config, weights)
    if engine is Engine.ONNX:
        settings = OnnxSettings(_size(size), batch_size or None, _form(deformable), opset)
        written = _write(model, output, settings, deformable)
    else:
        settings = OnnxSettings(_size(size) or _largest_size(config), batch_size or 1, _form(deformable), opset)
        with tempfile.TemporaryDirectory() as folder:
            onnx_file = Path(folder, "onenet.onnx")
            write_onnx(model, onnx_file, settings)
            build_engine(onnx_file, output, half)
        written = settings
    print(f"{output}: {engine.value}, {_told(written, model)}")


def _write(model: OneNet, output: Path, settings: OnnxSettings, deformable: Choice) -> OnnxSettings:
    """Write an ONNX file that the ONNX Runtime of this machine takes, if there is one; return how."""
    write_onnx(model, output, settings)
    if deformable is not Choice.AUTO or not has_deformable_convolutions(model) or find_spec("onnxruntime") is None:
        return settings
    from baselines.onenet.export.onnx_detector import OnnxDetector

    try:
        OnnxDetector(output)
    except CheckpointError as e:
        logger.warning("%s; deformable convolutions are written as samplings instead", e)
        settings = replace(settings, deformable=Deformable.SAMPLING)
        write_onnx(model, output, settings)
    return settings


def _form(deformable: Choice) -> Deformable:
    return Deformable.SAMPLING if deformable is Choice.SAMPLING else Deformable.OPERATOR


def _told(settings: OnnxSettings, model: OneNet) -> str:
    many = {None: "any number of images", 1: "one image"}.get(settings.batch_size, f"{settings.batch_size} images")
    size = f"{settings.size.w} x {settings.size.h}" if settings.size else "any size"
    form = f", deformable convolutions by {settings.deformable.value}" if has_deformable_convolutions(model) else ""
    return f"{many} of {size}{form}"


def _trained(config: CfgNode, weights: Path) -> OneNet:
    """Return the network of a checkpoint; a backbone alone would leave the head random."""
    if not any(key.startswith(HEAD) for key in read_detector_weights(weights)):
        raise CheckpointError(f"{weights}: expected a trained OneNet, found weights without a head; train it first")
    model = build_model(config)
    load_init_model(model, weights)
    return model.eval()


def _largest_size(config: CfgNode) -> Size:
    """Return the padded size of the widest image of a test."""
    sides = (config.INPUT.MAX_SIZE_TEST, config.INPUT.MIN_SIZE_TEST)
    return Size(*map(padded_side, sides))


def _size(text: str) -> Size | None:
    if not text:
        return None
    try:
        return Size(*map(int, text.lower().split("x")))
    except (ValueError, TypeError) as e:
        raise ConfigError(f"--size: expected WxH such as 864x512, got {text!r}") from e
