"""What a network knows of classes once it has seen their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from os2d.errors import DataError


@dataclass(frozen=True)
class Group:
    """Classes with the same number of views.

    Args:
        classes: their positions among the learned classes.
        views: how many features each of them has.
        features: those of the first class, then those of the second, ...
    """

    classes: tuple[int, ...]
    views: int
    features: Tensor


@dataclass(frozen=True, eq=False)
class LearnedClasses:
    """Classes that a detector looks for, with the features of their pictures; only that detector understands them.

    Args:
        names: of the classes.
        features: of every class, a row per view.
        network: the network that made them.
    """

    names: tuple[str, ...]
    features: tuple[Tensor, ...]
    network: object

    def __len__(self) -> int:
        return len(self.names)

    @property
    def nbytes(self) -> int:
        """How much memory the features take."""
        return sum(features.nbytes for features in self.features)

    @staticmethod
    def join(parts: Sequence[LearnedClasses]) -> LearnedClasses:
        """Return all classes of the parts; what is called the same becomes one class, its pictures views of it.

        Raises:
            DataError: the parts are of different networks, or there is none.
        """
        if not parts:
            raise DataError("expected at least one learned class to join, got none")
        if any(part.network is not parts[0].network for part in parts):
            raise DataError("classes that different networks learned cannot be joined; let one network learn them all")
        if len(parts) == 1:
            return parts[0]
        views: dict[str, list[Tensor]] = {}
        for part in parts:
            for name, features in zip(part.names, part.features, strict=True):
                views.setdefault(name, []).append(features)
        joined = tuple(of_class[0] if len(of_class) == 1 else torch.cat(of_class) for of_class in views.values())
        return LearnedClasses(tuple(views), joined, parts[0].network)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The classes by their number of views; their features are copied only where there are several classes."""
        of_views: dict[int, list[int]] = {}
        for k, features in enumerate(self.features):
            of_views.setdefault(len(features), []).append(k)
        return tuple(
            Group(tuple(classes), views, self._features_of(classes)) for views, classes in sorted(of_views.items())
        )

    def _features_of(self, classes: Sequence[int]) -> Tensor:
        first = self.features[classes[0]]
        return first if len(classes) == 1 else torch.cat([self.features[k] for k in classes])
