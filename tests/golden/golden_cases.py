"""Case files of a golden folder and how they are opened."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SYSTEMS = ("os2d", "onenet", "baselines")
OUR_SET = Path(__file__).resolve().parents[1] / "data" / "golden"
NOT_CASES = {"README.md", "inputs.py"}


def case_files(golden_dir: Path) -> list[str]:
    """Every case of the folder: a file, or the folder of a data set, relative to ``golden_dir``."""
    cases = []
    for system in SYSTEMS:
        folder = golden_dir / system
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        cases += [
            f"{system}/{e.name}" for e in entries if e.name not in NOT_CASES and not e.name.startswith(("_", "."))
        ]
    return cases


READ_FILES: pytest.StashKey[set[str]] = pytest.StashKey()
"""Names of the case files that some collected test declares."""


class Case(dict[str, np.ndarray]):
    """The arrays of one ``.npz`` case; ``meta`` is parsed."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as arrays:
            super().__init__({name: arrays[name] for name in arrays.files})
        self.meta: Any = json.loads(str(self["meta"])) if "meta" in self else {}


class Golden:
    """Opens the case files a test has declared."""

    def __init__(self, folder: Path, declared: set[str]) -> None:
        self.folder = folder
        self.declared = declared
        self.opened: set[str] = set()

    def path(self, name: str) -> Path:
        """Path of a declared case; the test is skipped where a set that is not ours does not have it."""
        assert name in self.declared, f"declare {name} with @pytest.mark.reads"
        self.opened.add(name)
        if not (self.folder / name).exists() and self.folder != OUR_SET:
            pytest.skip(f"{name} is not part of the golden set {self.folder}")
        return self.folder / name

    def __call__(self, name: str) -> Case:
        return Case(self.path(name))

    def json(self, name: str) -> Any:
        return json.loads(self.path(name).read_text(encoding="utf-8"))
