"""What is computed from weights once and used until the weights change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class _Seen(NamedTuple):
    """A tensor as it was: ``alias`` shares its memory, so that no other tensor can come to lie there meanwhile."""

    alias: Tensor
    version: int

    @classmethod
    def of(cls, tensor: Tensor) -> _Seen:
        return cls(tensor.detach(), tensor._version)

    def still_holds(self, tensor: Tensor) -> bool:
        alias = self.alias
        return (
            tensor._version == self.version
            and tensor.data_ptr() == alias.data_ptr()
            and (tensor.device, tensor.dtype, tensor.shape) == (alias.device, alias.dtype, alias.shape)
        )


class WeightCache(Generic[T]):
    """A value that depends on tensors only, and is computed again after one of them has changed.

    A change is seen when it goes through the tensor (an optimiser's step, ``load_state_dict``) or replaces its memory
    (``to``, an assignment to ``data``). One that goes through ``tensor.data.copy_`` leaves no trace: call ``clear``.

    The value is no part of the module that holds the cache: copies and pickles of it begin with an empty cache.
    """

    def __init__(self) -> None:
        self._value: T | None = None
        self._sources: list[_Seen] = []

    def get(self, sources: Sequence[Tensor], compute: Callable[[T | None], T]) -> T:
        """Return the value of the sources.

        Args:
            sources: every tensor the value depends on.
            compute: returns the value, given the last one, whose memory it may use again. It runs without gradients.
        """
        if any(tensor.is_inference() for tensor in sources):  # their changes are not counted
            return self._compute(compute)
        unchanged = len(self._sources) == len(sources) and all(
            seen.still_holds(tensor) for seen, tensor in zip(self._sources, sources, strict=True)
        )
        if self._value is None or not unchanged:
            self._value = self._compute(compute)
            self._sources = [_Seen.of(tensor) for tensor in sources]
        return self._value

    def clear(self) -> None:
        """Compute the value again at the next call."""
        self._sources = []

    def _compute(self, compute: Callable[[T | None], T]) -> T:
        # A value made in inference mode could not be used, nor changed, outside of it.
        with torch.inference_mode(False), torch.no_grad():
            return compute(self._value)

    def __deepcopy__(self, memo: dict[int, object]) -> WeightCache[T]:
        return WeightCache()

    def __reduce__(self) -> tuple[type[WeightCache[T]], tuple[()]]:
        return (WeightCache, ())
