"""Where a detector works, and on how many threads."""

from __future__ import annotations

import torch
from yacs.config import CfgNode

from baselines.detector_retrieval.detector.config import is_cuda
from os2d.device import select_device


def prepare_device(config: CfgNode) -> torch.device:
    """Return the device of ``MODEL.DEVICE``, with the threads of ``runtime`` set.

    Raises:
        DeviceError: a GPU is asked for and this machine has none that torch can use.
    """
    device = select_device(is_cuda(config))
    if config.runtime.num_threads:
        torch.set_num_threads(config.runtime.num_threads)
    return device
