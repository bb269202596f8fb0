"""The log that the published program keeps: ``train_log.pkl``, a pickled dictionary name -> list of numbers.

One entry per evaluation; all lists are equally long, and what an entry does not have is NaN. The last evaluation is
entered at the number of steps done, not at one more.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from math import nan
from pathlib import Path
from typing import Any, NoReturn

from os2d.errors import DataError
from os2d.whole_file import whole_file

FILE_NAME = "train_log.pkl"
TIME, ITER = "time", "iter"

Columns = dict[str, list[float]]


class TrainLog:
    """The log of one training; an entry of an iteration replaces those of this iteration and of later ones.

    So a training that was interrupted after it had logged, but before it had saved, repeats no entry.

    Args:
        folder: where the file is or will be.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self.columns: Columns = read_train_log(self.path) if self.path.exists() else {}

    def append(self, iteration: int, hours: float, values: Mapping[str, float]) -> None:
        """Add an entry and write the file, complete or not at all."""
        kept = [k for k, other in enumerate(self.columns.get(ITER, [])) if other < iteration]
        entry = {TIME: hours, ITER: float(iteration), **{name: float(value) for name, value in values.items()}}
        names = [*self.columns, *(name for name in entry if name not in self.columns)]
        self.columns = {
            name: [self.columns[name][k] if name in self.columns else nan for k in kept] + [entry.get(name, nan)]
            for name in names
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self.path) as unfinished:
            unfinished.write_bytes(pickle.dumps(self.columns))


class _NoClasses(pickle.Unpickler):
    """Reads dictionaries, lists and numbers; a pickle that names anything else could run any program."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def read_train_log(path: Path) -> Columns:
    """Return the columns of a log: of this program, or one of the published program that holds plain numbers.

    Args:
        path: the file, or its folder.

    Raises:
        DataError: there is no such file, or it is something else.
    """
    path = path / FILE_NAME if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"{path}: no such log")
    try:
        content: Any = _NoClasses(io.BytesIO(path.read_bytes())).load()
    except Exception as e:  # a damaged pickle can raise nearly anything
        raise DataError(f"{path}: not a readable log of numbers ({e})") from e
    if not isinstance(content, dict) or not all(_is_column(column) for column in content.values()):
        raise DataError(f"{path}: expected a dictionary of lists of numbers")
    if len({len(column) for column in content.values()}) > 1:
        raise DataError(f"{path}: expected lists of equal length")
    return {str(name): [float(v) for v in values] for name, values in content.items()}


def _is_column(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(number, int | float) for number in value)
