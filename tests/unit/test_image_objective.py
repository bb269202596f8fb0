import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from os2d.data.eval_loader import EvalBatch
from os2d.engine.detection import ClassHeads, MatchedRows
from os2d.engine.image_objective import ImageObjective
from os2d.modeling.box_coder import BoxCoder
from os2d.modeling.head import Heads, Matches
from os2d.modeling.objective import Os2dObjective
from os2d.structures.affine import BoxTransform
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

CODER = BoxCoder(anchor_side=32, stride=8, positive_iou=0.4)
SIZES = [Size(64, 48), Size(40, 32)]
CLASS_IDS = [3, 9, 40, 41, 77, 1000]


def random_matches(generator: torch.Generator, num_rows: int, spread: float) -> list[Matches]:
    levels = []
    for fm in map(CODER.feature_map_size, SIZES):
        scores = 0.5 + spread * torch.randn(1, num_rows, fm.w * fm.h, generator=generator)
        codes = torch.randn(1, num_rows, 4, fm.w * fm.h, generator=generator)
        levels.append(Matches(codes, scores, scores, fm, torch.zeros(1, num_rows, 8, fm.w * fm.h)))
    return levels


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    spread=st.sampled_from([0.0, 1e-6, 0.1, 1.0]),
    views=st.sampled_from([1, 2]),
    step=st.integers(1, 12),
    num_boxes=st.integers(1, 5),
    objective=st.sampled_from(
        [
            Os2dObjective(),
            Os2dObjective(rll_neg_weight_ratio=1e-9),  # the smallest weights are dropped
            Os2dObjective(class_objective="ContrastiveLoss", pos_margin=1.0, neg_to_pos_ratio=2),
        ]
    ),
)
def test_sums_by_chunks_equal_the_objective_of_all_classes_at_once(
    seed: int, spread: float, views: int, step: int, num_boxes: int, objective: Os2dObjective
) -> None:
    generator = torch.Generator().manual_seed(seed)
    num_rows = len(CLASS_IDS) * views
    class_heads = ClassHeads(CLASS_IDS, views, Heads(torch.zeros(num_rows, 1, 1, 1)))
    levels = random_matches(generator, num_rows, spread)
    corner = torch.rand(num_boxes, 2, generator=generator) * 24
    local = torch.randint(0, len(CLASS_IDS), (num_boxes,), generator=generator)
    gt = BoxList(
        torch.cat([corner, corner + 20 + 12 * torch.rand(num_boxes, 2, generator=generator)], dim=1),
        SIZES[0],
        {"labels": torch.tensor(CLASS_IDS)[local], "difficult": torch.rand(num_boxes, generator=generator) < 0.3},
    )
    to_original = [BoxTransform.between(size, SIZES[0]) for size in SIZES]
    batch = EvalBatch([1], [torch.zeros(1, 3, s.h, s.w) for s in SIZES], SIZES[0], SIZES, to_original, [gt])

    image = ImageObjective(0, gt, class_heads, objective, CODER, batch, torch.device("cpu"))
    for start in range(0, num_rows, step):
        rows = slice(start, min(start + step, num_rows))
        image.take(
            MatchedRows(
                rows,
                [
                    Matches(m.loc_scores[:, rows], m.class_scores[:, rows], m.class_scores, m.fm_size, m.corners)
                    for m in levels
                ],
            )
        )

    loc_targets, cls_targets = CODER.encode_pyramid(
        gt.with_field("labels", local * views), SIZES, num_rows, [m.fm_size for m in levels], to_original
    )
    expected = objective(
        [m.loc_scores for m in levels],
        [t[None] for t in loc_targets],
        [m.class_scores for m in levels],
        [t[None] for t in cls_targets],
    )
    assert image.terms() == pytest.approx(
        {name: float(value.double().mean()) for name, value in expected.items()}, rel=2e-5, abs=1e-9
    )
