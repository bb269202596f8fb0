"""NumPy arrays, types and numbers of somebody's pickle, rebuilt from their bytes by this file alone.

A pickle names functions to call. Here the names that NumPy writes lead to the functions below, every other name is
refused, and nothing from the file reaches NumPy but numbers.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

NUMBER_TYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
"""Element types that are accepted; objects, strings and records are not."""


class PickledType:
    """A ``numpy.dtype`` of a pickle."""

    def __init__(self, code: str, align: int = 0, copy: int = 0) -> None:
        if code not in NUMBER_TYPES:
            raise pickle.UnpicklingError(
                f"an array of NumPy type {code!r}; expected numbers ({', '.join(NUMBER_TYPES)})"
            )
        self.code = code
        self.byte_order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "=", "|") or any(field is not None for field in state[2:5]):
            raise pickle.UnpicklingError(
                f"a NumPy type with fields or sub-arrays ({state[1:5]}); expected plain numbers"
            )
        self.byte_order = state[1]

    def dtype(self) -> np.dtype[Any]:
        """Return the NumPy type."""
        return np.dtype(self.code).newbyteorder(self.byte_order)  # type: ignore[arg-type]


class PickledArray:
    """A ``numpy.ndarray`` of a pickle; see :meth:`array`."""

    def __init__(self, *ignored: object) -> None:
        self.shape: tuple[int, ...] = (0,)
        self.type = PickledType("f4")
        self.column_major = False
        self.content = b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, column_major, content = state
        if not isinstance(kind, PickledType):
            raise pickle.UnpicklingError("an array without a type")
        self.shape, self.type, self.column_major = tuple(shape), kind, bool(column_major)
        self.content = _as_bytes(content)

    def array(self) -> npt.NDArray[Any]:
        """Return the numbers, in the byte order of this machine."""
        flat = np.frombuffer(self.content, self.type.dtype())
        ordered = flat.reshape(self.shape, order="F" if self.column_major else "C")
        return ordered.astype(ordered.dtype.newbyteorder("="), order="C")


def _array_from_buffer(content: bytes, kind: PickledType, shape: tuple[int, ...], order: str) -> PickledArray:
    """Take the place of NumPy's function in pickles of protocol 5."""
    made = PickledArray()
    made.__setstate__((1, shape, kind, order == "F", content))
    return made


def _number(kind: PickledType, content: bytes | str) -> int | float | bool:
    """Take the place of NumPy's constructor of a single number."""
    value: int | float | bool = np.frombuffer(_as_bytes(content), kind.dtype())[0].item()
    return value


def _as_bytes(content: bytes | str) -> bytes:
    """Return raw bytes, which Python 2 wrote as a string."""
    return content.encode("latin1") if isinstance(content, str) else bytes(content)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Take the place of ``_codecs.encode``, through which protocol 2 writes bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes written as {encoding!r}")
    return text.encode("latin1")


NUMPY_GLOBALS: Mapping[str, Callable[..., Any]] = {
    "numpy.dtype": PickledType,
    "numpy.ndarray": PickledArray,
    "numpy.core.multiarray._reconstruct": PickledArray,  # NumPy 1 ...
    "numpy._core.multiarray._reconstruct": PickledArray,  # ... and 2
    "numpy.core.multiarray.scalar": _number,
    "numpy._core.multiarray.scalar": _number,
    "numpy.core.numeric._frombuffer": _array_from_buffer,
    "numpy._core.numeric._frombuffer": _array_from_buffer,
}
"""Name in a pickle -> what is called in its place."""

OTHER_GLOBALS: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": OrderedDict,
    "_codecs.encode": _encode,
    "__builtin__.bytes": lambda: b"",  # how protocol 2 writes no bytes
}


def read_pickle(path: Path) -> object:
    """Return what a pickle of plain values and NumPy numbers holds, its arrays as :class:`PickledArray`.

    Pickles of Python 2 are read too.

    Raises:
        pickle.UnpicklingError: the pickle names anything else; nothing is run then.
    """
    with path.open("rb") as stream:
        return _NumberUnpickler(stream, encoding="latin1").load()


class _NumberUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        found = NUMPY_GLOBALS.get(full_name) or OTHER_GLOBALS.get(full_name)
        if found is None:
            raise pickle.UnpicklingError(f"GLOBAL {full_name} was refused")
        return found
