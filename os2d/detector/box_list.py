"""From boxes with tensors beside them to detections with names."""

from __future__ import annotations

from collections.abc import Sequence

from os2d.detector.detector import Look
from os2d.structures.boxes import CORNERS_AROUND, BoxList
from os2d.structures.detection import Detection


def best_first(found: BoxList, names: Sequence[str], look: Look) -> list[Detection]:
    """Return what of the boxes in an image is asked for, best first.

    Args:
        found: fields ``scores``, ``labels`` (positions in ``names``) and perhaps ``transform_corners``, on the CPU.
        names: of the classes.
        look: what was asked for.
    """
    found = found[found.field("scores") > look.threshold]
    found = found[found.field("scores").argsort(descending=True, stable=True)[: look.max_detections]]
    nothing: list[None] = [None] * len(found)
    corners = found.field("transform_corners").tolist() if "transform_corners" in found.fields else nothing
    labels, scores = found.field("labels").tolist(), found.field("scores").tolist()
    return [
        Detection(names[label], score, (x1, y1, x2, y2), None if outline is None else _around(outline))
        for (x1, y1, x2, y2), label, score, outline in zip(
            found.boxes_xyxy.tolist(), labels, scores, corners, strict=True
        )
    ]


def _around(corners: Sequence[float]) -> tuple[tuple[float, float], ...]:
    return tuple((corners[2 * k], corners[2 * k + 1]) for k in CORNERS_AROUND)
