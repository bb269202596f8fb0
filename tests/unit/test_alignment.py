import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from os2d.errors import ConfigError
from os2d.modeling.alignment import (
    Affine,
    Aligner,
    TemplateGrid,
    TransformNet,
    aligned_boxes,
    aligned_corners,
    aligned_score,
)

TEMPLATE = TemplateGrid(cells=5, border=1, stride=8)
seeds = st.integers(0, 10_000)


def random_affine(seed: int, pairs: int = 2, height: int = 3, width: int = 4, spread: float = 0.3) -> Affine:
    generator = torch.Generator().manual_seed(seed)
    identity = torch.tensor([1.0, 0, 0, 0, 1, 0]).view(1, 6, 1, 1)
    return Affine.from_parameters(identity + spread * torch.randn(pairs, 6, height, width, generator=generator))


def as_matrices(affine: Affine) -> Tensor:
    """The maps as 3 x 3 matrices, N x H x W x 3 x 3."""
    rows = torch.stack(affine, dim=-1).unflatten(-1, (2, 3))
    last = torch.tensor([0.0, 0.0, 1.0]).expand(*rows.shape[:-2], 1, 3)
    return torch.cat([rows, last], dim=-2)


@given(seeds)
def test_inverse_affine_matches_matrix_inversion(seed: int) -> None:
    affine = random_affine(seed, spread=0.1)
    torch.testing.assert_close(
        as_matrices(affine.inverse()), torch.linalg.inv(as_matrices(affine)), atol=1e-4, rtol=1e-4
    )


@given(seeds)
def test_the_gradient_of_the_inverse_matches_matrix_inversion(seed: int) -> None:
    affine = Affine(*(part.double().requires_grad_() for part in random_affine(seed, spread=0.1)))
    ours = torch.autograd.grad(torch.stack(affine.inverse()).square().sum(), affine)
    matrices = torch.linalg.inv(as_matrices(affine).double())[..., :2, :]
    expected = torch.autograd.grad(matrices.square().sum(), affine)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "parameters",
    [[0.0] * 6, [1.0, 1, 0, 1, 1, 0], [0.0, 1, 2, 0, 0, 3], [1e-20, 0, 1, 0, 1e-20, 1], [-1e-5, 0, 0, 0, -1e-5, 0]],
)
def test_a_singular_map_gives_numbers_and_gradients(parameters: list[float]) -> None:
    parameters_NPHW = torch.tensor(parameters).view(1, 6, 1, 1).expand(1, 6, 3, 4).clone().requires_grad_()
    affine = Affine.from_parameters(parameters_NPHW).inverse()
    correlation = torch.rand(1, 25, 3, 4)
    outputs = (aligned_score(correlation, affine, TEMPLATE), aligned_boxes(affine, TEMPLATE))
    assert all(output.isfinite().all() for output in outputs)
    sum(output.sum() for output in outputs).backward()
    assert parameters_NPHW.grad is not None
    assert parameters_NPHW.grad.isfinite().all()


def test_four_parameters_scale_and_shift_each_axis() -> None:
    affine = Affine.from_parameters(torch.tensor([2.0, 0.5, 3.0, -0.5]).view(1, 4, 1, 1))
    assert [part.item() for part in affine] == [2.0, 0.0, 0.5, 0.0, 3.0, -0.5]


def pool_weights(template: TemplateGrid) -> Tensor:
    mask = torch.zeros(template.cells, template.cells)
    mask[template.border : template.cells - template.border, template.border : template.cells - template.border] = 1
    return mask / mask.sum()


