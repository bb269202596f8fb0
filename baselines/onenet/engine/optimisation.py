"""The optimiser of OneNet and the limits of its gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_
from torch.optim import SGD, AdamW, Optimizer
from yacs.config import CfgNode

from baselines.onenet.engine.schedule import BASE_LR
from os2d.choices import choose

BACKBONE = "backbone"
"""A parameter with this in its name learns at its own rate."""

Clip = Callable[[], object]

OPTIMISERS: Mapping[str, Callable[[list[dict[str, Any]], CfgNode, bool | None], Optimizer]] = {
    "ADAMW": lambda groups, solver, fused: AdamW(groups, lr=solver.BASE_LR, fused=fused),
    "SGD": lambda groups, solver, fused: SGD(groups, lr=solver.BASE_LR, momentum=solver.MOMENTUM, fused=fused),
}


def build_optimizer(model: nn.Module, solver: CfgNode) -> Optimizer:
    """Return the optimiser of ``SOLVER`` with one group per learning parameter, in the order of the model.

    Published checkpoints have these groups, which lets their trainings go on here, and ours there.
    """
    groups = [
        {
            "params": [parameter],
            "lr": solver.BASE_LR * (solver.BACKBONE_MULTIPLIER if BACKBONE in name else 1.0),
            "weight_decay": solver.WEIGHT_DECAY,
        }
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    # A fused optimiser can skip a step on the device, where waiting for the device costs time: on a GPU.
    fused = True if all(group["params"][0].is_cuda for group in groups) else None
    optimizer = choose("SOLVER.OPTIMIZER", solver.OPTIMIZER, OPTIMISERS)(groups, solver, fused)
    for group in optimizer.param_groups:
        group[BASE_LR] = group["lr"]
    return optimizer


def clipping(parameters: Sequence[nn.Parameter], norm: Tensor, clip: CfgNode) -> Clip:
    """Return what limits the gradients as ``SOLVER.CLIP_GRADIENTS`` says, given their joint L2 norm."""
    if not clip.ENABLED:
        return lambda: None
    return choose("SOLVER.CLIP_GRADIENTS.CLIP_TYPE", clip.CLIP_TYPE, CLIP_TYPES)(parameters, norm, clip)


def _clip_each_norm(parameters: Sequence[nn.Parameter], clip: CfgNode) -> None:
    for parameter in parameters:
        clip_grad_norm_([parameter], clip.CLIP_VALUE, clip.NORM_TYPE)


CLIP_TYPES: Mapping[str, Callable[[Sequence[nn.Parameter], Tensor, CfgNode], Clip]] = {
    "full_model": lambda parameters, norm, clip: partial(clip_grads_with_norm_, parameters, clip.CLIP_VALUE, norm),
    "value": lambda parameters, norm, clip: partial(clip_grad_value_, parameters, clip.CLIP_VALUE),
    "norm": lambda parameters, norm, clip: partial(_clip_each_norm, parameters, clip),
}
"""``CLIP_TYPE``: ``full_model`` limits the norm of all gradients together, the others limit each of them."""
