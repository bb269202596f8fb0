from typing import Any

import numpy as np
import pytest
import torch
from golden_cases import Case, Golden

from os2d.modeling.objective import Os2dObjective

CASE = "os2d/objective.npz"
TOLERANCE = 1e-5
SETTINGS = {
    "class_loss": "class_objective",
    "class_loss_neg_weight": "class_neg_weight",
    "localization_weight": "loc_weight",
    "margin": "neg_margin",
    "margin_pos": "pos_margin",
    "neg_to_pos_ratio": "neg_to_pos_ratio",
    "remap_classification_targets": "remap_classification_targets",
    "rll_neg_weight_ratio": "rll_neg_weight_ratio",
}
"""Name in the golden file -> argument of the objective."""


def inputs_of(case: Case, variant: str, meta: dict[str, Any]) -> dict[str, torch.Tensor]:
    names = {n: n for n in ("loc_preds", "loc_targets", "cls_preds", "cls_targets")}
    if meta["remapped_given"]:
        names["cls_targets_remapped"] = "cls_targets_remapped"
    if meta["cls_preds_for_neg_given"]:
        names["cls_preds_for_neg"] = "cls_preds_for_neg"
    if "_selective_" in variant:
        changes = {"cls_preds": "hot/", "cls_preds_for_neg": "hot/", "cls_targets_remapped": "few_positives/"}
    elif variant.endswith("_no_positives"):
        changes = {"cls_targets": "no_positives/", "cls_targets_remapped": "no_positives/"}
    elif variant.endswith("_all_trivial"):
        changes = {"cls_preds": "all_trivial/"}
    else:
        changes = {}
    inputs = {argument: torch.from_numpy(case[changes.get(argument, "") + name]) for argument, name in names.items()}
    if variant.endswith("_all_trivial") and "cls_preds_for_neg" in inputs:
        inputs["cls_preds_for_neg"] = torch.full_like(inputs["cls_preds_for_neg"], 0.2)
    return inputs


def joined(levels: Any) -> np.ndarray:
    return (levels if isinstance(levels, torch.Tensor) else torch.cat(levels, dim=-1)).detach().numpy()


@pytest.mark.reads(CASE)
def test_losses_gradients_and_terms(golden: Golden) -> None:
    case = golden(CASE)
    assert len(case.meta) == 32
    for variant, meta in case.meta.items():
        check_variant(case, variant, meta)


def check_variant(case: Case, variant: str, meta: dict[str, Any]) -> None:
    objective = Os2dObjective(**{ours: meta[theirs] for theirs, ours in SETTINGS.items()})
    inputs = inputs_of(case, variant, meta)
    leaves = {name: t.requires_grad_() for name, t in inputs.items() if t.is_floating_point() and "preds" in name}
    arguments: dict[str, Any] = dict(inputs)
    if meta["pyramid_split"]:
        arguments = {name: list(t.split(meta["pyramid_split"], dim=-1)) for name, t in inputs.items()}

    if meta["patch_mining_mode"]:
        losses, per_anchor = objective.for_mining(**arguments)
        for name, levels in per_anchor._asdict().items():
            if meta["pyramid_split"]:
                assert [level.shape[-1] for level in levels] == meta["pyramid_split"]
            expected = case[f"{variant}/per_anchor/{name}"]
            np.testing.assert_allclose(joined(levels), expected, atol=TOLERANCE, rtol=0, err_msg=f"{variant} {name}")
    else:
        losses = objective(**arguments)

    assert list(losses) == meta["returned"]
    for name, value in losses.items():
        expected = case[f"{variant}/{name}"]
        np.testing.assert_allclose(
            value.detach().numpy(), expected, atol=TOLERANCE, rtol=0, err_msg=f"{variant} {name}"
        )
    gradients = torch.autograd.grad(losses["loss"], list(leaves.values()), allow_unused=True)
    for name, gradient in zip(leaves, gradients, strict=True):
        expected = case.get(f"{variant}/grad_{name}", np.zeros(()))
        ours = np.zeros(()) if gradient is None else gradient.numpy()
        np.testing.assert_allclose(
            ours, np.broadcast_to(expected, ours.shape), atol=TOLERANCE, rtol=0, err_msg=f"{variant} gradient {name}"
        )
