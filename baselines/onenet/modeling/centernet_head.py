"""The head of the README's models: one level, a quarter of the image's size (OneNet, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.nn.functional import gelu, relu

from baselines.onenet.modeling.locations import boxes_around, grid
from baselines.onenet.modeling.neck import Neck
from baselines.onenet.modeling.predictions import Predictions
from os2d.choices import choose

STRIDE = 4

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"relu": relu, "gelu": gelu}


class CenterNetHead(nn.Module):
    """The neck, a shared convolution, then classes and distances to the four sides."""

    def __init__(self, neck: Neck, channels: int, num_classes: int, activation: str) -> None:
        super().__init__()
        self.activation = choose("MODEL.OneNet.ACTIVATION", activation, ACTIVATIONS)
        self.deconv = neck
        self.feat1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.cls_score = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.ltrb_pred = nn.Conv2d(channels, 4, 3, padding=1)

    def forward(self, features: list[Tensor]) -> Predictions:
        """Return the predictions from res2, res3, res4 and res5."""
        x = self.activation(self.feat1(self.deconv(*features)))
        logits_BKHW, distances_B4HW = self.cls_score(x), relu(self.ltrb_pred(x))
        points_2L = grid(x.shape[-2], x.shape[-1], STRIDE, STRIDE // 2, like=x)
        boxes_B4L = boxes_around(points_2L, distances_B4HW.flatten(2))
        return Predictions(logits_BKHW.flatten(2), boxes_B4L, points_2L, None)
