"""Keys of detectron2 that OneNet does not have, but that the files it used to write are full of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from os2d.errors import ConfigError

OTHER_SYSTEMS = (
    "GLOBAL.",
    "VIS_PERIOD",
    "MODEL.LOAD_PROPOSALS",
    "MODEL.PROPOSAL_GENERATOR.",
    "MODEL.RPN.",
    "MODEL.ROI_HEADS.",
    "MODEL.ROI_BOX_HEAD.",
    "MODEL.ROI_BOX_CASCADE_HEAD.",
    "MODEL.ROI_MASK_HEAD.",
    "MODEL.ROI_KEYPOINT_HEAD.",
    "MODEL.SEM_SEG_HEAD.",
    "MODEL.PANOPTIC_FPN.",
    "MODEL.RETINANET.",
    "MODEL.RESNETS.DEFORM_MODULATED",
    "MODEL.RESNETS.DEFORM_NUM_GROUPS",
    "MODEL.ANCHOR_GENERATOR.ANGLES",
    "INPUT.MASK_FORMAT",
    "DATASETS.PROPOSAL_FILES_TRAIN",
    "DATASETS.PROPOSAL_FILES_TEST",
    "DATASETS.PRECOMPUTED_PROPOSAL_TOPK_TRAIN",
    "DATASETS.PRECOMPUTED_PROPOSAL_TOPK_TEST",
    "DATALOADER.REPEAT_THRESHOLD",
    "SOLVER.WEIGHT_DECAY_NORM",
    "SOLVER.WEIGHT_DECAY_BIAS",
    "SOLVER.BIAS_LR_FACTOR",
    "TEST.EXPECTED_RESULTS",
    "TEST.KEYPOINT_OKS_SIGMAS",
    "TEST.AUG.MIN_SIZES",
    "TEST.AUG.MAX_SIZE",
    "TEST.AUG.FLIP",
    "TEST.PRECISE_BN.NUM_ITER",
)
"""Keys (or prefixes) that the published OneNet did not read."""

ONLY_VALUES: Mapping[str, Any] = {
    "MODEL.MASK_ON": False,
    "MODEL.KEYPOINT_ON": False,
    "MODEL.RESNETS.NUM_GROUPS": 1,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 64,
    "MODEL.RESNETS.RES5_DILATION": 1,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 64,
    "MODEL.RESNETS.DEFORM_ON_PER_STAGE": [False, False, False, False],
    "MODEL.FPN.NORM": "",
    "MODEL.FPN.FUSE_TYPE": "sum",
    "MODEL.ANCHOR_GENERATOR.NAME": "DefaultAnchorGenerator",
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": "choice",
    "DATALOADER.SAMPLER_TRAIN": "TrainingSampler",
    "SOLVER.LR_SCHEDULER_NAME": "WarmupMultiStepLR",
    "SOLVER.NESTEROV": False,
    "SOLVER.REFERENCE_WORLD_SIZE": 0,
    "TEST.AUG.ENABLED": False,
    "TEST.PRECISE_BN.ENABLED": False,
}
"""Keys that it read -> the value that is built in here."""


def is_without_meaning(key: str, value: Any, file: Path) -> bool:
    """Tell whether a key of a file can be left out without a change to the detector.

    Raises:
        ConfigError: the key asks for something that is not built here.
    """
    if key in ONLY_VALUES:
        if value != ONLY_VALUES[key]:
            raise ConfigError(f"{key}: expected {ONLY_VALUES[key]!r}, all that exists here, got {value!r} ({file})")
        return True
    return key.startswith(OTHER_SYSTEMS)
