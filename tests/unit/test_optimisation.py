import pytest
import torch
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.config_check import CHOICES
from os2d.engine.optimisation import ANNEALINGS, OPTIMISERS, build_annealing, build_optimizer, current_lr
from os2d.errors import ConfigError


@pytest.fixture
def optim() -> CfgNode:
    optim = default_config().train.optim
    optim.lr = 0.1
    return optim


def optimizer_of(optim: CfgNode) -> torch.optim.Optimizer:
    optimizer = build_optimizer([torch.nn.Parameter(torch.ones(2))], optim)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize("method", OPTIMISERS)
def test_every_method_changes_a_parameter(method: str, optim: CfgNode) -> None:
    optim.optim_method = method.upper()
    parameter, frozen = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2), requires_grad=False)
    optimizer = build_optimizer([parameter, frozen], optim)
    for _ in range(2):  # rprop compares the signs of two gradients
        parameter.grad = torch.ones(2)
        optimizer.step()
    assert (parameter < 1).all() and (frozen == 1).all()


def test_names_of_the_check_are_the_names_that_exist() -> None:
    assert set(CHOICES["train.optim.optim_method"]) == set(OPTIMISERS)
    assert set(CHOICES["train.optim.anneal_lr.type"]) == set(ANNEALINGS)


def test_unknown_names_are_refused(optim: CfgNode) -> None:
    optim.optim_method = "sdg"
    with pytest.raises(ConfigError, match=r"train\.optim\.optim_method.*'sdg'; did you mean sgd"):
        build_optimizer([], optim)
    optim.optim_method, optim.anneal_lr.type = "sgd", "cosine"
    with pytest.raises(ConfigError, match=r"anneal_lr\.type.*'cosine'"):
        build_annealing(optimizer_of(optim), optim.anneal_lr, 10)


def test_no_annealing_in_any_case(optim: CfgNode) -> None:
    optim.anneal_lr.type = "None"
    assert build_annealing(optimizer_of(optim), optim.anneal_lr, 10).step(9, None) == 0.1


def test_milestones_round_up_to_evaluations(optim: CfgNode) -> None:
    optim.anneal_lr.type, optim.anneal_lr.milestones = "multisteplr", [15, 20]
    annealing = build_annealing(optimizer_of(optim), optim.anneal_lr, 10)
    assert [annealing.step(10 * k - 1, None) for k in (1, 2, 3)] == pytest.approx([0.1, 0.001, 0.001])


@pytest.mark.parametrize("kind", ANNEALINGS)
def test_a_saved_annealing_goes_on_as_if_uninterrupted(kind: str, optim: CfgNode) -> None:
    anneal = optim.anneal_lr
    anneal.type, anneal.milestones = kind, [30, 60]
    anneal.patience, anneal.cooldown, anneal.quantity_smoothness, anneal.min_value = 10, 10, 30, 1e-9
    values = [0.1, 0.5, 0.4, 0.3, 0.3, 0.6, 0.2, 0.2, 0.2, 0.2]

    whole = build_annealing(optimizer_of(optim), anneal, 10)
    expected = [whole.step(10 * (k + 1) - 1, v) for k, v in enumerate(values)]

    first = build_annealing(optimizer_of(optim), anneal, 10)
    actual = [first.step(10 * (k + 1) - 1, v) for k, v in enumerate(values[:4])]
    second_optimizer = optimizer_of(optim)
    second = build_annealing(second_optimizer, anneal, 10)
    second.load_state_dict(first.state_dict())
    second_optimizer.param_groups[0]["lr"] = actual[-1]
    actual += [second.step(10 * (k + 1) - 1, v) for k, v in enumerate(values[4:], start=4)]

    assert actual == expected
    assert current_lr(second_optimizer) == expected[-1]


def test_a_quantity_nobody_reports_is_an_error(optim: CfgNode) -> None:
    optim.anneal_lr.type = "ReduceLROnPlateau"
    with pytest.raises(ConfigError, match="quantity_to_monitor"):
        build_annealing(optimizer_of(optim), optim.anneal_lr, 10).step(9, None)
