"""Label assignment and losses of OneNet, at given predictions."""

import json
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import Case, Golden

from baselines.onenet.config import default_config
from baselines.onenet.modeling.batch_targets import BatchTargets, join_targets
from baselines.onenet.modeling.losses import Criterion
from baselines.onenet.structures import HeadOutput, Targets
from os2d.structures.sizes import Size

HEADS = {"centernet": "CenterNet", "fcos": "FCOS", "retinanet": "RetinaNet"}
MATCHERS = {"mincost": "MinCost", "hungarian": "Hungarian"}
ASSIGNMENTS = (
    "mincost_centernet",
    *(f"hungarian_{head}{match}" for head in HEADS for match in ("", "_predefine")),
)
CONFLICTS = ("mincost", "hungarian")
EMPTY_BATCH = "empty_batch__"
LARGE_COST = 9000


def criterion_of(case: Case) -> Criterion:
    meta, config = case.meta, default_config()
    onenet = config.MODEL.OneNet
    onenet.MATCHER = MATCHERS[meta["matcher"]]
    onenet.HEAD, onenet.PRE_DEFINE = HEADS[meta.get("head", "centernet")], meta.get("pre_define", False)
    if "weights" in meta:
        onenet.CLASS_COST, onenet.L1_COST, onenet.GIOU_COST = (float(meta["weights"][k]) for k in ("cls", "l1", "giou"))
        onenet.ALPHA, onenet.GAMMA = float(meta["alpha"]), float(meta["gamma"])
    return Criterion(config)


def output_of(case: Case) -> HeadOutput:
    """The predictions of a case, with gradients."""
    priors = torch.from_numpy(case["anchors" if "anchors" in case else "locations"])
    levels = torch.from_numpy(case["fpn_levels"])[0, 0].long() if "fpn_levels" in case else None
    return HeadOutput(
        torch.from_numpy(case["pred_logits"]).flatten(2).requires_grad_(),
        torch.from_numpy(case["pred_boxes"]).flatten(2).requires_grad_(),
        priors.flatten(2)[0],
        levels,
        tuple(Size(int(w), int(h)) for h, w in case["image_size_hw"]),
    )


def targets_of(case: Case) -> list[Targets]:
    counts = case["gt_count"].tolist()
    classes = torch.from_numpy(case["gt_labels"]).split(counts)
    boxes = torch.from_numpy(case["gt_boxes"]).split(counts)
    return [Targets(c, b) for c, b in zip(classes, boxes, strict=True)]


def joined(case: Case, output: HeadOutput) -> BatchTargets:
    return join_targets(targets_of(case), output.image_sizes, "cpu")


def check_costs(cost_TL: torch.Tensor, targets: BatchTargets, case: Case) -> None:
    """Costs are stored for the images that have targets, numbered from 1, whole or every third location."""
    costs = [of_image for of_image in cost_TL.split(targets.counts) if len(of_image)]
    assert f"cost_{len(costs)}" in case
    for number, of_image in enumerate(costs, 1):
        expected = case[f"cost_{number}"]
        ours = of_image.T.numpy()
        ours = ours if len(ours) == len(expected) else ours[::3]
        tolerance = np.where(expected > LARGE_COST, 2e-3, 1e-4)
        assert (np.abs(ours - expected) <= tolerance).all(), f"cost_{number}"


def check_pairs(criterion: Criterion, output: HeadOutput, targets: BatchTargets, case: Case) -> None:
    cost_TL = criterion.cost(output, targets)
    check_costs(cost_TL, targets, case)
    pairs = criterion.match(cost_TL, targets)
    starts = np.cumsum([0, *targets.counts])[targets.image_T[pairs.target_P].numpy()]
    assert pairs.location_P.tolist() == case["src"].tolist()
    assert (pairs.target_P.numpy() - starts).tolist() == case["tgt"].tolist()


