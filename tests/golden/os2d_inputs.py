"""Helpers that rebuild the inputs and the parameters behind the OS2D golden vectors.

Only numpy and torch are used.
"""

import zlib

import numpy as np
import torch
from fill import fill_state_dict

SHARED_BRANCH = "net_label_features.net_class_features."
IMAGE_BRANCH = "net_feature_maps."
LINEAR = "os2d_head_creator.aligner.parameter_regressor.linear."


def rename_merged(name: str) -> str:
    """Reference name of a parameter when both branches share one backbone."""
    return name.replace(SHARED_BRANCH, IMAGE_BRANCH)


def fill_os2d(model: torch.nn.Module, merged: bool = True, to_reference=lambda name: name) -> None:
    """Set every parameter of an OS2D model.

    Args:
        model: the full model; its state-dict names, passed through `to_reference`, are the
            reference names.
        merged: both branches share the backbone (then the query branch takes the values that
            belong to the image branch's names).
        to_reference: own name -> reference name.
    """
    rename = (lambda n: rename_merged(to_reference(n))) if merged else to_reference
    fill_state_dict(model, rename=rename)
    with torch.no_grad():
        for own, tensor in model.state_dict().items():
            name = to_reference(own)
            if name == LINEAR + "weight":
                tensor.mul_(0.02)
            elif name == LINEAR + "bias":
                size = tensor.numel()
                identity = {6: [1, 0, 0, 0, 1, 0], 4: [1, 0, 1, 0]}[size]
                noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal((size,))
                value = np.asarray(identity, np.float32) + np.float32(0.05) * noise.astype(np.float32)
                tensor.copy_(torch.from_numpy(value))


def make_image(seed: int, height: int, width: int) -> np.ndarray:
    """A (3, height, width) float32 input whose values are exact in float16.

    Blocky noise (16-pixel cells, standard deviation 1) plus pixel noise (0.25).
    """
    rng = np.random.default_rng(seed)
    cells = rng.standard_normal((3, -(-height // 16), -(-width // 16)))
    coarse = np.kron(cells, np.ones((1, 16, 16)))[:, :height, :width]
    fine = 0.25 * rng.standard_normal((3, height, width))
    return (coarse + fine).astype(np.float16).astype(np.float32)
