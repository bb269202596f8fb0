import numpy as np
import pytest
import torch
from golden_cases import Golden

from baselines.legacy_boxes import LARGEST_LOG_SCALE, LegacyBoxCoder, iou, suppress_legacy

NMS = "baselines/legacy_nms.npz"
CODER = "baselines/det_box_coder.npz"
RPN = LegacyBoxCoder((1.0, 1.0, 1.0, 1.0), 1.0, LARGEST_LOG_SCALE)
HEAD = LegacyBoxCoder((10.0, 10.0, 5.0, 5.0), 1.0, LARGEST_LOG_SCALE)


@pytest.mark.reads(NMS)
def test_suppression_keeps_the_same_boxes(golden: Golden) -> None:
    case = golden(NMS)
    boxes, scores = torch.from_numpy(case["boxes"]), torch.from_numpy(case["scores"])
    keep = suppress_legacy(boxes, scores, float(case["threshold"]))
    np.testing.assert_array_equal(keep.sort().values.numpy(), np.sort(case["keep"]))


@pytest.mark.reads(CODER)
@pytest.mark.parametrize(("coder", "name"), [(RPN, "rpn"), (HEAD, "head")])
def test_codes(golden: Golden, coder: LegacyBoxCoder, name: str) -> None:
    case = golden(CODER)
    boxes, gt = torch.from_numpy(case["boxes"]), torch.from_numpy(case["gt"])
    np.testing.assert_allclose(coder.encode(gt, boxes).numpy(), case[f"encoded_{name}"], rtol=1e-4, atol=1e-5)
    decoded = coder.decode(torch.from_numpy(case["codes"]).unflatten(1, (-1, 4)), boxes[:, None]).flatten(1)
    np.testing.assert_allclose(decoded.numpy(), case[f"decoded_{name}"], rtol=1e-4, atol=1e-3)


@pytest.mark.reads(CODER)
def test_overlaps(golden: Golden) -> None:
    case = golden(CODER)
    overlaps = iou(torch.from_numpy(case["boxes"]), torch.from_numpy(case["gt"]))
    np.testing.assert_allclose(overlaps.numpy(), case["iou"], rtol=1e-4, atol=1e-5)
