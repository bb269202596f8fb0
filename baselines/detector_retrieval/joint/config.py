"""The configuration tree of the joint evaluation: that of OS2D, and the branch ``joint``.

Of OS2D's keys those of ``eval``, ``visualization.eval`` and ``runtime`` count, and ``is_cuda``. Light on purpose (no
torch).
"""

from __future__ import annotations

from yacs.config import CfgNode

from os2d.config import NEUTRAL_KEYS as OS2D_NEUTRAL_KEYS
from os2d.config import default_config as os2d_config

BRANCH = "joint"

_JOINT = CfgNode()
_JOINT.detector_config_file = ""  # YAML file of the detector; empty: its defaults
_JOINT.detector_options = []  # KEY VALUE pairs of the detector, after the file
_JOINT.detector_weights = ""  # of the detector, where no need `detector` gives them
_JOINT.retrieval_network = ""  # checkpoint of the retrieval network, where no need `retrieval` gives it
_JOINT.retrieval_image_size = 240  # class images and crops are resized to w * h = size^2, in pixels
_JOINT.retrieval_multiscale = False  # average descriptors over the scales 1, 0.707 and 0.5
_JOINT.retrieval_whitening = ""  # a learned whitening, where no need `whitening` gives it; empty: none
_JOINT.nms_iou_threshold = 0.3  # of proposals of all pyramid levels together, by the detector's score
_JOINT.nms_score_threshold = 0.1  # proposals with a higher score are kept
_JOINT.boxes_at_once = 256  # crops whose pictures are in memory together; differs in rounding only

NEUTRAL_KEYS = (*OS2D_NEUTRAL_KEYS, "model.", "init.", "train.", "joint.boxes_at_once")
"""Keys (or prefixes ending in a dot) that cannot change a result."""


def default_config() -> CfgNode:
    """Return a fresh, unfrozen tree with every key and its default."""
    config = os2d_config()
    config[BRANCH] = _JOINT.clone()
    return config


def without_joint(config: CfgNode) -> CfgNode:
    """Return a copy of a tree that OS2D knows every key of, unfrozen."""
    base = config.clone()
    base.defrost()
    del base[BRANCH]
    return base
