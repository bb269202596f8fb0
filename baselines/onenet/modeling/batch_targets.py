"""The targets of all images of a batch as one list, so that no image is looked at by itself.

Padding every image to the most crowded one of its batch would multiply the work; a list of the targets that exist, with
the image of each, does not.

Dimensions: B images, T targets of the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.onenet.structures import Targets
from os2d.structures.sizes import Size


@dataclass(frozen=True)
class BatchTargets:
    """Every target of a batch; those of one image follow each other.

    Attributes:
        image_T: the image that a target is of.
        classes_T: its class, from 0.
        boxes_T4: xyxy, in pixels of the network input.
        sizes_T4: width, height, width, height of its image without padding, which make L1 distances relative.
        counts: targets of every image, on the host.
    """

    image_T: Tensor
    classes_T: Tensor
    boxes_T4: Tensor
    sizes_T4: Tensor
    counts: tuple[int, ...]


def join_targets(targets: Sequence[Targets], image_sizes: Sequence[Size], device: torch.device | str) -> BatchTargets:
    """Return the targets of a batch on the device of the predictions; the sizes are those without padding."""
    counts = tuple(len(of_image) for of_image in targets)
    repeats = torch.tensor(counts)
    sizes_B4 = torch.tensor([(s.w, s.h, s.w, s.h) for s in image_sizes], dtype=torch.float32)
    image_T = torch.repeat_interleave(torch.arange(len(counts)), repeats)

    def there(tensor: Tensor) -> Tensor:
        return tensor.to(device, non_blocking=True)

    return BatchTargets(
        image_T=there(image_T),
        classes_T=there(torch.cat([of_image.classes_N for of_image in targets])),
        boxes_T4=there(torch.cat([of_image.boxes_N4 for of_image in targets])).float(),
        sizes_T4=there(sizes_B4[image_T]),
        counts=counts,
    )
