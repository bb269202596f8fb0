import numpy as np
import pytest
import torch
from golden_cases import Case, Golden

from baselines.onenet.modeling.inference import Candidates, best_candidates, in_output_sizes, without_overlaps
from baselines.onenet.structures import Detections
from os2d.structures.sizes import Size

CASES = [
    pytest.param(name, marks=pytest.mark.reads(f"onenet/postprocess_{name}.npz"))
    for name in ("topk", "nms", "crowd500")
]


def compare(found: Detections, case: Case, start: str) -> None:
    np.testing.assert_allclose(found.scores_N, case[f"{start}_scores"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.boxes_N4, case[f"{start}_boxes"], rtol=0, atol=1e-4)
    if f"{start}_classes" in case:
        np.testing.assert_array_equal(found.classes_N, case[f"{start}_classes"])
    else:
        assert found.classes_N.max() == 0, "cases of one class leave it out"


@pytest.mark.parametrize("name", CASES)
def test_the_best_predictions_in_the_original_image(name: str, golden: Golden) -> None:
    case = golden(f"onenet/postprocess_{name}.npz")
    meta = case.meta
    input_sizes, output_sizes = (
        [Size(w, h) for h, w in case[f"{kind}_size_hw"].tolist()] for kind in ("input", "output")
    )
    logits_BKL, boxes_B4L = (torch.from_numpy(case[key]).flatten(2) for key in ("logits", "boxes"))

    candidates: Candidates = best_candidates(logits_BKL, boxes_B4L, meta["detections_per_image"])
    kept_BT = without_overlaps(candidates) if meta["nms"] else torch.ones_like(candidates.classes_BT, dtype=torch.bool)
    final = in_output_sizes(candidates, kept_BT, input_sizes, output_sizes)

    for number, (boxes, scores, classes, kept) in enumerate(zip(*candidates, kept_BT, strict=True)):
        compare(Detections(boxes[kept], scores[kept], classes[kept]), case, f"raw{number}")
        compare(final[number], case, f"final{number}")
