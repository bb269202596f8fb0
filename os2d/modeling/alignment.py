"""Alignment of a class template with the image at every position (OS2D, section 4.2).

A small network looks at the correlations of a template with the image and predicts, for every position, the affine
map that deforms the template so that it fits there.

Shapes: N pairs of an image and a class, K template cells in the order of ``correlation``, P affine parameters,
H W feature map.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from os2d.errors import ConfigError
from os2d.modeling.transform_net import TransformNet

SINGULAR = 1e-12
"""Determinants below this cannot be divided by."""

RIDGE = 1e-5
"""Added to the diagonal of a singular matrix before it is inverted."""


class Affine(NamedTuple):
    """The maps ``x' = xx * x + xy * y + x0, y' = yx * x + yy * y + y0``; every part is N x H x W."""

    xx: Tensor
    xy: Tensor
    x0: Tensor
    yx: Tensor
    yy: Tensor
    y0: Tensor

    @classmethod
    def from_parameters(cls, parameters_NPHW: Tensor) -> Affine:
        """Return the maps of 6 parameters (a 2x3 matrix row by row) or 4 (scale and shift of x, then of y)."""
        parts = parameters_NPHW.unbind(1)
        if len(parts) == 6:
            return cls(*parts)
        xx, x0, yy, y0 = parts
        zero = torch.zeros_like(xx)
        return cls(xx, zero, x0, zero, yy, y0)

    def inverse(self) -> Affine:
        """Return the inverse maps; a singular one is moved off the singularity first."""
        xx, xy, x0, yx, yy, y0 = self
        singular = (xx * yy - xy * yx).abs() < SINGULAR
        xx, yy = xx + RIDGE * singular, yy + RIDGE * singular
        determinant = xx * yy - xy * yx
        determinant = torch.where(determinant.abs() < SINGULAR, torch.full_like(determinant, SINGULAR), determinant)
        xx, xy, yx, yy = yy / determinant, -xy / determinant, -yx / determinant, xx / determinant
        return Affine(xx, xy, -(xx * x0 + xy * y0), yx, yy, -(yx * x0 + yy * y0))

    def detach(self) -> Affine:
        """Return the maps without their history."""
        return Affine(*(part.detach() for part in self))


class Aligner(nn.Module):
    """Predicts the affine map of the template at every position: (N, K, H, W) to maps of N x H x W."""

    def __init__(self, parameter_regressor: TransformNet, inverse: bool) -> None:
        super().__init__()
        self.parameter_regressor = parameter_regressor
        self.inverse = inverse

    def forward(self, correlation_NKHW: Tensor) -> Affine:
        """Return the maps from template to image; weakalign's network predicts those from image to template."""
        return self._to_image(self.parameter_regressor(correlation_NKHW))

    def infer(self, correlation_NHWK: Tensor) -> Affine:
        """Return the maps for a volume with the cells last and any number of leading dimensions, without gradients."""
        return self._to_image(self.parameter_regressor.infer(correlation_NHWK))

    def _to_image(self, parameters_NPHW: Tensor) -> Affine:
        affine = Affine.from_parameters(parameters_NPHW.float())  # geometry needs all digits
        return affine.inverse() if self.inverse else affine


