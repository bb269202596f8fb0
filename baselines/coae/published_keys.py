"""The keys and flags of the published program, and which keys here they are.

``--set`` of the published commands takes the names on the left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from os2d.errors import ConfigError

PUBLISHED_KEYS: Mapping[str, str] = {
    "RNG_SEED": "random_seed",
    "ANCHOR_SCALES": "model.anchor_scales",
    "ANCHOR_RATIOS": "model.anchor_ratios",
    "MAX_NUM_GT_BOXES": "train.max_boxes",
    "RESNET.FIXED_BLOCKS": "model.fixed_blocks",
    "TRAIN.query_size": "model.query_size",
    "TRAIN.SCALES": "train.scales",
    "TRAIN.BATCH_SIZE": "train.head.samples",
    "TRAIN.FG_FRACTION": "train.head.foreground_share",
    "TRAIN.FG_THRESH": "train.head.foreground_iou",
    "TRAIN.BG_THRESH_HI": "train.head.background_iou_high",
    "TRAIN.BG_THRESH_LO": "train.head.background_iou_low",
    "TRAIN.RPN_POSITIVE_OVERLAP": "train.rpn.positive_iou",
    "TRAIN.RPN_NEGATIVE_OVERLAP": "train.rpn.negative_iou",
    "TRAIN.RPN_BATCHSIZE": "train.rpn.samples",
    "TRAIN.RPN_FG_FRACTION": "train.rpn.positive_share",
    "TRAIN.RPN_PRE_NMS_TOP_N": "train.proposals.before_nms",
    "TRAIN.RPN_POST_NMS_TOP_N": "train.proposals.after_nms",
    "TRAIN.RPN_NMS_THRESH": "train.proposals.nms_iou_threshold",
    "TRAIN.BBOX_NORMALIZE_STDS": "model.delta_stds",
    "TRAIN.MOMENTUM": "train.optim.sgd_momentum",
    "TRAIN.WEIGHT_DECAY": "train.optim.weight_decay",
    "TRAIN.DOUBLE_BIAS": "train.optim.double_bias",
    "TRAIN.BIAS_DECAY": "train.optim.bias_decay",
    "TRAIN.USE_FLIPPED": "train.random_flip",
    "TEST.SCALES": "eval.scales",
    "TEST.NMS": "eval.nms_iou_threshold",
    "TEST.RPN_PRE_NMS_TOP_N": "eval.proposals.before_nms",
    "TEST.RPN_POST_NMS_TOP_N": "eval.proposals.after_nms",
    "TEST.RPN_NMS_THRESH": "eval.proposals.nms_iou_threshold",
}
"""Published key -> key here."""

UNUSED_KEYS = ("DATA_DIR", "TRAIN.MAX_SIZE", "TEST.MAX_SIZE")
"""Published keys that decide nothing: no cache is kept, and the longer side of an image has no limit."""

NEGATED_KEYS: Mapping[str, str] = {"TRAIN.MARGIN": "train.head.margin"}
"""Published key -> key here with the opposite sign."""


def translated(pairs: Sequence[str]) -> Iterator[str]:
    """Yield keys and values as keys here and values; keys that are here already stay.

    Raises:
        ConfigError: an odd number of words, or a key that neither program knows.
    """
    if len(pairs) % 2:
        raise ConfigError(f"--set: expected KEY VALUE pairs, got {len(pairs)} words: {' '.join(pairs)}")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if key in UNUSED_KEYS:
            continue
        if key in PUBLISHED_KEYS:
            yield from (PUBLISHED_KEYS[key], value)
        elif key in NEGATED_KEYS:
            yield from (NEGATED_KEYS[key], value.removeprefix("-") if value.startswith("-") else f"-{value}")
        elif key.partition(".")[0].islower():
            yield from (key, value)
        else:
            known = [*PUBLISHED_KEYS, *NEGATED_KEYS, *UNUSED_KEYS]
            close = get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(f"--set {key}: no such key{hint}; baselines/coae/published_keys.py lists all")
