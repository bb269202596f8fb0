"""Classes that clients have named, with their features; those that were not used for longest are forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from os2d.detector import LearnedClasses
from os2d.serve.metrics import Metrics
from os2d.serve.refusal import RefusedError, shown

LONGEST_NAME = 100


@dataclass(frozen=True)
class RegisteredClass:
    """A class and of how many pictures its features are."""

    learned: LearnedClasses
    images: int


class RegisteredClasses:
    """Name -> class, in the order of their last use; used by the event loop only.

    Args:
        capacity: class images whose features are kept; each takes about a megabyte.
        metrics: that are told of the number of classes.
    """

    def __init__(self, capacity: int, metrics: Metrics) -> None:
        self.capacity = capacity
        self._classes: OrderedDict[str, RegisteredClass] = OrderedDict()
        self._metrics = metrics

    def check_new(self, name: str) -> None:
        """Raise if there is a class of this name."""
        if name in self._classes:
            raise RefusedError(
                "class_exists", f"there is a class {shown(name)}; delete it first, or choose another name"
            )

    def add(self, name: str, entry: RegisteredClass) -> None:
        """Keep a class; forget the least recently used ones if there are too many."""
        self.check_new(name)
        self._classes[name] = entry
        while self._images() > self.capacity and len(self._classes) > 1:
            self._classes.popitem(last=False)
        self._metrics.registered.set(len(self._classes))

    def use(self, names: Sequence[str], field: str) -> list[LearnedClasses]:
        """Return the features of classes; they count as used now."""
        for name in names:
            if name not in self._classes:
                raise unknown_class(name, field)
            self._classes.move_to_end(name)
        return [self._classes[name].learned for name in names]

    def remove(self, name: str) -> None:
        """Forget a class."""
        if self._classes.pop(name, None) is None:
            raise unknown_class(name, "name")
        self._metrics.registered.set(len(self._classes))

    def sizes(self) -> dict[str, int]:
        """Return name -> number of pictures."""
        return {name: entry.images for name, entry in self._classes.items()}

    def _images(self) -> int:
        return sum(entry.images for entry in self._classes.values())


def unknown_class(name: str, field: str) -> RefusedError:
    """Return the refusal for a name that nobody has registered, or that was forgotten."""
    message = f"no class {shown(name)} is registered (any longer); register it at /v1/classes"
    return RefusedError("unknown_class", message, field)


def check_class_name(name: str, field: str) -> str:
    """Return the name without spaces around it if it can stand in an address and in a picture.

    Raises:
        RefusedError: it is empty, too long, or has slashes or characters that cannot be printed.
    """
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or set(name) & {"/", "\\"} or name in (".", ".."):
        message = f"expected a name of 1 to {LONGEST_NAME} printable characters without slashes"
        raise RefusedError("invalid_value", message, field)
    return name
