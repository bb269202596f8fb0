"""Losses and gradients of the whole network, the optimiser's groups, its learning rates and its first steps."""

import numpy as np
import pytest
import torch
from golden_cases import Case, Golden
from onenet_inputs import configuration, fill
from yacs.config import CfgNode

from baselines.onenet.engine.optimisation import build_optimizer
from baselines.onenet.engine.schedule import lr_factor, set_lr
from baselines.onenet.engine.training_step import TrainingStep
from baselines.onenet.modeling.losses import Criterion
from baselines.onenet.modeling.model import OneNet, build_model
from baselines.onenet.structures import Targets

NETWORKS = ("r18_dcn", "r18_nodcn", "r50_dcn", "r50_nodcn", "fcos", "retinanet")
STEPS = ("r18_nodcn", "r18_dcn")
OPTIMISERS = ("r18_dcn", "r50_nodcn_bm01", "fcos", "sgd_r18_nodcn")
MATCHERS = {"mincost": "MinCost", "hungarian": "Hungarian"}
SMALL_GRADIENT = 1e-3
"""Gradient norms below this part of the largest are rounding noise."""


REFERENCE_LAYOUT = ("RUNTIME.CHANNELS_LAST", False)
"""The memory layout of the reference: another one adds up in another order, which six steps amplify to percents."""


def learning_model(case: Case, config: CfgNode) -> OneNet:
    model = build_model(config)
    fill(model, case.meta["adjust"])
    return model.train()


def batch_of(case: Case) -> tuple[list[torch.Tensor], list[Targets]]:
    images = [torch.from_numpy(case[f"image{i}"]) for i in range(2)]
    targets = [
        Targets(torch.from_numpy(case[f"gt_labels{i}"]), torch.from_numpy(case[f"gt_boxes{i}"])) for i in range(2)
    ]
    return images, targets


def step_of(model: OneNet, config: CfgNode) -> TrainingStep:
    return TrainingStep(model, Criterion(config), build_optimizer(model, config.SOLVER), config.SOLVER)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.reads(f"onenet/e2e_train_{n}.npz")) for n in NETWORKS]
)
def test_losses_and_gradients_of_a_network(name: str, golden: Golden) -> None:
    case = golden(f"onenet/e2e_train_{name}.npz")
    modes = [mode for mode in MATCHERS if f"{mode}__loss_ce" in case]
    assert modes
    for mode in modes:
        config = configuration(case.meta["config"], "MODEL.OneNet.MATCHER", MATCHERS[mode], *REFERENCE_LAYOUT)
        model = learning_model(case, config)
        losses = step_of(model, config).losses(*batch_of(case))
        sum(losses.values()).backward()  # type: ignore[union-attr]
        for loss, value in losses.items():
            np.testing.assert_allclose(value.item(), case[f"{mode}__{loss}"], rtol=1e-4, err_msg=f"{mode} {loss}")
        check_gradients(model, case, mode)
    statistics = dict(model.named_buffers())
    for key in (k for k in case if k.startswith("running_mean_after__")):
        prefix, _, layer = key.partition("__")
        (ours,) = (v for n, v in statistics.items() if n.endswith(f"{layer}.norm.running_mean"))
        np.testing.assert_allclose(ours[::4].numpy(), case[key], rtol=1e-4, atol=1e-5, err_msg=prefix)


