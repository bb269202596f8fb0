"""What the terms of the objective are called.

Light on purpose (no torch): planners check names before anything runs.
"""

from __future__ import annotations

from typing import NamedTuple

from yacs.config import CfgNode

from os2d.choices import choose

CLASS_OBJECTIVES = {"RLL": "RLL", "ContrastiveLoss": "ContrastiveLoss"}


class ClassLossNames(NamedTuple):
    """Names of the class loss and of its parts: what positives lose, and what the selected negatives lose."""

    whole: str
    positives: str
    negatives: str


def class_loss_names(class_objective: str, neg_to_pos_ratio: float) -> ClassLossNames:
    """Return the names of a class loss of ``CLASS_OBJECTIVES``; RLL weights its negatives, and selects none."""
    name = f"cls_{class_objective}"
    selection = "" if class_objective == "RLL" else f"_hardneg{neg_to_pos_ratio}"
    return ClassLossNames(f"{name}{selection}", f"{name}_pos", f"{name}_neg{selection}")


def objective_names(objective: CfgNode) -> tuple[str, ...]:
    """Return the names of the terms of ``train.objective``, without the loss per element."""
    loss = choose("train.objective.class_objective", objective.class_objective, CLASS_OBJECTIVES)
    return "loss", "loc_smoothL1", *class_loss_names(loss, objective.neg_to_pos_ratio)
