"""Where a retrieval network works."""

from __future__ import annotations

import torch
from yacs.config import CfgNode

from os2d import device


def prepare_device(config: CfgNode) -> torch.device:
    """Return the device of a configuration, with threads and the global random generators set.

    Crops come in all sizes: to try out the algorithms of cuDNN for each would take longer than it saves.
    """
    found = device.prepare_device(config)
    torch.backends.cudnn.benchmark = False
    return found
