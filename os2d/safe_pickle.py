"""Reading somebody's pickle without running anything it names.

A pickle names functions to call. The names that NumPy writes lead to the stand-ins below, built-in containers to
themselves, and every other name is refused: nothing of the file reaches NumPy but raw numbers and texts.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

TYPE_KINDS = "biufSUO"
"""Kinds of NumPy types that are accepted: numbers, texts and plain values; no records."""


class ForbiddenPickleError(pickle.UnpicklingError):
    """A pickle holds something that only code from it could make; the message says what."""


class PickledType:
    """Stands for ``numpy.dtype``."""

    def __init__(self, code: str, align: int = 0, copy: int = 0) -> None:
        if code[:1] not in TYPE_KINDS:
            raise ForbiddenPickleError(f"the NumPy type {code!r}")
        self.code = code
        self.byte_order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5]):
            raise ForbiddenPickleError(f"a NumPy type with fields, {state[1:5]}")
        self.byte_order = state[1]

    def read(self, content: bytes | str) -> npt.NDArray[Any]:
        """Return the numbers or texts that bytes stand for, in the byte order of this machine."""
        if self.code.startswith("O"):
            raise ForbiddenPickleError("Python values as bytes")
        kind = np.dtype(self.code).newbyteorder(self.byte_order)  # type: ignore[arg-type]
        raw = content.encode("latin1") if isinstance(content, str) else bytes(content)  # Python 2 had no bytes
        values = np.frombuffer(raw, kind).astype(kind.newbyteorder("="))
        return np.char.decode(values, "latin1") if kind.kind == "S" else values


class PickledArray:
    """Stands for ``numpy.ndarray``; see :meth:`array`."""

    def __init__(self, *ignored: object) -> None:
        self._state: tuple[Any, ...] = (1, (0,), PickledType("f8"), False, b"")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if len(state) != 5 or not isinstance(state[2], PickledType):
            raise ForbiddenPickleError("an array that NumPy did not write")
        self._state = state

    def array(self) -> npt.NDArray[Any]:
        """Return the numbers or texts; plain values of any kind as an array of objects."""
        _, shape, kind, column_major, content = self._state
        flat = np.array(content, dtype=object) if isinstance(content, list) else kind.read(content)
        return flat.reshape(shape, order="F" if column_major else "C").copy(order="C")


def values_of(found: Any) -> list[Any]:
    """Return the content of an array, list or tuple of a pickle as a list of plain values."""
    return list(found.array().tolist()) if isinstance(found, PickledArray) else list(found)


def _array_from_buffer(content: bytes, kind: PickledType, shape: tuple[int, ...], order: str) -> PickledArray:
    """Take the place of NumPy's function in pickles of protocol 5."""
    made = PickledArray()
    made.__setstate__((1, shape, kind, order == "F", content))
    return made


def _number_or_text(kind: PickledType, content: bytes | str) -> Any:
    """Take the place of NumPy's constructor of a single value."""
    return kind.read(content)[0].item()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Take the place of ``_codecs.encode``, through which protocol 2 writes bytes."""
    if encoding != "latin1":
        raise ForbiddenPickleError(f"bytes written as {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Take the place of ``bytes``, by which protocol 2 writes none."""
    return b""


NUMPY_GLOBALS: Mapping[str, Callable[..., Any]] = {
    "numpy.dtype": PickledType,
    "numpy.ndarray": PickledArray,
    "numpy.core.multiarray._reconstruct": PickledArray,  # NumPy 1 ...
    "numpy._core.multiarray._reconstruct": PickledArray,  # ... and 2
    "numpy.core.multiarray.scalar": _number_or_text,
    "numpy._core.multiarray.scalar": _number_or_text,
    "numpy.core.numeric._frombuffer": _array_from_buffer,
    "numpy._core.numeric._frombuffer": _array_from_buffer,
}
"""Name in a pickle -> what is called in its place."""

PLAIN_GLOBALS: Mapping[str, Callable[..., Any]] = {
    **{
        f"{module}.{kind.__name__}": kind
        for module in ("__builtin__", "builtins")
        for kind in (dict, list, tuple, set, frozenset, int, float, bool, str)
    },
    "__builtin__.long": int,
    "__builtin__.unicode": str,
    "__builtin__.bytes": _no_bytes,
    "_codecs.encode": _encode,
    "collections.OrderedDict": OrderedDict,
}
"""The same for containers and plain values."""


def read_pickle(path: Path) -> Any:
    """Return what a pickle of plain values and NumPy arrays holds, the latter as :class:`PickledArray`.

    Pickles of Python 2 are read too.

    Raises:
        ForbiddenPickleError: the pickle names anything else; nothing was run.
        Exception: of any kind, where the file is damaged.
    """
    with path.open("rb") as stream:
        return _PlainUnpickler(stream, encoding="latin1").load()


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        found = NUMPY_GLOBALS.get(full_name) or PLAIN_GLOBALS.get(full_name)
        if found is None:
            raise ForbiddenPickleError(f"the name {full_name}")
        return found
