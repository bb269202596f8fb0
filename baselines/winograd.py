"""Convolutions of 3 x 3 as matrix products: Winograd's minimal filtering F(4 x 4, 3 x 3).

A tile of 4 x 4 outputs takes 36 products per pair of channels instead of 144 (Lavin and Gray, arXiv 1509.09308).
Results differ from those of convolutions by rounding.

Legend: T tiles, C and D channels before and after, P = 36 products of a tile.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SIDE = 4
"""Cells per side of a tile."""
WINDOW = 6
"""Cells per side of what a tile is computed from: one more all around."""

_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_WEIGHT = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))  # in 24ths
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


class Winograd(NamedTuple):
    """What a 3 x 3 convolution of stride 1 becomes.

    Attributes:
        to_input: 36 x 36, from the cells of a window, row by row, to factors.
        weight_PCD: the other factors.
        to_output: 16 x 36, from products to the cells of a tile, row by row.
    """

    to_input: Tensor
    weight_PCD: Tensor
    to_output: Tensor

    @classmethod
    def of(cls, weight_DC33: Tensor) -> Winograd:
        """Return the transformed weights of a convolution."""
        device = weight_DC33.device
        to_input, to_weight, to_output = (
            torch.tensor(matrix, dtype=torch.float64, device=device) for matrix in (_INPUT, _WEIGHT, _OUTPUT)
        )
        to_weight = to_weight / 24
        weight = torch.einsum("ay,dcyx,bx->abcd", to_weight, weight_DC33.double(), to_weight)
        to_input, to_output = (torch.kron(matrix, matrix).float() for matrix in (to_input, to_output))
        return cls(to_input, weight.flatten(0, 1).float().contiguous(), to_output)

    @property
    def of_inner(self) -> Tensor:
        """``to_input`` for windows whose outer cells are zeros, 36 x 16."""
        return self.to_input.view(-1, WINDOW, WINDOW)[:, 1:-1, 1:-1].flatten(1).contiguous()
