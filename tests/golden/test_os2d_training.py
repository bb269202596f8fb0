import numpy as np
import pytest
import torch
from golden_cases import Case, Golden
from os2d_inputs import fill_os2d, make_image
from torch import Tensor
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.data.train_loader import TrainBatch
from os2d.engine.optimisation import build_optimizer, trainable_parameters
from os2d.engine.training_step import training_step
from os2d.modeling.network import Os2d, build_os2d
from os2d.modeling.objective import Os2dObjective
from os2d.structures.affine import BoxTransform
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

VARIANTS = ("v1", "v2", "v2_contrastive_train_all")
EPSILON = float(np.finfo(np.float32).eps)
"""Relative resolution of a parameter; smaller changes are lost in it."""


def config_of(case: Case) -> CfgNode:
    config = default_config()
    config.merge_from_list([part for key, value in case.meta["config"].items() for part in (key, value)])
    return config


def batch_of_step(step: int, case: Case, model: Os2d) -> TrainBatch:
    meta = case.meta
    height, width = meta["image_hw"]
    size, num_labels = Size(width, height), len(meta["class_hw"])
    images = [make_image(meta["seed"] + 200 + 10 * step + i, height, width) for i in range(len(meta["gt_boxes"]))]
    class_images = [make_image(meta["seed"] + 300 + 10 * step + i, h, w) for i, (h, w) in enumerate(meta["class_hw"])]
    boxes = [
        BoxList(
            torch.tensor(xyxy) + meta["gt_shift_per_step"] * step,
            size,
            {"labels": torch.tensor(labels), "difficult": torch.tensor(difficult)},
        )
        for xyxy, labels, difficult in zip(meta["gt_boxes"], meta["gt_labels"], meta["gt_difficult"], strict=True)
    ]
    fm_size = model.feature_map_size(size)
    targets = [model.box_coder.encode(b, size, num_labels, fm_size) for b in boxes]
    return TrainBatch(
        images=torch.from_numpy(np.stack(images)),
        class_images=[torch.from_numpy(image) for image in class_images],
        loc_targets=torch.stack([loc for loc, _ in targets]),
        cls_targets=torch.stack([classes for _, classes in targets]),
        class_ids=torch.arange(num_labels),
        boxes=boxes,
        image_ids=list(range(len(boxes))),
        to_original=[BoxTransform.identity() for _ in boxes],
        fm_size=fm_size,
    )


def counts(targets: Tensor) -> list[int]:
    return [int((targets == value).sum()) for value in (-1, 0, 1)]


def check_first_batch_in_eval_mode(model: Os2d, batch: TrainBatch, case: Case) -> None:
    with torch.no_grad():
        matches = model(images=batch.images, class_images=batch.class_images)
    remapped = model.box_coder.remap_targets(matches.loc_scores, batch.boxes, matches.fm_size).targets
    expected = {name.partition("/")[2]: case[name] for name in case if name.startswith("step0_eval_mode/")}
    np.testing.assert_allclose(float(matches.class_scores.mean()), expected["class_scores_mean"], rtol=1e-4)
    np.testing.assert_allclose(float(matches.class_scores.std()), expected["class_scores_std"], rtol=1e-3)
    assert counts(batch.cls_targets) == expected["cls_target_counts_ignored_neg_pos"].tolist()
    assert counts(remapped) == expected["remapped_counts_ignored_neg_pos"].tolist()


def check_parameters(before: dict[str, Tensor], model: Os2d, case: Case) -> None:
    names = [name.removeprefix("param/") for name in case if name.startswith("param/")]
    assert names
    after = model.state_dict()
    for name in names:
        mean, std, change, first_change, largest_change = case[f"param/{name}"]
        old, new = before[name].double(), after[name].double()
        difference = (new - old).flatten()
        rounding = EPSILON * float(old.abs().max())
        checks = [
            ("mean", float(new.mean()), mean, 1e-3, 1e-6),
            ("change", float(difference.norm()), change, 2e-2, EPSILON * float(old.norm())),
            ("first change", float(difference[0]), first_change, 5e-2, 4 * rounding),
            ("largest change", float(difference.abs().max()), largest_change, 5e-2, 4 * rounding),
        ]
        if new.numel() > 1:
            checks.append(("std", float(new.std()), std, 1e-3, 1e-6))
        for column, actual, expected, relative, absolute in checks:
            np.testing.assert_allclose(actual, expected, rtol=relative, atol=absolute, err_msg=f"{name}: {column}")


@pytest.mark.parametrize(
    "variant", [pytest.param(v, marks=pytest.mark.reads(f"os2d/training_{v}.npz")) for v in VARIANTS]
)
def test_three_steps(variant: str, golden: Golden) -> None:
    case = golden(f"os2d/training_{variant}.npz")
    config = config_of(case)
    model = build_os2d(config)
    fill_os2d(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = build_optimizer(trainable_parameters(model), config.train.optim)
    objective = Os2dObjective.from_config(config)
    check_first_batch_in_eval_mode(model, batch_of_step(0, case, model), case)

    steps = len({name.partition("/")[0] for name in case if name.startswith("step")}) - 1
    for step in range(steps):
        outcome = training_step(model, optimizer, objective, batch_of_step(step, case, model), config.train)
        assert outcome.updated
        for name in case.meta["returned"]:
            tolerance = 2e-3 if name == "grad_norm" else 1e-3
            value = float(outcome.meters[name].double().mean())
            np.testing.assert_allclose(
                value, case[f"step{step}/{name}"], rtol=tolerance, atol=1e-7, err_msg=f"{step} {name}"
            )
    check_parameters(before, model, case)
