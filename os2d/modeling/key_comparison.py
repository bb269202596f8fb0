"""Comparing the names and shapes of weights with those that a network has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

LISTED_KEYS = 5
"""Keys of each kind that an error message spells out."""

BATCH_COUNTER = ".num_batches_tracked"
"""End of the one kind of key that files may lack: old versions of torch did not count batches."""


@dataclass(frozen=True)
class KeyDifferences:
    """What keeps weights from fitting; all empty when they fit."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    of_another_shape: Mapping[str, str]
    """Key -> its shape and the expected one, in words."""

    def __len__(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.of_another_shape)

    def __str__(self) -> str:
        kinds = {
            "missing": list(self.missing),
            "unexpected": list(self.unexpected),
            "of another shape": [f"{key} {shapes}" for key, shapes in self.of_another_shape.items()],
        }
        return "; ".join(f"{len(keys)} {kind}: {listed(keys)}" for kind, keys in kinds.items() if keys)


def compare_keys(
    weights: Mapping[str, Tensor],
    expected: Mapping[str, torch.Size],
    may_be_left_over: Callable[[str], bool] = lambda key: False,
) -> KeyDifferences:
    """Return how the weights differ from what is expected, in the order of each."""
    return KeyDifferences(
        missing=tuple(k for k in expected if k not in weights and not k.endswith(BATCH_COUNTER)),
        unexpected=tuple(k for k in weights if k not in expected and not may_be_left_over(k)),
        of_another_shape={
            k: f"{tuple(weights[k].shape)} instead of {tuple(shape)}"
            for k, shape in expected.items()
            if k in weights and weights[k].shape != shape
        },
    )


def shapes_of(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """Return key -> shape of a network's weights, in their order, as :func:`compare_keys` expects them."""
    return {key: tensor.shape for key, tensor in state.items()}


def listed(keys: Iterable[str]) -> str:
    """Return the first keys, and how many more there are."""
    keys = list(keys)
    more = f" and {len(keys) - LISTED_KEYS} more" if len(keys) > LISTED_KEYS else ""
    return ", ".join(keys[:LISTED_KEYS]) + more
