"""Weights files as the published projects write them, made from names and shapes alone.

A tensor is one number that is spread over its shape, so files are small whatever the network.
"""

import io
import pickle
import pickletools
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from os2d.modeling.conversion.resnet import resnet_shapes

COUNTER = "num_batches_tracked"


def value_of(name: str) -> float:
    """A number that tells one name from another."""
    return 0.5 + zlib.crc32(name.encode()) % 997 / 1000


def spread(name: str, shape: Iterable[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor whose every element is the number of its name."""
    return torch.tensor(value_of(name)).to(dtype).expand(tuple(shape))


def resnet(architecture: str, group_norm: bool = False, num_classes: int = 1000) -> dict[str, Tensor]:
    """A ResNet under torchvision's names, without counters of batches as in old files."""
    shapes = resnet_shapes(architecture, group_norm, num_classes)
    return {name: spread(name, shape) for name, shape in shapes.items() if not name.endswith(COUNTER)}


def renamed(weights: Mapping[str, Tensor], prefixes: Mapping[str, str]) -> dict[str, Tensor]:
    """The weights whose names start as the table says, under the other names."""
    return {
        theirs + name.removeprefix(ours): tensor
        for name, tensor in weights.items()
        for ours, theirs in prefixes.items()
        if name.startswith(ours)
    }


def network(keys: Mapping[str, tuple[list[int], str]]) -> dict[str, Tensor]:
    """A whole network of a list of published keys; twins of merged branches are told apart by nobody."""
    return {name: spread(name, shape, getattr(torch, dtype)) for name, (shape, dtype) in keys.items()}


def legacy(content: object) -> bytes:
    """What torch wrote before its version 1.6."""
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def rewritten_strings(written: bytes, change: Mapping[str, str], python_2: bool = False) -> bytes:
    """A torch file whose pickled strings are other ones, or are those of Python 2."""
    if not written.startswith(b"PK"):
        return _rewritten_stream(written, change, python_2)
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(written)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, _rewritten_stream(data, change, python_2) if name.endswith("data.pkl") else data)
    return changed.getvalue()


def _rewritten_stream(written: bytes, change: Mapping[str, str], python_2: bool) -> bytes:
    """The pickles at the start of the bytes rewritten, the rest (raw numbers) as it is."""
    stream, out = io.BytesIO(written), io.BytesIO()
    while written[stream.tell() : stream.tell() + 2] == b"\x80\x02":
        operations = list(pickletools.genops(stream))
        for (operation, argument, at), following in zip(operations, [*operations[1:], None], strict=True):
            end = following[2] if following else stream.tell()
            if operation.name == "BINUNICODE" and (argument in change or python_2):
                text = change.get(argument, argument).encode()
                out.write(b"U" + bytes([len(text)]) if python_2 else b"X" + len(text).to_bytes(4, "little"))
                out.write(text)
            else:
                out.write(written[at:end])
    return out.getvalue() + written[stream.tell() :]


class Calls:
    """Its pickle asks the reader to call something."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def pickled(path: Path, content: object, protocol: int = 2) -> Path:
    """A plain pickle."""
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def saved(path: Path, content: object) -> Path:
    """A file of torch."""
    torch.save(content, path)
    return path
