import pytest
import torch

from os2d.config import default_config
from os2d.errors import ConfigError
from os2d.modeling.objective import Os2dObjective

B, L, A = 2, 3, 20


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "loc_preds": torch.randn(B, L, 4, A, generator=generator),
        "loc_targets": torch.randn(B, L, 4, A, generator=generator),
        "cls_preds": torch.rand(B, L, A, generator=generator),
        "cls_targets": torch.randint(-1, 2, (B, L, A), generator=generator),
    }


def test_values_come_from_the_configuration() -> None:
    config = default_config()
    config.train.objective.pos_margin = 0.9
    config.train.objective.class_objective = "contrastiveloss"
    objective = Os2dObjective.from_config(config)
    assert objective.pos_margin == 0.9
    assert objective.class_objective == "ContrastiveLoss"


def test_an_unknown_class_objective_is_refused_when_built() -> None:
    with pytest.raises(ConfigError, match=r"train\.objective\.class_objective.*RLL.*did you mean ContrastiveLoss"):
        Os2dObjective(class_objective="Contrastive_Loss")


def test_perfect_predictions_cost_nothing(batch: dict[str, torch.Tensor]) -> None:
    targets = batch["cls_targets"]
    losses = Os2dObjective()(batch["loc_targets"], batch["loc_targets"], (targets > 0).float(), targets)
    assert losses["loss"] == 0


@pytest.mark.parametrize("name", ["RLL", "ContrastiveLoss"])
def test_ignored_anchors_have_no_gradient(name: str, batch: dict[str, torch.Tensor]) -> None:
    preds = batch["cls_preds"].requires_grad_()
    Os2dObjective(class_objective=name)(**batch)["loss"].backward()
    assert preds.grad is not None
    assert not preds.grad[batch["cls_targets"] == -1].any()


def test_negatives_push_down_and_positives_push_up(batch: dict[str, torch.Tensor]) -> None:
    preds = batch["cls_preds"].requires_grad_()
    Os2dObjective()(**batch)["loss"].backward()
    assert preds.grad is not None
    of_negatives, of_positives = (preds.grad[batch["cls_targets"] == target] for target in (0, 1))
    assert (of_negatives >= 0).all() and of_negatives.any()
    assert (of_positives <= 0).all() and of_positives.any()


def test_negatives_train_only_through_their_own_scores(batch: dict[str, torch.Tensor]) -> None:
    preds, for_neg = batch["cls_preds"].requires_grad_(), batch["cls_preds"].detach().clone().requires_grad_()
    losses = Os2dObjective()(**batch, cls_preds_for_neg=for_neg)
    losses["loss"].backward()
    assert preds.grad is not None
    assert for_neg.grad is not None
    assert not preds.grad[batch["cls_targets"] != 1].any()
    assert not for_neg.grad[batch["cls_targets"] != 0].any()
    assert for_neg.grad.any()


def test_the_localisation_loss_ignores_garbage_at_anchors_without_a_box(batch: dict[str, torch.Tensor]) -> None:
    clean = Os2dObjective()(**batch)["loc_smoothL1"]
    not_positive = (batch["cls_targets"] != 1)[:, :, None].expand(-1, -1, 4, -1)
    batch["loc_preds"][not_positive] = torch.inf
    assert Os2dObjective()(**batch)["loc_smoothL1"] == clean


def test_contrastive_loss_keeps_the_hardest_negatives() -> None:
    scores = torch.tensor([0.0, 0.9, 0.8, 0.7, 0.6]).view(1, 1, 5)
    targets = torch.tensor([1, 0, 0, 0, 0]).view(1, 1, 5)
    codes = torch.zeros(1, 1, 4, 5)
    losses = Os2dObjective(class_objective="ContrastiveLoss", neg_to_pos_ratio=2)(codes, codes, scores, targets)
    assert losses["cls_ContrastiveLoss_neg_hardneg2"].item() == pytest.approx(0.25 * (0.4**2 + 0.3**2))


def test_levels_of_a_pyramid_are_one_set_of_anchors(batch: dict[str, torch.Tensor]) -> None:
    whole = Os2dObjective()(**batch)
    levels = Os2dObjective()(**{name: list(t.split([15, 5], dim=-1)) for name, t in batch.items()})
    for name, value in whole.items():
        torch.testing.assert_close(levels[name], value)
