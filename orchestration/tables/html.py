"""Tables in HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby

from orchestration.tables.cell_text import (
    MARK,
    SourceMarks,
    cell_text,
    count,
    notes_of,
    number,
    published_text,
    title_of,
)
from orchestration.tables.result import Cell, ColumnHead, TableResult
from orchestration.tables.significance import is_worse

STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2em}table{border-collapse:collapse}"
    "th,td{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:right}"
    "td{white-space:nowrap}th[scope=row],.stub{text-align:left}th[scope=row]{font-weight:normal}"
    ".published,.seeds,.state{color:#666;font-size:85%}.notes{max-width:60em}"
)


def to_html(result: TableResult, link: Callable[[Cell], str | None] = lambda cell: cell.address or None) -> str:
    """Return a ``<table>`` fragment. ``link`` gives the address a cell leads to, such as its runs in MLflow."""
    best, marks = result.best(), SourceMarks(result)
    body = []
    for i, (title, cells) in enumerate(zip(result.rows, result.cells, strict=True)):
        texts = [_cell(cell, result.columns[j], (i, j) in best, link(cell), marks) for j, cell in enumerate(cells)]
        stub = "".join(f'<th scope="row">{escape(label)}</th>' for label in result.stub(title))
        body.append(f"<tr>{stub}{''.join(texts)}</tr>")
    notes = "".join(f"<li>{escape(note)}</li>" for note in notes_of(result))
    return (
        f'<table class="results"><thead>{_head(result)}</thead><tbody>{"".join(body)}</tbody></table>'
        f'<ul class="notes">{notes}</ul>\n'
    )


def to_page(results: Sequence[TableResult]) -> str:
    """Return a page that stands alone, with a link from every number to its runs in MLflow."""
    tables = "".join(f"<h2>{escape(title_of(result))}</h2>\n{to_html(result)}" for result in results)
    title = escape("; ".join(result.title for result in results))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><base target="_blank">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>\n{tables}</body></html>\n"
    )


def _head(result: TableResult) -> str:
    stub = "".join(
        f'<th scope="col" class="stub">{escape(head)}</th>' if head else "<th></th>" for head in result.stub_heads
    )
    columns = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in result.columns)
    if not any(column.group for column in result.columns):
        return f"<tr>{stub}{columns}</tr>"
    groups = "".join(
        f'<th scope="colgroup" colspan="{len(list(of_group))}">{escape(group)}</th>'
        for group, of_group in groupby(result.columns, key=lambda column: column.group)
    )
    return f"<tr>{'<th></th>' * len(result.stub_heads)}{groups}</tr><tr>{stub}{columns}</tr>"


def _cell(cell: Cell, head: ColumnHead, bold: bool, address: str | None, marks: SourceMarks) -> str:
    text = number(cell, head)
    if text is None:
        content = f'<span class="state">{escape(cell_text(cell, head))}</span>'
    else:
        content = f"<b>{text}</b>" if bold else text
        content += f'{MARK if is_worse(cell) else ""} <span class="seeds">({count(cell)})</span>'
    if address:
        content = f'<a href="{escape(address)}">{content}</a>'
    published = published_text(cell, head, marks)
    below = f'<br><span class="published">{escape(published)}</span>' if published else ""
    title = f' title="{escape(cell.reason)}"' if cell.reason else ""
    return f'<td data-state="{cell.state}"{title}>{content}{below}</td>'
