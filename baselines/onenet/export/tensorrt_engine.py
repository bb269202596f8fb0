"""Building a TensorRT engine from an ONNX file; the only module that needs ``tensorrt``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from baselines.onenet.export.onnx_file import ExportError
from os2d.whole_file import whole_file

WORKSPACE_BYTES = 4 << 30


def check_tensorrt() -> None:
    """Refuse early where the library is missing.

    Raises:
        ExportError: with what to install.
    """
    if find_spec("tensorrt") is None:
        raise ExportError(
            "TensorRT is not installed: pip install tensorrt (release 10.1 or later for models with deformable "
            "convolutions) on the machine and for the GPU that will run the engine; --engine onnx needs none of this"
        )


def build_engine(onnx_file: Path, path: Path, half_precision: bool) -> None:
    """Write the engine of an ONNX file of a fixed size, for the GPU of this machine.

    Raises:
        ExportError: the library is missing, or refuses the file.
    """
    check_tensorrt()
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx_file)):
        reasons = "; ".join(str(parser.get_error(number)) for number in range(parser.num_errors))
        raise ExportError(f"{onnx_file}: TensorRT cannot read it: {reasons}")
    settings = builder.create_builder_config()
    settings.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    if half_precision:
        settings.set_flag(tensorrt.BuilderFlag.FP16)
    engine = builder.build_serialized_network(network, settings)
    if engine is None:
        raise ExportError(f"{onnx_file}: TensorRT could not build an engine; its messages above say why")
    with whole_file(path) as unfinished:
        unfinished.write_bytes(engine)
