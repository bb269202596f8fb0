"""Weights files on disk: reading them without running code from them, writing them whole or not at all."""

from __future__ import annotations

import pickle
import re
import tarfile
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import torch
from torch import Tensor

from os2d.download.missing_weights import why_missing
from os2d.errors import CheckpointError
from os2d.safe_pickle import NUMPY_GLOBALS, ForbiddenPickleError, PickledArray, PickledType, read_pickle
from os2d.whole_file import whole_file

SAFE_GLOBALS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    Namespace,  # weakalign keeps its command line
    # The best criterion value so far may be a numpy scalar; retrieval networks keep whitening matrices.
    *((stand_in, name) for name, stand_in in NUMPY_GLOBALS.items()),
]
"""What a weights file may hold besides tensors and plain Python values; nothing here runs code from the file."""

NUMBER_KINDS = "biuf"
"""Kinds of NumPy types that a tensor can hold."""

ZIP_START = b"PK\x03\x04"
LEGACY_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of files that torch wrote before its version 1.6: its magic number, pickled."""
PICKLE_START, PICKLE_ENDINGS = b"\x80", (".pkl", ".pickle")
"""Pickles of the first protocols have no mark at their start; only their name tells them."""

KNOWN_STARTS: Mapping[bytes, str] = {
    b"<!doctype html": "a web page: the download gave a page instead of the file",
    b"<html": "a web page: the download gave a page instead of the file",
    b"version https://git-lfs": "a pointer of Git LFS: the file itself was not downloaded",
    b"\x1f\x8b": "a gzip archive: unpack it first",
}
"""First bytes, in lower case -> what such a file is."""


def load_weights(path: str | Path) -> dict[str, Any]:
    """Return the content of a weights file, with every tensor on the CPU; no code in the file is run.

    Files of any version of torch are read, and pickles of plain values and NumPy arrays, whose arrays become tensors.

    Raises:
        CheckpointError: if there is no such file, or it is truncated or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(why_missing(path))
    content = _read(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: expected a dictionary of weights, got {type(content).__name__}")
    return dict(content)


def file_format(path: Path) -> str:
    """Return how the file is written: ``torch``, ``torch, before 1.6`` or ``pickle``."""
    with path.open("rb") as stream:
        start = stream.read(len(LEGACY_START))
    if start == LEGACY_START:
        return "torch, before 1.6"
    is_pickle = start.startswith(PICKLE_START) or (path.suffix in PICKLE_ENDINGS and not start.startswith(ZIP_START))
    return "pickle" if is_pickle else "torch"


def write_whole(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write what :func:`load_weights` reads; the file appears complete or not at all.

    Raises:
        CheckpointError: if the file cannot be written, for example because the disk is full.
    """
    _write_whole(Path(path), lambda file: torch.save(content, file))


def write_pickle_whole(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a plain pickle with NumPy arrays in place of tensors, as detectron2 reads it; complete or not at all.

    Raises:
        CheckpointError: if the file cannot be written, for example because the disk is full.
    """
    _write_whole(Path(path), lambda file: pickle.dump(_with_arrays(content), file, protocol=2))


def on_cpu(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested state with its tensors on the CPU; those that shared memory still do, or they are stored twice."""
    moved: dict[tuple[int, tuple[int, ...]], Tensor] = {}

    def move(value: Any) -> Any:
        if isinstance(value, Tensor):
            return moved.setdefault((value.data_ptr(), tuple(value.shape)), value.detach().cpu())
        if isinstance(value, Mapping):
            return {key: move(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(move(entry) for entry in value)
        return value

    return {key: move(value) for key, value in state.items()}


def _write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    try:
        with whole_file(path) as unfinished, unfinished.open("wb") as file:
            write(file)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as either
        raise CheckpointError(f"{path}: cannot write the checkpoint ({error}); is the disk full?") from error


def _read(path: Path) -> object:
    try:
        if file_format(path) == "pickle":
            return _with_tensors(read_pickle(path))
        with torch.serialization.safe_globals(SAFE_GLOBALS), warnings.catch_warnings():
            # torch says that it ignores the encoding, but strings of Python 2 are bytes that it decodes by it; latin1
            # keeps every byte, also of the numbers among them.
            warnings.filterwarnings("ignore", message="pickle_load_args only works")
            warnings.filterwarnings("ignore", message=".*TorchScript archive")  # refused, and said so below
            return _with_tensors(torch.load(path, map_location="cpu", weights_only=True, encoding="latin1"))
    except Exception as error:  # a damaged pickle can raise anything
        raise CheckpointError(f"{path}: not a readable weights file: {_why_unreadable(path, error)}") from error


def _why_unreadable(path: Path, error: Exception) -> str:
    """Return what is wrong, and what to do about it."""
    with path.open("rb") as stream:
        start = stream.read(64)
    if not start:
        return "it is empty; get it again"
    for known, what in KNOWN_STARTS.items():
        if start.lstrip().lower().startswith(known):
            return f"it is {what}"
    refused = re.search(r"GLOBAL (\S+) w", str(error))
    if refused or isinstance(error, ForbiddenPickleError):
        what = f"the name {refused[1]}" if refused else str(error)
        return (
            f"it holds {what}, which tensors and plain values do not need; nothing in it was run. "
            "Take a file of weights alone, or one from a source you trust and save its weights anew"
        )
    archive = _archive(path)
    if archive:
        return f"it is {archive}"
    if start.startswith((ZIP_START, LEGACY_START)):
        return f"it is truncated or damaged ({type(error).__name__}); get it again"
    return (
        f"it was not written by torch.save ({type(error).__name__}); expected a file of tensors and plain values: "
        "get or convert it again"
    )


def _archive(path: Path) -> str:
    """Return what kind of archive a file is, if it is whole and torch.save did not write it."""
    if tarfile.is_tarfile(path):
        return "a tar archive: unpack it first"
    if not zipfile.is_zipfile(path):
        return ""
    with zipfile.ZipFile(path) as archive:
        names = [PurePosixPath(name).name for name in archive.namelist()]
    if "constants.pkl" in names:
        return "a program of TorchScript, not its weights: save its state_dict()"
    return "" if "data.pkl" in names else "a zip archive: unpack it first"


def _with_tensors(value: Any) -> Any:
    """Return nested content with NumPy arrays as tensors; what shared memory still does."""
    if isinstance(value, PickledArray):
        array = value.array()
        if array.dtype.kind not in NUMBER_KINDS:
            raise ForbiddenPickleError(f"an array of {array.dtype}")
        return torch.from_numpy(array)
    if isinstance(value, PickledType):
        raise ForbiddenPickleError("a NumPy type by itself")
    if isinstance(value, Mapping) and any(isinstance(v, Mapping | PickledArray | PickledType) for v in value.values()):
        return {key: _with_tensors(entry) for key, entry in value.items()}
    return value


def _with_arrays(value: Any) -> Any:
    """Return nested content with tensors as NumPy arrays."""
    if isinstance(value, Tensor):
        return value.detach().cpu().contiguous().numpy()
    return {key: _with_arrays(entry) for key, entry in value.items()} if isinstance(value, Mapping) else value
