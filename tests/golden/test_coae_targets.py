import numpy as np
import pytest
import torch
from golden_cases import Case, Golden

from baselines.coae.config import default_config
from baselines.coae.modeling.anchor_targets import AnchorTargets, anchor_targets
from baselines.coae.modeling.losses import head_losses, margin_ranking_loss, smooth_l1
from baselines.coae.modeling.model import rules_of
from baselines.coae.modeling.overlaps import overlaps
from baselines.coae.modeling.region_targets import RegionTargets, region_targets
from baselines.coae.modeling.resnet import STRIDE
from baselines.coae.modeling.sampling import AnchorKeys, RegionKeys
from baselines.legacy_anchors import cell_anchors, grid_anchors
from os2d.structures.sizes import Size

RULES = rules_of(default_config())


def close(actual: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def keys_of(permutations: list[np.ndarray], chosen_BN: torch.Tensor) -> torch.Tensor:
    """Return keys by which the chosen candidates of every image rank as the permutations did."""
    keys = torch.zeros(chosen_BN.shape)
    for row, chosen, permutation in zip(keys, chosen_BN, permutations, strict=True):
        indices = chosen.nonzero()[:, 0]
        assert len(indices) == len(permutation)
        row[indices[torch.from_numpy(permutation)]] = torch.arange(len(permutation)).float()
    return keys


def draws(case: Case) -> list[np.ndarray]:
    return [case[f"permutation_{k}"] for k in range(sum(name.startswith("permutation_") for name in case))]


@pytest.mark.reads("baselines/coae_box_transform.npz")
def test_overlaps(golden: Golden) -> None:
    case = golden("baselines/coae_box_transform.npz")
    found = overlaps(torch.from_numpy(case["overlap_boxes"])[None], torch.from_numpy(case["overlap_gt"])[:, :, :4])
    close(found, case["overlaps_2d"])
    close(found, case["overlaps_3d"])


def anchor_case(case: Case) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    height, width = case["feat_hw"].tolist()
    anchors = grid_anchors(cell_anchors(STRIDE, [4, 8, 16, 32], [0.5, 1, 2]), Size(w=width, h=height), STRIDE)
    return anchors, torch.from_numpy(case["gt_boxes"])[:, :, :4], torch.from_numpy(case["im_info"][0, :2])


def labels_by_anchor(labels: np.ndarray, height: int, width: int) -> torch.Tensor:
    """Return labels (B, 1, A H, W) in the order of the anchors."""
    return torch.from_numpy(labels).reshape(len(labels), -1, height, width).permute(0, 2, 3, 1).flatten(1).long()


def targets_of(case: Case, keys: AnchorKeys) -> AnchorTargets:
    anchors, truth, size = anchor_case(case)
    return anchor_targets(anchors, truth, size, RULES.anchors, keys)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.reads(f"baselines/{name}.npz"))
        for name in ("coae_anchor_target_nosample", "coae_anchor_target_sample")
    ],
)
def test_targets_of_anchors(name: str, golden: Golden) -> None:
    case = golden(f"baselines/{name}.npz")
    height, width = case["feat_hw"].tolist()
    before = labels_by_anchor(case["labels_before_sampling"], height, width)
    nothing = torch.zeros(before.shape)
    keys = AnchorKeys(nothing, nothing)
    if draws(case):
        # A permutation is drawn only where there is a surplus: of positives, then of negatives, image by image.
        keys = AnchorKeys(nothing.clone(), nothing.clone())
        queue = draws(case)
        for image, labels in enumerate(before):
            positive = int((labels == 1).sum())
            for kind, row, surplus in (
                (1, keys.positive_BN[image], positive > 128),
                (0, keys.negative_BN[image], int((labels == 0).sum()) > 256 - min(positive, 128)),
            ):
                if surplus:
                    row[:] = keys_of([queue.pop(0)], (labels == kind)[None])[0]
        assert not queue

    targets = targets_of(case, keys)

    assert torch.equal(targets.unsampled_labels_BN, before)
    assert torch.equal(targets.labels_BN, labels_by_anchor(case["labels"], height, width))
    expected = torch.from_numpy(case["bbox_targets"]).unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)
    close(targets.deltas_BN4, expected.numpy())
    inside = torch.from_numpy(case["inside_weights"]).permute(0, 2, 3, 1).flatten(1)
    outside = torch.from_numpy(case["outside_weights"]).permute(0, 2, 3, 1).flatten(1)
    assert torch.equal((targets.labels_BN == 1).float(), inside)
    sampled = (targets.labels_BN >= 0).float() / (targets.labels_BN[-1] >= 0).sum()
    close(sampled, outside.numpy())


