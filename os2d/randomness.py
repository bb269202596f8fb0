"""Random numbers as a function of what they are for, so that nothing has to remember a generator's state."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator


def numbered_generator(seed: int, stream: int, number: int) -> Generator:
    """Return the generator of one thing (a batch, an epoch) of a stream of random choices, on the CPU."""
    state = np.random.SeedSequence([seed & 0xFFFFFFFF, stream, number]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))
