"""Convolutions of 1 x 1 on rows of channels."""

import pytest
import torch
from torch.nn.functional import linear

from baselines.pointwise import pointwise


@pytest.mark.parametrize("leading", [(5,), (1,), (16, 7), (16, 0), (0,)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_it_is_the_product_of_rows_and_weights(leading: tuple[int, ...], has_bias: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(*leading, 6, generator=generator)
    weight = torch.randn(4, 6, generator=generator)
    bias = torch.randn(4, generator=generator) if has_bias else None
    torch.testing.assert_close(pointwise(rows, weight, bias), linear(rows, weight, bias))


def test_rows_may_lie_anywhere_in_memory() -> None:
    rows = torch.randn(6, 9, generator=torch.Generator().manual_seed(1)).T[::2]
    weight = torch.eye(6)
    torch.testing.assert_close(pointwise(rows, weight), rows)
