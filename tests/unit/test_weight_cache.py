import copy
import io

import pytest
import torch
from torch import nn

from os2d.modeling.weight_cache import WeightCache


class Doubled(nn.Module):
    """A module with a cached value, and a count of how often it was computed."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.cache: WeightCache[torch.Tensor] = WeightCache()
        self.computed = 0

    def doubled(self) -> list[float]:
        def compute(_: torch.Tensor | None) -> torch.Tensor:
            self.computed += 1
            return self.weight * 2

        return self.cache.get([self.weight], compute).tolist()


@pytest.fixture
def module() -> Doubled:
    module = Doubled()
    assert module.doubled() == module.doubled() == [2.0] * 3
    assert module.computed == 1
    return module


def test_an_optimiser_step_is_seen(module: Doubled) -> None:
    for kind in (torch.optim.SGD, torch.optim.AdamW):
        optimiser = kind(module.parameters(), lr=0.5)
        before = module.doubled()
        module.weight.sum().backward()
        optimiser.step()
        assert module.doubled() == (2 * module.weight).tolist() != before


def test_loaded_weights_are_seen(module: Doubled) -> None:
    module.load_state_dict({"weight": torch.full((3,), 5.0)})
    assert module.doubled() == [10.0] * 3
    module.load_state_dict({"weight": torch.full((3,), 6.0)}, assign=True)
    assert module.doubled() == [12.0] * 3


def test_conversions_and_replacements_are_seen(module: Doubled) -> None:
    with torch.no_grad():
        module.weight.fill_(1 / 3)
    exact = module.doubled()
    assert module.half().doubled() != exact
    assert module.float().doubled() != exact
    for value in range(10):  # memory that becomes free is used again at once
        module.weight = nn.Parameter(torch.full((3,), float(value)))
        assert module.doubled() == [2.0 * value] * 3
        module.weight.data = torch.full((3,), value + 0.5)
        assert module.doubled() == [2.0 * value + 1] * 3


def test_a_change_behind_its_back_needs_a_clear(module: Doubled) -> None:
    module.weight.data.fill_(7.0)
    module.cache.clear()
    assert module.doubled() == [14.0] * 3


def test_a_value_made_in_inference_mode_serves_outside_of_it() -> None:
    module = Doubled()
    with torch.inference_mode():
        assert module.doubled() == [2.0] * 3
    value = module.cache.get([module.weight], lambda _: torch.zeros(3))
    assert not value.is_inference()
    assert not value.requires_grad
    (module.weight * value).sum().backward()


def test_weights_made_in_inference_mode_are_never_cached() -> None:
    with torch.inference_mode():
        module = Doubled()
        module.doubled()
        module.weight.fill_(3.0)
        assert module.doubled() == [6.0] * 3


def test_copies_and_files_hold_no_value(module: Doubled) -> None:
    twin = copy.deepcopy(module)
    with torch.no_grad():
        twin.weight.fill_(4.0)
    assert (twin.doubled(), module.doubled()) == ([8.0] * 3, [2.0] * 3)
    assert list(module.state_dict()) == ["weight"]
    with_value, without = io.BytesIO(), io.BytesIO()
    torch.save(module.cache, with_value)
    torch.save(WeightCache(), without)
    assert len(with_value.getvalue()) == len(without.getvalue())
