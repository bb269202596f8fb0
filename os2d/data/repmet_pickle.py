"""Reading the two pickles of RepMet, which Python 2 wrote, without running anything they name.

A pickle names functions to call. Those that NumPy writes are answered by the stand-ins below, built-in containers by
themselves, and every other name is refused.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from os2d.download.sources import how_to_get
from os2d.errors import DataError


class ForbiddenNameError(pickle.UnpicklingError):
    """A pickle names something that the published files do not."""


class PickledType:
    """Stands for ``numpy.dtype``: numbers, text, or Python values."""

    def __init__(self, code: str, align: int = 0, copy: int = 0) -> None:
        if code[:1] not in "biufSUO":
            raise ForbiddenNameError(f"the NumPy type {code!r}")
        self.code = code
        self.byte_order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5]):
            raise ForbiddenNameError(f"a NumPy type with fields, {state[1:5]}")
        self.byte_order = state[1]

    def read(self, content: bytes | str) -> np.ndarray[Any, Any]:
        """Return the values that bytes stand for."""
        if self.code.startswith("O"):
            raise ForbiddenNameError("Python values as bytes")
        kind = np.dtype(self.code).newbyteorder(self.byte_order)  # type: ignore[arg-type]
        raw = content.encode("latin1") if isinstance(content, str) else content  # Python 2 had no bytes
        values = np.frombuffer(raw, kind).astype(kind.newbyteorder("="))
        return np.char.decode(values, "latin1") if kind.kind == "S" else values


class PickledArray:
    """Stands for ``numpy.ndarray``."""

    def __init__(self, *ignored: object) -> None:
        self._state: tuple[Any, ...] = (1, (0,), PickledType("f8"), False, b"")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if len(state) != 5 or not isinstance(state[2], PickledType):
            raise ForbiddenNameError("an array that NumPy did not write")
        self._state = state

    def values(self) -> list[Any]:
        """Return the content as nested lists of Python numbers and texts."""
        _, shape, kind, column_major, content = self._state
        flat = np.array(content, dtype=object) if isinstance(content, list) else kind.read(content)
        return list(flat.reshape(shape, order="F" if column_major else "C").tolist())


def values_of(found: Any) -> list[Any]:
    """Return the content of an array, list or tuple of a pickle as a list."""
    return found.values() if isinstance(found, PickledArray) else list(found)


def _number_or_text(kind: PickledType, content: bytes | str) -> Any:
    return kind.read(content)[0].item()


def _bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ForbiddenNameError(f"bytes written as {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


_NUMPY: Mapping[str, Callable[..., Any]] = {
    "numpy.dtype": PickledType,
    "numpy.ndarray": PickledArray,
    "numpy.core.multiarray._reconstruct": PickledArray,
    "numpy.core.multiarray.scalar": _number_or_text,
    "numpy._core.multiarray._reconstruct": PickledArray,  # NumPy 2, for files that somebody wrote again
    "numpy._core.multiarray.scalar": _number_or_text,
}

_BUILT_IN: Mapping[str, Callable[..., Any]] = {
    f"{module}.{kind.__name__}": kind
    for module in ("__builtin__", "builtins")
    for kind in (dict, list, tuple, set, frozenset, int, float, bool, str)
} | {"__builtin__.long": int, "__builtin__.unicode": str, "_codecs.encode": _bytes, "__builtin__.bytes": _no_bytes}


def read_pickle(path: Path) -> Any:
    """Return what a pickle of containers, numbers, texts and NumPy arrays holds; the latter as :class:`PickledArray`.

    Raises:
        DataError: the file is missing, damaged, or names anything else; nothing of it is run.
    """
    try:
        with path.open("rb") as file:
            return _PublishedUnpickler(file, encoding="latin1").load()
    except FileNotFoundError:
        steps = how_to_get(str(path))
        raise DataError(f"{path}: no such file; it is one of the two files of RepMet: {steps}") from None
    except ForbiddenNameError as e:
        raise DataError(
            f"{path}: refused: the pickle holds {e}, which the file of RepMet does not and which could run programs; "
            "fetch the published file"
        ) from e
    except OSError as e:
        raise DataError(f"{path}: cannot be read: {e.strerror}") from e
    except MemoryError:
        raise
    except Exception as e:  # a damaged pickle raises anything, and nothing but the stand-ins above has run
        raise DataError(f"{path}: is damaged or no pickle ({type(e).__name__}: {e}); fetch it again") from e


class _PublishedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        found = _NUMPY.get(full_name) or _BUILT_IN.get(full_name)
        if found is None:
            raise ForbiddenNameError(f"the name {full_name}")
        return found
