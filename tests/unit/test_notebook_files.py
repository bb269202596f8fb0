"""Notebooks as they are kept: valid, without what a run of them put out."""

from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


def test_both_demonstrations_are_there():
    assert [path.name for path in NOTEBOOKS] == ["demo-api.ipynb", "demo.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_of_a_run_is_kept(path: Path):
    notebook = nbformat.read(path, nbformat.NO_CONVERT)

    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None and not cell.metadata for cell in cells)
