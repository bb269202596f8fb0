"""Network, weights and objective of a configuration at once, by the name of the published program."""

from __future__ import annotations

from typing import Any

from yacs.config import CfgNode

from os2d.device import select_device
from os2d.modeling.box_coder import BoxCoder
from os2d.modeling.checkpoint import load_initial_weights
from os2d.modeling.network import Os2d, build_os2d
from os2d.modeling.objective import Os2dObjective


def build_os2d_from_config(
    cfg: CfgNode,
) -> tuple[Os2d, BoxCoder, Os2dObjective, dict[str, list[float]], dict[str, Any] | None]:
    """Return what a program of the published OS2D begins with, in its order.

    Returns:
        The network in evaluation mode with the weights that ``init`` names, on the GPU if ``is_cuda``; its box coder;
        the training objective; ``mean`` and ``std`` of the images; the state of the optimiser in the weights' file,
        None if it has none.

    Raises:
        Os2dError: for a value that cannot work, a file that does not fit, or a GPU that is not there.
    """
    network = build_os2d(cfg)
    optimizer_state = load_initial_weights(network, cfg.init)
    network.to(select_device(cfg.is_cuda))
    img_normalization = {"mean": list(cfg.model.normalization_mean), "std": list(cfg.model.normalization_std)}
    return network, network.box_coder, Os2dObjective.from_config(cfg), img_normalization, optimizer_state
