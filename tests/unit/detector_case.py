"""The smallest detector that can be trained, on the smallest generated data."""

from pathlib import Path
from typing import Any

import torch
from yacs.config import CfgNode

from baselines.detector_retrieval.detector.config import default_config

SMALL_DETECTOR = {
    "MODEL.DEVICE": "cpu",
    "MODEL.BACKBONE.CONV_BODY": "R-18-FPN",
    "MODEL.BACKBONE.FREEZE_CONV_BODY_AT": 0,
    "MODEL.RESNETS.NORM": "GN",
    "MODEL.RESNETS.BACKBONE_OUT_CHANNELS": 16,
    "MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM": 16,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 32,
    "MODEL.RPN.PRE_NMS_TOP_N_TRAIN": 100,
    "MODEL.RPN.PRE_NMS_TOP_N_TEST": 50,
    "MODEL.RPN.FPN_POST_NMS_TOP_N_TRAIN": 100,
    "INPUT.MIN_SIZE_TRAIN": (48, 64),
    "INPUT.MIN_SIZE_TEST": 64,
    "SOLVER.ASSUMED_GPUS": 1,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.BASE_LR": 1e-3,
    "SOLVER.STEPS": (),
    "SOLVER.WARMUP_ITERS": 3,
    "SOLVER.MAX_ITER": 4,
    "SOLVER.VALIDATION_PERIOD": 2,
    "DATALOADER.NUM_WORKERS": 0,
    "runtime.num_threads": 1,
}
"""Configuration key -> value."""


def small_config(shelf: Path | None = None, **overrides: Any) -> CfgNode:
    """Return the tree; in names of overrides two underscores stand for a dot."""
    config = default_config()
    values = {**SMALL_DETECTOR, **{key.replace("__", "."): value for key, value in overrides.items()}}
    if shelf is not None:
        values = {
            "DATASETS.TRAIN": (f"custom:{shelf}#train",),
            "DATASETS.TEST": (f"custom:{shelf}#val-new-cl",),
            **values,
        }
    config.merge_from_list([part for item in values.items() for part in item])
    return config


def same_weights(state: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return state.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in state.items())
