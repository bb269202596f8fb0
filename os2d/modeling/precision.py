"""The number format of convolutions and matrix products."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from os2d.choices import choose

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Value of ``train.precision`` and ``eval.precision`` -> format."""


def autocast(key: str, precision: str, device_type: str) -> AbstractContextManager[object]:
    """Return a context in which dense layers compute in the configured format, and in float32 everything else.

    Args:
        key: the configuration key, for messages.
        precision: its value, a key of ``FORMATS``.
        device_type: ``cpu`` or ``cuda``.
    """
    dtype = choose(key, precision, FORMATS)
    return nullcontext() if dtype is torch.float32 else torch.autocast(device_type, dtype)
