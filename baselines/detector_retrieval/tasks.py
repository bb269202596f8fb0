"""The tasks of detector + retrieval under the names by which experiments ask for them; each room defines its own."""

from __future__ import annotations

from baselines.detector_retrieval.detector.tasks import detector_evaluate, detector_train
from baselines.detector_retrieval.joint.tasks import joint_evaluate
from baselines.detector_retrieval.retrieval.tasks import retrieval_prepare, retrieval_train, retrieval_whiten

__all__ = [
    "detector_evaluate",
    "detector_train",
    "joint_evaluate",
    "retrieval_prepare",
    "retrieval_train",
    "retrieval_whiten",
]
