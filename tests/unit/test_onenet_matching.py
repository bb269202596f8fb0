import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import generalized_box_iou, sigmoid_focal_loss

from baselines.onenet.config import default_config
from baselines.onenet.modeling.batch_targets import BatchTargets, join_targets
from baselines.onenet.modeling.losses import Criterion, focal_loss
from baselines.onenet.modeling.matcher import match_hungarian, match_minimum_cost
from baselines.onenet.modeling.matching_cost import NEVER, MatchingCost
from baselines.onenet.modeling.overlap import generalised_iou
from baselines.onenet.structures import HeadOutput, Targets
from os2d.errors import ConfigError
from os2d.structures.sizes import Size

SIZE = Size(80, 60)


def random_boxes(count: int, generator: torch.Generator) -> Tensor:
    corners = torch.rand(count, 2, 2, generator=generator) * torch.tensor([SIZE.w, SIZE.h])
    return torch.cat([corners.amin(1), corners.amax(1)], 1)


def random_output(num_images: int, num_classes: int, num_locations: int, seed: int = 0) -> HeadOutput:
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.stack([random_boxes(num_locations, generator).T for _ in range(num_images)])
    return HeadOutput(
        torch.randn(num_images, num_classes, num_locations, generator=generator).requires_grad_(),
        boxes.requires_grad_(),
        torch.rand(2, num_locations, generator=generator),
        None,
        (SIZE,) * num_images,
    )


def random_targets(counts: list[int], num_classes: int, seed: int = 0) -> list[Targets]:
    generator = torch.Generator().manual_seed(seed)
    return [Targets(torch.randint(num_classes, (n,), generator=generator), random_boxes(n, generator)) for n in counts]


def criterion(matcher: str = "MinCost") -> Criterion:
    config = default_config()
    config.MODEL.OneNet.MATCHER = matcher
    return Criterion(config)


def joined(counts: list[int]) -> BatchTargets:
    return join_targets(random_targets(counts, 3), [SIZE] * len(counts), "cpu")


def test_the_overlap_is_that_of_torchvision() -> None:
    first, second = (random_boxes(20, torch.Generator().manual_seed(seed)) for seed in range(2))
    ours = generalised_iou(first.T[..., None], second.T[:, None])
    torch.testing.assert_close(ours, generalized_box_iou(first, second))


def test_boxes_without_area_at_one_point_give_numbers_and_finite_gradients() -> None:
    box = torch.tensor([[5.0, 5.0, 5.0, 5.0]], requires_grad=True)
    overlap = generalised_iou(box.unbind(1), torch.tensor([[5.0, 5.0, 5.0, 5.0]]).unbind(1))
    overlap.sum().backward()
    assert overlap.item() == 0
    assert box.grad is not None
    assert torch.isfinite(box.grad).all()


def test_areas_of_half_precision_predictions_do_not_overflow() -> None:
    output = random_output(1, 3, 4)
    large = torch.tensor([[0.0, 0.0, 853.0, 512.0]] * 4, dtype=torch.float16).T[None].requires_grad_()
    half = HeadOutput(output.logits_BKL.half(), large, output.priors_PL, None, (Size(853, 512),))
    targets = [Targets(torch.tensor([1]), torch.tensor([[10.0, 10.0, 850.0, 500.0]]))]
    losses = criterion().unweighted(half, targets)
    assert all(loss.isfinite() and loss.dtype is torch.float32 for loss in losses.values())
    assert losses["loss_giou"] < 0.1


@pytest.mark.parametrize("counts", [[3, 0, 7], [1], [0, 0], [12, 5]])
def test_hungarian_finds_the_optimum_over_all_locations(counts: list[int]) -> None:
    targets = joined(counts)
    cost = torch.rand(sum(counts), 9, generator=torch.Generator().manual_seed(3)).mul(20).round()  # with ties
    pairs = match_hungarian(cost, targets)
    start = 0
    for image, count in enumerate(counts):
        of_image = targets.image_T[pairs.target_P] == image
        locations, chosen = pairs.location_P[of_image], pairs.target_P[of_image]
        assert locations.tolist() == sorted(locations.tolist())
        assert len(set(locations.tolist())) == len(set(chosen.tolist())) == min(count, 9)
        full = cost[start : start + count].numpy()
        assert cost[chosen, locations].sum() == full[linear_sum_assignment(full)].sum()
        start += count


def test_minimum_cost_takes_the_first_of_equal_locations_for_every_target() -> None:
    cost = torch.tensor([[2.0, 1.0, 1.0], [3.0, 0.0, 0.0]])
    pairs = match_minimum_cost(cost, joined([2]))
    assert pairs.location_P.tolist() == [1, 1]
    assert pairs.target_P.tolist() == [0, 1]


@pytest.mark.parametrize("matcher", ["MinCost", "Hungarian"])
@pytest.mark.parametrize("counts", [[7, 2], [0, 9], [0, 0]], ids=["crowded", "mixed", "nothing"])
def test_more_targets_than_locations_and_images_without_any(matcher: str, counts: list[int]) -> None:
    output = random_output(2, 3, 4)
    losses = criterion(matcher)(output, random_targets(counts, 3))
    sum(losses.values()).backward()  # type: ignore[union-attr]
    for leaf in (output.logits_BKL, output.boxes_B4L):
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
    assert (losses["loss_bbox"] > 0) == (sum(counts) > 0)


@pytest.mark.parametrize("matcher", ["MinCost", "Hungarian"])
def test_a_location_whose_prediction_is_no_number_is_not_matched(matcher: str) -> None:
    output = random_output(1, 3, 6)
    with torch.no_grad():
        output.boxes_B4L[0, :, 2] = torch.nan
        output.boxes_B4L[0, 3, 4] = torch.inf
    ours = criterion(matcher)
    pairs = ours.match(ours.cost(output, joined([3])), joined([3]))
    assert not {2, 4} & set(pairs.location_P.tolist())
    losses = ours.unweighted(output, random_targets([3], 3))
    assert all(loss.isfinite() for loss in losses.values())


def test_the_cost_is_finite_whatever_is_predicted() -> None:
    output = random_output(1, 3, 6)
    with torch.no_grad():
        output.logits_BKL.fill_(torch.nan)
    assert (MatchingCost()(output, joined([2])) == NEVER).all()


@pytest.mark.parametrize("num_classes", [1, 5])
def test_focal_loss_is_that_of_one_hot_targets(num_classes: int) -> None:
    output, targets = random_output(2, num_classes, 6), random_targets([4, 9], num_classes)
    joint = join_targets(targets, output.image_sizes, "cpu")
    cost = MatchingCost()(output, joint)
    pairs = match_minimum_cost(cost, joint)
    one_hot = torch.zeros_like(output.logits_BKL)
    for location, target in zip(*(part.tolist() for part in pairs), strict=True):  # the last one stays
        one_hot[joint.image_T[target], :, location] = 0
        one_hot[joint.image_T[target], joint.classes_T[target], location] = 1
    assert one_hot.sum() < len(joint.image_T), "the case has no location with two targets"
    expected = sigmoid_focal_loss(output.logits_BKL, one_hot, 0.25, 2.0, reduction="sum")
    ours = focal_loss(output.logits_BKL, joint, pairs, 0.25, 2.0)
    torch.testing.assert_close(ours, expected)
    gradients = [torch.autograd.grad(loss, output.logits_BKL)[0] for loss in (ours, expected)]
    torch.testing.assert_close(*gradients)


def test_an_unknown_matcher_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"MODEL\.OneNet\.MATCHER: expected one of MinCost, Hungarian, got 'Greedy'"):
        criterion("Greedy")
