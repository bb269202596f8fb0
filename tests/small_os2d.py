"""A small OS2D that has every part of a large one."""

from yacs.config import CfgNode

from os2d.config import default_config
from os2d.modeling.network import Os2d, build_os2d


def small_config(seed: int = 0) -> CfgNode:
    """Return the configuration of the network, which may be changed."""
    config = default_config()
    config.random_seed = seed
    config.model.backbone_arch = "ResNet18"
    config.model.backbone_cut = "layer2"
    config.model.template_grid = 7
    config.model.transform_net.kernel_sizes = [3, 3, 3]
    config.model.transform_net.channels = [8, 8]
    return config


def small_model(seed: int = 0, **model_keys: object) -> Os2d:
    """Return the network with its first random weights; ``model_keys`` are keys of ``model`` that differ."""
    config = small_config(seed)
    config.model.update(model_keys)
    return build_os2d(config)
