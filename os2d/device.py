"""Where the work is done, and on how many threads."""

from __future__ import annotations

import random

import numpy as np
import torch
from yacs.config import CfgNode

from os2d.distributed import launch
from os2d.errors import DeviceError


def select_device(is_cuda: bool) -> torch.device:
    """Return the GPU if one is asked for, else the CPU.

    Raises:
        DeviceError: a GPU is asked for and this machine has none that torch can use.
    """
    if not is_cuda:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise DeviceError(
            f"is_cuda: True, but torch {torch.__version__} ({build}) finds no usable GPU on this machine; "
            "set is_cuda False to run on the CPU"
        )
    if launch().world_size == 1:
        return torch.device("cuda")
    local_rank, count = launch().local_rank, torch.cuda.device_count()
    if local_rank >= count:
        raise DeviceError(
            f"torchrun --nproc-per-node: expected at most one process per GPU, got process {local_rank} (from 0) on a "
            f"machine with {count}"
        )
    return torch.device("cuda", local_rank)


def prepare_device(config: CfgNode) -> torch.device:
    """Return the device of a configuration, with threads and the global random generators set.

    Nothing in the library draws from the global generators; they are seeded for code that users plug in.
    """
    device = select_device(config.is_cuda)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # training patches have one size
    if config.runtime.num_threads:
        torch.set_num_threads(config.runtime.num_threads)
    random.seed(config.random_seed)
    np.random.seed(config.random_seed % 2**32)
    torch.manual_seed(config.random_seed)
    return device
