"""Tables on a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from orchestration.tables.cell_text import SourceMarks, cell_text, has_published, notes_of, published_text, title_of
from orchestration.tables.result import Cell, ColumnHead, TableResult


def to_terminal(result: TableResult) -> Table:
    """Return a table for rich's console."""
    best, marks = result.best(), SourceMarks(result)
    table = Table(
        title=Text(title_of(result)),
        caption=Text("\n".join(notes_of(result))),
        caption_justify="left",
        show_lines=has_published(result),
    )
    for head in result.stub_heads:
        table.add_column(Text(head), overflow="fold")
    for column in result.columns:
        table.add_column(Text(f"{column.group}\n{column.title}" if column.group else column.title), justify="right")
    for i, (title, cells) in enumerate(zip(result.rows, result.cells, strict=True)):
        texts = [_cell(cell, result.columns[j], (i, j) in best, marks) for j, cell in enumerate(cells)]
        table.add_row(*map(Text, result.stub(title)), *texts)
    return table


def _cell(cell: Cell, head: ColumnHead, bold: bool, marks: SourceMarks) -> Text:
    text = Text(cell_text(cell, head), style="bold" if bold else "dim" if cell.mean is None else "")
    published = published_text(cell, head, marks)
    return text.append(f"\n{published}", style="not bold dim") if published else text
