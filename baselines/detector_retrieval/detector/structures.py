"""What goes in and out of the detector's parts.

Shapes: N boxes of one image, ``x1, y1, x2, y2`` in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Objects(NamedTuple):
    """The annotated objects of an image; labels count from 1, 0 is the background."""

    boxes_N4: Tensor
    labels_N: Tensor


class Proposals(NamedTuple):
    """Boxes that may show an object, and how sure that is."""

    boxes_N4: Tensor
    scores_N: Tensor


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in an image; labels count from 1."""

    boxes_N4: Tensor
    scores_N: Tensor
    labels_N: Tensor
