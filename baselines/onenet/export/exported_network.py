"""The part of the detector that other runtimes run: images in, the best candidates out.

What depends on the original size of an image (boxes in its pixels, clipping) stays outside: it would make a program for
every size. Shapes: B images, H x W pixels, T candidates of an image.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from baselines.onenet.export.sampled_convolution import SampledConv2d
from baselines.onenet.modeling.folding import fold_norms
from baselines.onenet.modeling.inference import Candidates, best_candidates
from baselines.onenet.modeling.model import Network, OneNet
from baselines.onenet.modeling.neck import DeformableConv2d

INPUT, OUTPUTS = "images", ("boxes", "scores", "classes")


class ExportedNetwork(nn.Module):
    """Normalisation, the network without norms, and the choice of the best candidates."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, model: OneNet) -> None:
        super().__init__()
        self.network = Network(deepcopy(model.backbone), deepcopy(model.head), model.in_features)
        fold_norms(self.network)
        self.network.requires_grad_(False)
        self.register_buffer("pixel_mean", model.pixel_mean.clone())
        self.register_buffer("pixel_std", model.pixel_std.clone())
        self.count = model.selection.detections_per_image
        self.cpu().eval().to(memory_format=torch.contiguous_format)

    def forward(self, images_B3HW: Tensor) -> Candidates:
        """Return boxes (B, T, 4) in pixels of the input, scores (B, T) and classes (B, T), best first.

        Args:
            images_B3HW: float32 RGB from 0 to 255, sides multiples of 32; where an image was padded, with the mean
                colour, which is zero once it is normalised.
        """
        predictions = self.network((images_B3HW - self.pixel_mean) / self.pixel_std)
        return best_candidates(predictions.logits_BKL, predictions.boxes_B4L, self.count)

    def sample_deformable_convolutions(self) -> None:
        """Write deformable convolutions with operators that older runtimes have; the numbers differ in rounding."""
        for parent in list(self.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, DeformableConv2d):
                    setattr(parent, name, SampledConv2d(child))


def has_deformable_convolutions(network: nn.Module) -> bool:
    """Tell whether a part of the network is a deformable convolution."""
    return any(isinstance(module, DeformableConv2d) for module in network.modules())
