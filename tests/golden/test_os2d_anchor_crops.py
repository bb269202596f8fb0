import numpy as np
import pytest
import torch
from golden_cases import Golden

from os2d.modeling.anchors import anchor_boxes, crops_around_anchors
from os2d.structures.sizes import Size

SIDE, STRIDE = 240, 16


@pytest.mark.reads("os2d/anchor_crops.npz")
def test_crops_around_anchors_match_exactly(golden: Golden) -> None:
    case = golden("os2d/anchor_crops.npz")
    cases = sorted({name.partition("/")[0] for name in case if "/" in name})
    assert cases
    for index in cases:
        image_size, crop_size = (Size(*case[f"{index}/{name}"].tolist()) for name in ("image_wh", "crop_wh"))
        fm_size = image_size.in_cells(STRIDE)
        anchors = anchor_boxes(fm_size, SIDE, STRIDE, torch.device("cpu"))
        crops = crops_around_anchors(anchors, image_size, crop_size, STRIDE)
        np.testing.assert_array_equal(anchors.numpy(), case[f"{index}/anchors"])
        np.testing.assert_array_equal(crops.numpy(), case[f"{index}/crop_boxes"])