def check_losses(criterion: Criterion, inputs: Case, expected: Case) -> None:
    for name in criterion.weights:
        output = output_of(inputs)
        loss = criterion.unweighted(output, targets_of(inputs))[name]
        np.testing.assert_allclose(loss.item(), expected[name], rtol=1e-5, err_msg=name)
        loss.backward()
        for leaf, ours in (("logits", output.logits_BKL.grad), ("boxes", output.boxes_B4L.grad)):
            gradient = expected.get(f"grad_{name}_{leaf}")
            if gradient is None:
                assert ours is None or not ours.any(), f"{name} {leaf}"
                continue
            theirs = gradient.reshape((*gradient.shape[:2], -1))
            assert ours is not None
            np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max(), rtol=0, err_msg=f"{name} {leaf}")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.reads(f"onenet/matcher_{n}.npz")) for n in ASSIGNMENTS]
)
def test_pairs_and_costs(name: str, golden: Golden) -> None:
    case = golden(f"onenet/matcher_{name}.npz")
    output = output_of(case)
    check_pairs(criterion_of(case), output, joined(case, output), case)


@pytest.mark.parametrize(
    "matcher", [pytest.param(m, marks=pytest.mark.reads(f"onenet/matcher_conflict_{m}.npz")) for m in CONFLICTS]
)
def test_targets_that_want_one_location(matcher: str, golden: Golden) -> None:
    case = golden(f"onenet/matcher_conflict_{matcher}.npz")
    criterion, output = criterion_of(case), output_of(case)
    check_pairs(criterion, output, joined(case, output), case)
    check_losses(criterion, case, case)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.reads(f"onenet/loss_{n}.npz", f"onenet/matcher_{n}.npz")) for n in ASSIGNMENTS],
)
def test_losses_and_gradients(name: str, golden: Golden) -> None:
    case, matched = golden(f"onenet/loss_{name}.npz"), golden(f"onenet/matcher_{name}.npz")
    inputs = case if case.meta["inputs_in"] == "here" else matched
    assert case.meta["inputs_in"] in ("here", matched.meta["case"])
    assert sum(case["gt_count"]) == case.meta["num_boxes_normaliser"]
    criterion = criterion_of(case)
    check_losses(criterion, inputs, case)

    nothing = [Targets(torch.empty(0, dtype=torch.int64), torch.empty(0, 4)) for _ in case["gt_count"]]
    losses = criterion.unweighted(output_of(inputs), nothing)
    for loss, value in losses.items():
        np.testing.assert_allclose(value.item(), case[EMPTY_BATCH + loss], rtol=1e-5, err_msg=loss)
        assert value.requires_grad


def losses_of_share(rank: int, rendezvous: Path, case_file: Path) -> dict[str, float]:
    """What one of two processes computes of its half of the images."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    case = Case(case_file)
    share = slice(0, 2) if rank == 0 else slice(2, None)
    whole = output_of(case)
    output = HeadOutput(
        whole.logits_BKL[share], whole.boxes_B4L[share], whole.priors_PL, None, whole.image_sizes[share]
    )
    losses = criterion_of(case).unweighted(output, targets_of(case)[share])
    torch.distributed.destroy_process_group()
    return {name: loss.item() for name, loss in losses.items()}


def second_process(rendezvous: Path, case_file: Path, result: Path) -> None:
    torch.set_num_threads(1)
    result.write_text(json.dumps(losses_of_share(1, rendezvous, case_file)), encoding="utf-8")


@pytest.mark.reads("onenet/loss_distributed.npz", "onenet/loss_mincost_centernet.npz")
def test_two_processes_divide_by_their_mean_number_of_targets(golden: Golden, tmp_path: Path) -> None:
    case = golden("onenet/loss_distributed.npz")
    inputs = golden.path(f"onenet/{case.meta['inputs_in']}.npz")
    other = get_context("spawn").Process(
        target=second_process, args=(tmp_path / "rendezvous", inputs, tmp_path / "losses")
    )
    other.start()
    first = losses_of_share(0, tmp_path / "rendezvous", inputs)
    other.join()
    second = json.loads((tmp_path / "losses").read_text(encoding="utf-8"))
    for rank, losses in enumerate((first, second)):
        for name, loss in losses.items():
            np.testing.assert_allclose(loss, case[f"rank{rank}__{name}"], rtol=1e-5, err_msg=f"{rank} {name}")