def check_gradients(model: OneNet, case: Case, mode: str) -> None:
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert list(gradients) == case.meta["grad_names"]
    expected = case[f"{mode}__grad_norm"]
    norms = np.array([float(gradient.norm()) for gradient in gradients.values()])
    counted = expected > SMALL_GRADIENT * expected.max()
    tolerance = 3e-2 if any("dcn_offset" in name for name in gradients) else 1e-2
    np.testing.assert_allclose(norms[counted], expected[counted], rtol=tolerance, err_msg=mode)
    weight = gradients["head.cls_score.weight"]
    part = case[f"{mode}__grad_cls_score_weight_slice"]
    ours = weight[:: weight.shape[0] // part.shape[0], :: weight.shape[1] // part.shape[1]].numpy()
    np.testing.assert_allclose(ours, part, rtol=0, atol=tolerance * np.abs(part).max(), err_msg=mode)
    bias = case[f"{mode}__grad_cls_score_bias"]
    np.testing.assert_allclose(
        gradients["head.cls_score.bias"].numpy(), bias, rtol=0, atol=tolerance * np.abs(bias).max(), err_msg=mode
    )


@pytest.mark.usefixtures("one_thread")  # as with the layout
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.reads(f"onenet/train_steps_{n}.npz")) for n in STEPS]
)
def test_first_steps(name: str, golden: Golden) -> None:
    case = golden(f"onenet/train_steps_{name}.npz")
    meta = case.meta
    overrides = [part for key, value in meta["overrides"].items() for part in (f"SOLVER.{key}", value)]
    later = 5e-2 if "dcn_offset" in str(meta["adjust"]) and name.endswith("_dcn") else 1e-2
    for column, clip in (("noclip", False), ("clip", True)):
        config = configuration(
            meta["config"], *overrides, "MODEL.OneNet.MATCHER", MATCHERS[meta["matcher"]],
            "SOLVER.CLIP_GRADIENTS.ENABLED", clip, *REFERENCE_LAYOUT,
        )  # fmt: skip
        step = step_of(learning_model(case, config), config)
        for number in range(meta["steps"]):
            set_lr(step.optimizer, number, config.SOLVER)
            lr = np.float32(step.optimizer.param_groups[0]["lr"])
            outcome = step(*batch_of(case))
            assert outcome.updated
            assert lr == case[f"lr_{column}"][number]
            losses = [outcome.meters[loss].item() for loss in meta["loss_columns"]]
            tolerance = 1e-3 if number < 3 else later
            where = f"{column}, step {number}"
            np.testing.assert_allclose(losses, case[f"losses_{column}"][number], rtol=tolerance, err_msg=where)
            norm = case[f"total_grad_norm_{column}"][number]
            np.testing.assert_allclose(outcome.meters["grad_norm"].item(), norm, rtol=10 * tolerance, err_msg=where)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.reads(f"onenet/optimizer_{n}.npz")) for n in OPTIMISERS]
)
def test_groups_of_the_optimiser(name: str, golden: Golden) -> None:
    case = golden(f"onenet/optimizer_{name}.npz")
    config = configuration(case.meta["config"], *case.meta["overrides"])
    model = build_model(config)
    optimizer = build_optimizer(model, config.SOLVER)
    names = {parameter: key for key, parameter in model.named_parameters()}
    assert type(optimizer).__name__ == case.meta["optimizer"]
    assert [[names[p] for p in group["params"]] for group in optimizer.param_groups] == [
        [key] for key in case.meta["names"]
    ]
    for column in ("lr", "weight_decay"):
        ours = np.array([group[column] for group in optimizer.param_groups], dtype=np.float64)
        np.testing.assert_allclose(ours, case[column].astype(np.float64), rtol=1e-7, err_msg=column)
    frozen = [key for key, parameter in model.named_parameters() if not parameter.requires_grad]
    assert sorted(frozen) == sorted(case.meta["frozen"])
    clip = config.SOLVER.CLIP_GRADIENTS
    assert (clip.ENABLED and clip.CLIP_TYPE == "full_model") == case.meta["full_model_clip"]


@pytest.mark.reads("onenet/lr_schedule.npz")
def test_learning_rate_of_an_iteration(golden: Golden) -> None:
    case = golden("onenet/lr_schedule.npz")
    for column, name in case.meta["configs"].items():
        solver = configuration(name).SOLVER
        for iteration, expected in zip(case["iteration"].tolist(), case[f"lr_{column}"], strict=True):
            if expected >= 0:
                lr = solver.BASE_LR * lr_factor(iteration, solver)
                np.testing.assert_allclose(lr, expected, rtol=1e-9, err_msg=f"{column} {iteration}")
            else:
                assert iteration >= solver.MAX_ITER
