"""Where OneNet works: ``MODEL.DEVICE``."""

from __future__ import annotations

import torch
from yacs.config import CfgNode

from os2d.distributed import launch
from os2d.errors import ConfigError, DeviceError


def prepare_device(config: CfgNode) -> torch.device:
    """Return the device of this process, with cuDNN set up as configured.

    Several processes take a GPU each, by their number on the machine.

    Raises:
        DeviceError: a GPU is asked for and this machine has none, or not so many.
    """
    try:
        device = torch.device(config.MODEL.DEVICE)
    except RuntimeError as e:
        raise ConfigError(f"MODEL.DEVICE: expected cuda, cuda:N or cpu, got {config.MODEL.DEVICE!r}") from e
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        raise DeviceError(
            f"MODEL.DEVICE: {config.MODEL.DEVICE}, but torch {torch.__version__} finds no usable GPU on this machine; "
            "set MODEL.DEVICE cpu to work without one"
        )
    index, count = launch().local_rank if launch().world_size > 1 else device.index or 0, torch.cuda.device_count()
    if index >= count:
        raise DeviceError(f"--num-gpus or MODEL.DEVICE: GPU {index} (from 0) is asked for, this machine has {count}")
    torch.cuda.set_device(index)
    torch.backends.cudnn.benchmark = config.CUDNN_BENCHMARK
    return torch.device("cuda", index)
