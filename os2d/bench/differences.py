"""Whether the published program finds the same as ours, with the same weights on the same files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from os2d.bench.against import Original
from os2d.bench.case import TRAINING_BATCHES, Case
from os2d.bench.stages import STAGES
from os2d.engine.evaluation import Evaluation
from os2d.engine.hard_patch import HardPatches
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

BOX_TOLERANCE_PX = 0.5
SCORE_TOLERANCE = 1e-4
UNMATCHED_TOLERANCE = 1e-3
"""Of two boxes whose overlap is the threshold of the suppression, rounding decides which one stays."""

METRIC_TOLERANCE = 1e-3
LOSS_TOLERANCE = 1e-3
"""Relative; rounding is amplified by every step that the weights take."""


@dataclass(frozen=True)
class Difference:
    """One comparison.

    Attributes:
        stage: where.
        what: was compared.
        ours: value, or number of things.
        size: of the largest difference.
        tolerance: that is allowed.
        detail: for people.
    """

    stage: str
    what: str
    ours: float
    size: float
    tolerance: float
    detail: str

    @property
    def within(self) -> bool:
        """Whether it is small enough; NaN is not."""
        return self.size <= self.tolerance


def find_differences(case: Case, stages: Sequence[str], original: Original) -> list[Difference]:
    """Return what differs in evaluation, mining, average precision and training, of the stages that are measured."""
    found: list[Difference] = []
    for name in stages:
        if name in _COMPARISONS:
            found += _COMPARISONS[name](case, original)
    return found


def _compare_evaluation(case: Case, original: Original) -> list[Difference]:
    ours = STAGES["evaluation"].prepare(case).call()
    assert isinstance(ours, Evaluation)
    metrics = original.result("evaluation")
    return [
        *compare_detections(ours.detections, _saved_detections(case.folder / "original")),
        *_compare_numbers("evaluation", ours.metrics, metrics, METRIC_TOLERANCE),
    ]


def _compare_mining(case: Case, original: Original) -> list[Difference]:
    ours = STAGES["mining"].prepare(case).call()
    assert isinstance(ours, OrderedDict)
    return compare_patches(ours, original.result("mining"))


def _compare_average_precision(case: Case, original: Original) -> list[Difference]:
    of_threshold = STAGES["average-precision"].prepare(case).call()
    assert isinstance(of_threshold, dict)
    (result,) = of_threshold.values()
    metrics = {
        "mAP": result.mean_ap,
        "mAPw": result.weighted_mean_ap,
        "recall": result.recall,
        "AP_joint_classes": result.ap_joint_classes,
    }
    return _compare_numbers("average-precision", metrics, original.result("average-precision"), 1e-6)


def _compare_training(case: Case, original: Original) -> list[Difference]:
    step = STAGES["training-step"].prepare(case).call
    found = []
    for number in range(TRAINING_BATCHES):
        ours, theirs = step(), original.result("training-step")
        assert isinstance(ours, dict)
        if number:
            # After an update the norm depends on rounding: our own two memory layouts agree in the losses to 3e-6, and
            # in the norm of the gradient to a few per cent only.
            ours = {name: value for name, value in ours.items() if name != "grad_norm"}
        for difference in _compare_numbers("training-step", ours, theirs, LOSS_TOLERANCE):
            found.append(Difference(**{**vars(difference), "what": f"step {number + 1}: {difference.what}"}))
    return found


_COMPARISONS = {
    "evaluation": _compare_evaluation,
    "mining": _compare_mining,
    "average-precision": _compare_average_precision,
    "training-step": _compare_training,
}


def compare_detections(ours: Sequence[BoxList], theirs: Sequence[BoxList]) -> list[Difference]:
    """Compare detections per image and class: a detection needs one of the other side with its box and score."""
    total = sum(map(len, ours)) + sum(map(len, theirs))
    unmatched, furthest, score = 0, 0.0, 0.0
    for mine, other in zip(ours, theirs, strict=True):
        for label in mine.field("labels").unique().tolist():
            a, b = mine[mine.field("labels") == label], other[other.field("labels") == label]
            partner, distance, score_gap = _nearest(a, b)
            matched = (distance <= BOX_TOLERANCE_PX) & (score_gap <= SCORE_TOLERANCE)
            unmatched += int((~matched).sum()) + len(b) - len(partner[matched].unique())
            furthest = max(furthest, float(distance[matched].max()) if matched.any() else 0.0)
            score = max(score, float(score_gap[matched].max()) if matched.any() else 0.0)
        absent = set(other.field("labels").tolist()) - set(mine.field("labels").tolist())
        unmatched += sum(int((other.field("labels") == label).sum()) for label in absent)
    detail = f"{unmatched} of {total} without a partner; others within {furthest:.4f} px and {score:.1e} in score"
    return [
        Difference(
            "evaluation", "detections", sum(map(len, ours)), unmatched / max(total, 1), UNMATCHED_TOLERANCE, detail
        )
    ]


def _nearest(a: BoxList, b: BoxList) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for every box of ``a``, the box of ``b`` with the nearest corners, and how far box and score are."""
    if not len(b):
        far = torch.full((len(a),), torch.inf)
        return torch.zeros(len(a), dtype=torch.int64), far, far
    distance, partner = torch.cdist(a.boxes_xyxy, b.boxes_xyxy, p=torch.inf).min(dim=1)
    return partner, distance, (a.field("scores") - b.field("scores")[partner]).abs()


def compare_patches(ours: HardPatches, theirs: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """Compare mined patches: the same places with the same losses."""
    mine = {(p.image_id, p.role, p.pyramid_level, p.anchor_index): p for of_image in ours.values() for p in of_image}
    other = {(p["image_id"], p["role"], p["pyramid_level"], p["anchor_index"]): p for p in theirs}
    common = mine.keys() & other.keys()
    alone = len(mine.keys() ^ other.keys())
    labels = sum(mine[key].label_global != other[key]["label_global"] for key in common)
    loss = max((abs(mine[key].loss - other[key]["loss"]) for key in common), default=0.0)
    detail = f"{len(common)} in both, {alone} in one; {labels} with another class; losses within {loss:.1e}"
    return [Difference("mining", "hard patches", len(mine), float(alone + labels), 0.0, detail)]


def _compare_numbers(
    stage: str, ours: Mapping[str, float], theirs: Mapping[str, float], tolerance: float
) -> list[Difference]:
    """Compare what has the same name, relative to its size where that is more than one."""
    found = []
    for name in ours.keys() & theirs.keys():
        size = abs(ours[name] - theirs[name]) / max(1.0, abs(theirs[name]))
        size = 0.0 if ours[name] != ours[name] and theirs[name] != theirs[name] else size
        found.append(Difference(stage, name, ours[name], size, tolerance, f"{ours[name]:.6f} and {theirs[name]:.6f}"))
    return sorted(found, key=lambda difference: difference.what)


def _saved_detections(folder: Path) -> list[BoxList]:
    (file,) = folder.glob("*_detections.pth")
    saved = torch.load(file, weights_only=True)
    lists = zip(saved["boxes_xyxy"], saved["labels"], saved["scores"], saved["gt_boxes_xyxy"], strict=True)
    return [BoxList(boxes, Size(1, 1), {"labels": labels, "scores": scores}) for boxes, labels, scores, _ in lists]
