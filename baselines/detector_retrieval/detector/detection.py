"""Detection in pictures: resized once, or looked at in several sizes whose boxes are merged.

Shapes: N proposals of an image, C classes with the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from yacs.config import CfgNode

from baselines.detector_retrieval.detector.images import pixels_of, resized_size
from baselines.detector_retrieval.detector.model import Detector
from baselines.detector_retrieval.detector.postprocess import ClassBoxes
from baselines.legacy_boxes import mirrored
from os2d.data.images import resize
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size


class View(NamedTuple):
    """How a picture is shown to the detector; see :func:`~.images.resized_size`."""

    short_side: int
    longest: int
    is_mirrored: bool = False


def views_of(config: CfgNode) -> list[View]:
    """Return the views of a picture; the boxes of all are brought to the size of the first."""
    plain = View(config.INPUT.MIN_SIZE_TEST, config.INPUT.MAX_SIZE_TEST)
    augment = config.TEST.BBOX_AUG
    if not augment.ENABLED:
        return [plain]
    views = [plain, plain._replace(is_mirrored=True)] if augment.H_FLIP else [plain]
    for short_side in augment.SCALES:
        scaled = View(short_side, augment.MAX_SIZE)
        views += [scaled, scaled._replace(is_mirrored=True)] if augment.SCALE_H_FLIP else [scaled]
    return views


def seen_in(picture: Image.Image, views: Sequence[View]) -> list[Tensor]:
    """Return the bytes (h, w, 3) of an RGB picture in every view; loader processes do this."""
    seen = []
    for view in views:
        resized = resize(picture, resized_size(Size.of_image(picture), view.short_side, view.longest))
        if view.is_mirrored:
            resized = resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        seen.append(torch.from_numpy(np.array(resized)))
    return seen


def detect(detector: Detector, seen_hw3: Sequence[Tensor], views: Sequence[View]) -> BoxList:
    """Return what is in a picture, given what is seen of it, at the size of the first view.

    Fields ``scores`` and ``labels``.
    """
    found = [_class_boxes(detector, image, view) for image, view in zip(seen_hw3, views, strict=True)]
    merged = _in_the_frame_of_the_first(found)
    detections = detector.filter(merged.boxes_NC4, merged.scores_NC)
    fields = {"scores": detections.scores_N, "labels": detections.labels_N}
    return BoxList(detections.boxes_N4, merged.size, fields)


def _class_boxes(detector: Detector, image_hw3: Tensor, view: View) -> ClassBoxes:
    image_3hw = pixels_of(image_hw3.to(next(detector.parameters()).device))
    [found] = detector.class_boxes(detector.to_batch([image_3hw]))
    return found._replace(boxes_NC4=mirrored(found.boxes_NC4, found.size.w)) if view.is_mirrored else found


def _in_the_frame_of_the_first(found: Sequence[ClassBoxes]) -> ClassBoxes:
    frame = found[0].size
    boxes = [_resized(of_view.boxes_NC4, of_view.size, frame) for of_view in found]
    return ClassBoxes(torch.cat(boxes), torch.cat([of_view.scores_NC for of_view in found]), frame)


def _resized(boxes_NC4: Tensor, size: Size, frame: Size) -> Tensor:
    ratio = (frame.w / size.w, frame.h / size.h)
    return boxes_NC4 * boxes_NC4.new_tensor([*ratio, *ratio])