@pytest.mark.reads("baselines/coae_proposal_target.npz")
def test_sampled_regions(golden: Golden) -> None:
    case = golden("baselines/coae_proposal_target.npz")
    proposals, truth = torch.from_numpy(case["rois_in"])[:, :, 1:], torch.from_numpy(case["gt_boxes"])
    candidates = torch.cat([proposals, truth[:, :, :4]], dim=1)
    foreground = overlaps(candidates, truth[:, :, :4]).amax(2) >= RULES.regions.foreground_iou
    shares = torch.zeros(len(truth), RULES.regions.samples, dtype=torch.float64)
    for image in range(len(truth)):
        drawn = torch.from_numpy(case[f"f64_rand_{image}"])
        shares[image, : len(drawn)] = drawn
    keys = RegionKeys(keys_of(draws(case), foreground), shares)

    targets = region_targets(proposals, truth[:, :, :4], truth[:, :, 4], RULES.regions, keys)

    close(targets.regions_BS4, case["rois"][:, :, 1:])
    np.testing.assert_array_equal(targets.labels_BS.numpy(), case["labels"])
    close(targets.deltas_BS4, case["bbox_targets"])
    weights = (targets.labels_BS == 1).float()[:, :, None].expand(-1, -1, 4)
    close(weights, case["inside_weights"])
    close(weights, case["outside_weights"])


@pytest.mark.reads("baselines/coae_head_losses.npz")
def test_losses_of_the_second_stage(golden: Golden) -> None:
    case = golden("baselines/coae_head_losses.npz")
    labels = torch.from_numpy(case["labels"]).long()
    logits = torch.from_numpy(case["logits"]).requires_grad_()
    predicted = torch.from_numpy(case["bbox_pred"]).requires_grad_()
    targets = RegionTargets(torch.zeros(*labels.shape, 4), labels, torch.from_numpy(case["bbox_targets"]))
    shape = labels.shape

    losses = head_losses(logits.unflatten(0, shape), predicted.unflatten(0, shape), targets, RULES.margin)

    for loss, name in zip(losses, ("cls_loss", "margin_loss", "box_loss"), strict=True):
        close(loss, case[name])
    scores = logits.unflatten(0, shape).softmax(2)[:, :, 1]
    close(scores, case["score"][:, :, 0])
    of_class, of_margin = (torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in losses[:2])
    close(of_class, case["grad_cls_logits"])
    close(of_margin, case["grad_margin_logits"])
    close(torch.autograd.grad(losses[2], predicted)[0], case["grad_box_pred"])
    assert torch.equal(losses[1], margin_ranking_loss(scores, labels, RULES.margin))


@pytest.mark.reads("baselines/coae_rpn_smooth_l1.npz")
def test_smooth_l1(golden: Golden) -> None:
    case = golden("baselines/coae_rpn_smooth_l1.npz")
    predicted = torch.from_numpy(case["pred"]).requires_grad_()
    target, inside, outside = (torch.from_numpy(case[name]) for name in ("target", "inside", "outside"))

    loss = smooth_l1(predicted, target, inside, outside, sigma=3.0)

    close(loss, case["loss_sigma3"])
    close(torch.autograd.grad(loss, predicted)[0], case["grad"])
