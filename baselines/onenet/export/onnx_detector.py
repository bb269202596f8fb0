"""Detection by an ONNX file; the only module that needs ``onnxruntime``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from baselines.onenet.modeling.inference import Candidates, in_output_sizes
from baselines.onenet.modeling.model import padded_side
from baselines.onenet.structures import Detections
from os2d.errors import CheckpointError, DataError
from os2d.structures.sizes import Size


class OnnxDetector:
    """An exported detector on the CPU, for images as large as the file takes them, or smaller."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; write it: oneshot export --help")
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as e:  # of onnxruntime's own many types, with nothing in common
            raise CheckpointError(
                f"{path}: onnxruntime {onnxruntime.__version__} cannot run it ({e}); if it lacks DeformConv, install a "
                "newer one, or export with --deformable sampling"
            ) from e
        (self._input,) = self._session.get_inputs()
        metadata = self._session.get_modelmeta().custom_metadata_map
        if "pixel_mean" not in metadata:
            raise CheckpointError(f"{path}: expected a file of oneshot export, found one without its metadata")
        self._mean = torch.tensor(json.loads(metadata["pixel_mean"])).view(3, 1, 1)

    @property
    def size(self) -> Size | None:
        """The size of the images that the network takes, with their padding; None: any."""
        height, width = self._input.shape[2:]
        return Size(w=width, h=height) if isinstance(width, int) and isinstance(height, int) else None

    def __call__(self, images: Sequence[Tensor], output_sizes: Sequence[Size] | None = None) -> list[Detections]:
        """Return the detections in images 3 x h x w, RGB from 0 to 255, in pixels of the output sizes.

        Raises:
            DataError: an image is larger than the file takes it.
        """
        sizes = [Size.of_tensor(image) for image in images]
        padded = self.size or Size(
            w=padded_side(max(size.w for size in sizes)), h=padded_side(max(size.h for size in sizes))
        )
        batch = self._mean.expand(len(images), 3, padded.h, padded.w).clone()
        for image, size, place in zip(images, sizes, batch, strict=True):
            if size.w > padded.w or size.h > padded.h:
                raise DataError(
                    f"an image of {size.w} x {size.h} pixels: the file takes images of at most "
                    f"{padded.w} x {padded.h}; resize it, or export for a larger size"
                )
            place[:, : size.h, : size.w] = image
        boxes, scores, classes = (
            torch.from_numpy(np.asarray(values))
            for values in self._session.run(None, {self._input.name: batch.numpy()})
        )
        kept = torch.ones_like(classes, dtype=torch.bool)
        return in_output_sizes(Candidates(boxes, scores, classes), kept, sizes, output_sizes or sizes)
