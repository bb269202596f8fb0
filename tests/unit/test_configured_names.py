"""Names that the configurations of the baselines hold: none that nothing can do, and any spelling of those that are."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from yacs.config import CfgNode

from baselines.coae.data.records import ImageRecord
from baselines.coae.engine.evaluation import searched_classes
from baselines.detector_retrieval.detector import config as detector
from baselines.detector_retrieval.detector.schedule import Schedule
from baselines.onenet import config as onenet
from baselines.onenet.config_check import check_evaluation
from baselines.onenet.data.augment import Mirror, draw_steps
from os2d.errors import ConfigError
from os2d.structures.sizes import Size

PHOTO = Size(w=40, h=30)


def with_values(config: CfgNode, **values: Any) -> CfgNode:
    """Return a configuration with ``A__B=1`` at ``A.B``."""
    config = config.clone()
    config.merge_from_list([part for key, value in values.items() for part in (key.replace("__", "."), value)])
    return config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"VERSION": 1}, "VERSION: expected one of 2, got '1'"),
        ({"MODEL__OneNet__ACTIVATION": "glu"}, "MODEL.OneNet.ACTIVATION: expected one of relu, gelu, got 'glu'"),
        ({"MODEL__OneNet__CONV_NORM": "LN"}, "MODEL.OneNet.CONV_NORM: expected one of GN, BN, got 'LN'"),
        ({"MODEL__RESNETS__RES2_OUT_CHANNELS": 128}, "MODEL.RESNETS.RES2_OUT_CHANNELS: expected 256"),
        (
            {"MODEL__RESNETS__DEPTH": 18, "MODEL__RESNETS__RES2_OUT_CHANNELS": 128},
            "MODEL.RESNETS.RES2_OUT_CHANNELS: expected 64",
        ),
    ],
)
def test_what_nothing_can_do_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_evaluation(with_values(onenet.default_config(), **values))


@pytest.mark.parametrize("channels", [64, 256])
def test_a_published_width_or_the_default_may_stand_beside_a_small_resnet(channels: int) -> None:
    values = {
        "MODEL__RESNETS__DEPTH": 18,
        "MODEL__RESNETS__RES2_OUT_CHANNELS": channels,
        "DATASETS__TEST": ("coco_2017_val",),
    }
    check_evaluation(with_values(onenet.default_config(), **values))


@pytest.mark.parametrize(("name", "mirrors"), [("Horizontal", True), ("NONE", False)])
def test_images_are_mirrored_however_it_is_written(name: str, mirrors: bool) -> None:
    config = with_values(onenet.default_config(), INPUT__RANDOM_FLIP=name)
    drawn = [draw_steps(PHOTO, config, torch.Generator().manual_seed(seed)) for seed in range(20)]
    assert any(isinstance(step, Mirror) for steps in drawn for step in steps) is mirrors


@pytest.mark.parametrize(("name", "searched"), [("Present", [2]), ("ALL", [1, 2, 3])])
def test_classes_are_searched_however_it_is_written(name: str, searched: list[int]) -> None:
    box = np.array([[0, 0, 9, 9]], dtype=np.int32)
    record = ImageRecord(1, PHOTO, box, np.array([2]), np.array([False]))
    assert searched_classes(record, 3, name) == searched


def test_a_device_and_a_warm_up_count_however_they_are_written() -> None:
    config = with_values(detector.default_config(), MODEL__DEVICE="CUDA", SOLVER__WARMUP_METHOD="Constant")
    assert detector.is_cuda(config)
    schedule = Schedule.from_config(config.SOLVER, processes=1)
    assert schedule.warmup_steps > 2
    assert schedule.factor(0) == schedule.factor(1) == config.SOLVER.WARMUP_FACTOR
