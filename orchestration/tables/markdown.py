"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.tables.cell_text import SourceMarks, cell_text, notes_of, published_text, title_of
from orchestration.tables.result import TableResult


def to_markdown(result: TableResult) -> str:
    """Return a pipe table under its title, with notes on what is missing."""
    best, marks = result.best(), SourceMarks(result)
    heads = [*map(_escape, result.stub_heads), *(_escape(column.name) for column in result.columns)]
    lines = [
        f"### {_escape(title_of(result))}",
        "",
        _pipes(heads),
        _pipes([*["---"] * len(result.stub_heads), *["---:"] * len(result.columns)]),
    ]
    for i, (title, cells) in enumerate(zip(result.rows, result.cells, strict=True)):
        texts = []
        for j, (cell, head) in enumerate(zip(cells, result.columns, strict=True)):
            text = cell_text(cell, head)
            published = _escape(published_text(cell, head, marks))
            texts.append((f"**{text}**" if (i, j) in best else text) + (f"<br>{published}" if published else ""))
        lines.append(_pipes([*map(_escape, result.stub(title)), *texts]))
    return "\n".join([*lines, "", *(f"- {_escape(note)}" for note in notes_of(result)), ""])


def _escape(text: str) -> str:
    return "".join(f"\\{character}" if character in "\\|*_`<>[]" else character for character in text)


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