@dataclass(frozen=True)
class TemplateGrid:
    """The geometry of a class template: ``cells`` x ``cells``, spanning -1..1 on both axes.

    Args:
        cells: per side.
        border: outer cells that do not count for the score.
        stride: pixels per cell.
    """

    cells: int
    border: int
    stride: int

    def __post_init__(self) -> None:
        if self.cells < 2:
            raise ConfigError(f"model.template_grid: expected at least 2 cells, got {self.cells}")
        if not 0 <= self.border <= (self.cells - 1) // 2:
            raise ConfigError(
                f"model.template_border: expected 0 to {(self.cells - 1) // 2}, so that some of the "
                f"{self.cells} x {self.cells} cells of model.template_grid count, got {self.border}"
            )

    @property
    def side_px(self) -> int:
        """Side of the template in the image, the side of an anchor."""
        return self.cells * self.stride

    @property
    def inside(self) -> slice:
        """The cells of an axis that count for the score."""
        return slice(self.border, self.cells - self.border)

    @property
    def counted_cells(self) -> int:
        """How many cells count for the score."""
        return (self.cells - 2 * self.border) ** 2


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # or a first call from inference would leave tensors that training may not use
def counted_cells_xy(template: TemplateGrid, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the coordinates in the template of the cells that count, K x 1 x 1 x 1 each, column by column."""
    axis = torch.linspace(-1, 1, template.cells, device=device)[template.inside]
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    return x.reshape(-1, 1, 1, 1), y.reshape(-1, 1, 1, 1)


def aligned_score(correlation_NKHW: Tensor, affine: Affine, template: TemplateGrid) -> Tensor:
    """Return the mean correlation of the template, deformed by ``affine`` at every position, N x H x W.

    The volume may have several leading dimensions and any strides; N is then all of them.
    Cell k of the template at position (x, y) is looked up in channel k of the volume where the map puts it,
    bilinearly, and on the border of the feature map if that is outside.
    """
    height, width = correlation_NKHW.shape[-2:]
    columns = correlation_NKHW.unflatten(-3, (template.cells, template.cells))
    channels = columns[..., template.inside, template.inside, :, :].reshape(-1, 1, height, width).to(affine.x0.dtype)
    grid_NKHW2 = _sampling_grid(affine, template)
    samples = grid_sample(channels, grid_NKHW2.flatten(0, 1), padding_mode="border", align_corners=True)
    return samples.view(grid_NKHW2.shape[:-1]).mean(dim=1)


def _sampling_grid(affine: Affine, template: TemplateGrid) -> Tensor:
    """Return where to look up every counted cell, N x K x H x W x 2, scaled so that the map spans -1..1."""
    height, width = affine.x0.shape[1:]
    half = template.cells / 2
    # A map one cell wide has no extent to scale by: any finite coordinate is on its border.
    scale_x, scale_y = 2 / max(width - 1, 1), 2 / max(height - 1, 1)
    center_x = torch.arange(width, device=affine.x0.device) + 0.5
    center_y = torch.arange(height, device=affine.x0.device)[:, None] + 0.5
    origin = torch.stack(
        [(half * affine.x0 + center_x) * scale_x - 1, (half * affine.y0 + center_y) * scale_y - 1], dim=-1
    )
    along_x = torch.stack([affine.xx * (half * scale_x), affine.yx * (half * scale_y)], dim=-1)
    along_y = torch.stack([affine.xy * (half * scale_x), affine.yy * (half * scale_y)], dim=-1)
    x, y = counted_cells_xy(template, origin.device)
    return torch.addcmul(torch.addcmul(origin[:, None], along_x[:, None], x), along_y[:, None], y)


def aligned_boxes(affine: Affine, template: TemplateGrid) -> Tensor:
    """Return the hull of the deformed template at every position in the image, N x H x W x 4, at least a pixel wide.

    The hull of a parallelogram reaches |xx| + |xy| from its centre, whichever of its corners that is.
    """
    half = template.side_px / 2
    center_x, center_y = _centers_px(affine, template)
    reach_x = half * (affine.xx.abs() + affine.xy.abs())
    reach_y = half * (affine.yx.abs() + affine.yy.abs())
    x1, y1 = center_x - reach_x, center_y - reach_y
    x2 = _at_least_a_pixel_from(x1, center_x + reach_x)
    y2 = _at_least_a_pixel_from(y1, center_y + reach_y)
    return torch.stack([x1, y1, x2, y2], dim=-1)


def aligned_corners(affine: Affine, template: TemplateGrid) -> Tensor:
    """Return the corners of the deformed template in the image, N x 8 x H x W, without history.

    The order is x and y of top-left, top-right, bottom-left, bottom-right.
    """
    affine = affine.detach()
    half = template.side_px / 2
    center_x, center_y = _centers_px(affine, template)
    coordinates = []
    for x, y in ((-half, -half), (half, -half), (-half, half), (half, half)):
        coordinates += [center_x + affine.xx * x + affine.xy * y, center_y + affine.yx * x + affine.yy * y]
    return torch.stack(coordinates, dim=1)


def _centers_px(affine: Affine, template: TemplateGrid) -> tuple[Tensor, Tensor]:
    """Return x and y of the centre of the deformed template in the image, N x H x W each."""
    height, width = affine.x0.shape[1:]
    cell_x = (torch.arange(width, device=affine.x0.device) + 0.5) * template.stride
    cell_y = (torch.arange(height, device=affine.x0.device)[:, None] + 0.5) * template.stride
    half = template.side_px / 2
    return half * affine.x0 + cell_x, half * affine.y0 + cell_y


def _at_least_a_pixel_from(start: Tensor, end: Tensor) -> Tensor:
    return torch.where(end < start + 1, start.detach() + 1, end)
