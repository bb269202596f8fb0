import numpy as np
import pytest
import torch
from golden_cases import Golden
from os2d_inputs import fill_os2d
from tiny_dataset import TINY_DATASET, config_of, evaluated_dataset

from os2d.console import ConsoleRun
from os2d.engine.hard_patch import ROLES, MinedPatch
from os2d.engine.mining import mine_hard_patches
from os2d.modeling.network import build_os2d

VARIANTS = ("rll_v2", "contrastive_v1")


def mine(variant: str, golden: Golden) -> list[MinedPatch]:
    case = golden(f"os2d/mine_hard_patches_{variant}.npz")
    config = config_of(case)
    config.train.dataset_scale = case.meta["eval_scale"]
    model = build_os2d(config)
    fill_os2d(model)
    with ConsoleRun(None, seed=0) as run:
        mined = mine_hard_patches(
            model, evaluated_dataset(golden.path(TINY_DATASET), case), config, run, seed=0, iteration=0
        )
    return [patch for patches in mined.values() for patch in patches]


@pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=pytest.mark.reads(f"os2d/mine_hard_patches_{v}.npz", TINY_DATASET)) for v in VARIANTS],
)
def test_hard_patches(variant: str, golden: Golden) -> None:
    case = golden(f"os2d/mine_hard_patches_{variant}.npz")
    patches = mine(variant, golden)
    assert case.meta["roles"] == list(ROLES)
    assert [ROLES.index(p.role) for p in patches] == case["role"].tolist()
    for name in ("image_id", "pyramid_level", "label_local", "label_global", "anchor_index"):
        assert [getattr(p, name) for p in patches] == case[name].tolist(), name
    for name in ("loss", "loss_loc", "score"):
        np.testing.assert_allclose([getattr(p, name) for p in patches], case[name], rtol=0, atol=1e-4, err_msg=name)
    for name in ("crop_position_xyxy", "anchor_position_xyxy"):
        boxes = torch.cat([getattr(p, name).boxes_xyxy for p in patches])
        np.testing.assert_allclose(boxes, case[name], rtol=0, atol=1e-3, err_msg=name)
    corners = torch.stack([p.transform_corners for p in patches])
    np.testing.assert_allclose(corners, case["transform_corners"], rtol=0, atol=0.05)
    assert [list(p.crop_position_xyxy.size) for p in patches] == case["frame_wh"].tolist()
