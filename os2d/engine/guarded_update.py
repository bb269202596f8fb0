"""The update of an optimiser where it is allowed, without making the host wait for a GPU to know whether it is."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.optim import Optimizer


def update_if(allowed: Tensor, optimizer: Optimizer, prepare: Callable[[], object]) -> None:
    """Prepare the gradients and update where ``allowed``; the device decides by itself if the optimiser can do that.

    Args:
        allowed: a bool on the device of the gradients.
        optimizer: fused ones (sgd, adam, adamw on a GPU) can skip a step on the device.
        prepare: called before the update, such as clipping; where the device decides, in any case.
    """
    on_device = allowed.device.type != "cpu" and getattr(optimizer, "_step_supports_amp_scaling", False)
    if not on_device and not allowed:
        return
    prepare()
    if on_device:
        optimizer.found_inf = (~allowed).float()  # type: ignore[attr-defined]  # read by fused optimisers
    optimizer.step()