def score_point_by_point(correlation_NKHW: Tensor, affine: Affine, template: TemplateGrid) -> Tensor:
    """The score by its definition: one position and one template cell at a time."""
    num_pairs, _, height, width = correlation_NKHW.shape
    axis, weights = torch.linspace(-1, 1, template.cells), pool_weights(template)
    score = torch.zeros(num_pairs, height, width)
    for n, row, column in torch.cartesian_prod(torch.arange(num_pairs), torch.arange(height), torch.arange(width)):
        xx, xy, x0, yx, yy, y0 = (part[n, row, column] for part in affine)
        for cell_y in range(template.cells):
            for cell_x in range(template.cells):
                x, y = axis[cell_x], axis[cell_y]
                column_at = template.cells / 2 * (xx * x + xy * y + x0) + column + 0.5
                row_at = template.cells / 2 * (yx * x + yy * y + y0) + row + 0.5
                channel = correlation_NKHW[n, cell_x * template.cells + cell_y]
                score[n, row, column] += weights[cell_y, cell_x] * bilinear(channel, float(column_at), float(row_at))
    return score


def bilinear(values_HW: Tensor, x: float, y: float) -> Tensor:
    height, width = values_HW.shape
    x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    left, top = math.floor(x), math.floor(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    upper = values_HW[top, left] * (1 - x + left) + values_HW[top, right] * (x - left)
    lower = values_HW[bottom, left] * (1 - x + left) + values_HW[bottom, right] * (x - left)
    return upper * (1 - y + top) + lower * (y - top)


@pytest.mark.parametrize(("height", "width"), [(3, 4), (1, 3), (3, 1), (1, 1)])
def test_the_score_matches_its_definition(height: int, width: int) -> None:
    affine = random_affine(height * 10 + width, height=height, width=width)
    correlation = torch.rand(2, 25, height, width, generator=torch.Generator().manual_seed(1))
    expected = score_point_by_point(correlation, affine, TEMPLATE)
    torch.testing.assert_close(aligned_score(correlation, affine, TEMPLATE), expected, atol=1e-5, rtol=1e-5)


@given(seeds)
def test_boxes_are_the_hull_of_all_template_cells(seed: int) -> None:
    affine = random_affine(seed)
    axis = torch.linspace(-1, 1, TEMPLATE.cells)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x.flatten(), y.flatten(), torch.ones(TEMPLATE.cells**2)])
    mapped = (as_matrices(affine) @ points)[..., :2, :] * TEMPLATE.side_px / 2
    centers = (torch.stack(torch.meshgrid(torch.arange(4), torch.arange(3), indexing="xy"), dim=-1) + 0.5) * 8
    mapped = mapped + centers[None, ..., None]
    boxes = aligned_boxes(affine, TEMPLATE)
    lows, highs = mapped.amin(-1), mapped.amax(-1)
    torch.testing.assert_close(boxes[..., :2], lows, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(boxes[..., 2:], torch.maximum(highs, lows + 1), atol=1e-3, rtol=1e-5)
    corners = aligned_corners(affine, TEMPLATE).unflatten(1, (4, 2))
    for corner, cell in enumerate((0, 4, 20, 24)):
        torch.testing.assert_close(corners[:, corner].movedim(1, -1), mapped[..., cell], atol=1e-3, rtol=1e-5)


def test_a_collapsed_box_is_one_pixel_wide_and_its_start_does_not_learn_from_its_end() -> None:
    parameters = torch.zeros(1, 6, 1, 1, requires_grad=True)
    boxes = aligned_boxes(Affine.from_parameters(parameters), TEMPLATE)
    assert boxes.flatten().tolist() == [4.0, 4.0, 5.0, 5.0]
    assert not torch.autograd.grad(boxes[..., 2:].sum(), parameters)[0].any()


def test_a_fresh_transform_net_predicts_the_identity() -> None:
    for num_parameters in (4, 6):
        net = TransformNet(25, num_parameters, [3, 3], [8])
        net.initialise(torch.Generator().manual_seed(0))
        affine = Aligner(net, inverse=True).eval()(torch.rand(1, 25, 3, 4))
        torch.testing.assert_close(as_matrices(affine), torch.eye(3).expand(1, 3, 4, 3, 3))


@pytest.mark.parametrize(("cells", "border", "key"), [(1, 0, "template_grid"), (5, 3, "template_border")])
def test_a_template_without_cells_is_refused(cells: int, border: int, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.{key}"):
        TemplateGrid(cells, border, 16)
