"""Tables as text: terminal, Markdown, LaTeX, CSV, HTML and JSON, all from one :class:`TableResult`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from html import escape as escape_html
from typing import Literal

from rich.table import Table as TerminalTable
from rich.text import Text

from orchestration.tables.result import Cell, ColumnHead, TableResult

Format = Literal["markdown", "latex", "csv", "html", "json"]

SEEDS_NOTE = "Mean ± sample standard deviation over seeds; number of seeds in parentheses."

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "→": r"$\rightarrow$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def render(result: TableResult, form: Format) -> str:
    """Return the table in a format, ending in a newline."""
    return FORMATS[form](result)


def to_markdown(result: TableResult) -> str:
    """Return a pipe table under its title, with notes on what is missing."""
    best = result.best()
    header = ["", *(_escape_markdown(column.title) for column in result.columns)]
    lines = [
        f"### {_escape_markdown(result.title)}",
        "",
        _pipes(header),
        _pipes(["---", *["---:"] * len(result.columns)]),
    ]
    for i, (title, cells) in enumerate(zip(result.rows, result.cells, strict=True)):
        texts = [_cell_text(cell, result.columns[j]) for j, cell in enumerate(cells)]
        bold = [f"**{text}**" if (i, j) in best else text for j, text in enumerate(texts)]
        lines.append(_pipes([_escape_markdown(title), *bold]))
    notes = [_escape_markdown(note) for note in _notes(result)]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes), ""])


def to_latex(result: TableResult) -> str:
    """Return a ``table`` environment in booktabs style; what is missing is told in comments."""
    best = result.best()
    caption = " ".join(part for part in (_sentence(result.title), result.caption, SEEDS_NOTE) if part)
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape_latex(caption)}}}",
        rf"  \label{{tab:{result.name}}}",
        rf"  \begin{{tabular}}{{l{'r' * len(result.columns)}}}",
        r"    \toprule",
        "    " + " & ".join(["", *(escape_latex(column.title) for column in result.columns)]).strip() + r" \\",
        r"    \midrule",
    ]
    for i, (title, cells) in enumerate(zip(result.rows, result.cells, strict=True)):
        texts = [_latex_cell(cell, result.columns[j], bold=(i, j) in best) for j, cell in enumerate(cells)]
        lines.append("    " + " & ".join([escape_latex(title), *texts]) + r" \\")
    lines += [r"    \bottomrule", r"  \end{tabular}", *(f"  % {gap}" for gap in result.gaps()), r"\end{table}", ""]
    return "\n".join(lines)


def to_csv(result: TableResult) -> str:
    """Return one line per cell with the fields of the JSON form."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, ["table", "row", "column", "mean", "std", "n", "state"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(dict(cell) for cell in result.as_json())
    return stream.getvalue()


def to_json(result: TableResult) -> str:
    """Return the cells as a JSON list."""
    return json.dumps(result.as_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_html(result: TableResult, link: Callable[[Cell], str | None] = lambda cell: None) -> str:
    """Return a ``<table>`` fragment. ``link`` gives the address a cell leads to, such as its trials."""
    best = result.best()
    head = "".join(f'<th scope="col">{escape_html(column.title)}</th>' for column in result.columns)
    body = []
    for i, (title, cells) in enumerate(zip(result.rows, result.cells, strict=True)):
        texts = [_html_cell(cell, result.columns[j], (i, j) in best, link(cell)) for j, cell in enumerate(cells)]
        body.append(f'<tr><th scope="row">{escape_html(title)}</th>{"".join(texts)}</tr>')
    notes = "".join(f"<li>{escape_html(note)}</li>" for note in _notes(result))
    return (
        f'<table class="results"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'
        f'<ul class="notes">{notes}</ul>\n'
    )


def to_terminal(result: TableResult) -> TerminalTable:
    """Return a table for rich's console."""
    best = result.best()
    table = TerminalTable(title=Text(result.title), caption=Text("\n".join(_notes(result))), caption_justify="left")
    table.add_column("")
    for column in result.columns:
        table.add_column(Text(column.title), justify="right")
    for i, (title, cells) in enumerate(zip(result.rows, result.cells, strict=True)):
        texts = [
            Text(
                _cell_text(cell, result.columns[j]),
                style="bold" if (i, j) in best else "dim" if cell.mean is None else "",
            )
            for j, cell in enumerate(cells)
        ]
        table.add_row(Text(title), *texts)
    return table


FORMATS: dict[Format, Callable[[TableResult], str]] = {
    "markdown": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
    "html": to_html,
    "json": to_json,
}


def escape_latex(text: str) -> str:
    """Return the text with every character that LaTeX reads as a command spelled out."""
    return "".join(_LATEX.get(character, character) for character in text)


def _cell_text(cell: Cell, column: ColumnHead) -> str:
    number = _number(cell, column)
    if number is None:
        return "–" if cell.state == "done" else cell.state
    return f"{number} ({_seeds(cell)})"


def _number(cell: Cell, column: ColumnHead, plus_minus: str = " ± ") -> str | None:
    if cell.mean is None:
        return None
    spread = f"{plus_minus}{cell.std:.{column.digits}f}" if cell.std is not None and cell.n > 1 else ""
    return f"{cell.mean:.{column.digits}f}{spread}"


def _seeds(cell: Cell) -> str:
    return f"{cell.n} of {cell.wanted}" if cell.state == "partial" else str(cell.n)


def _latex_cell(cell: Cell, column: ColumnHead, bold: bool) -> str:
    number = _number(cell, column, plus_minus=r" \pm ")
    if number is None:
        return escape_latex(_cell_text(cell, column))
    return (rf"$\mathbf{{{number}}}$" if bold else f"${number}$") + f" ({_seeds(cell)})"


def _html_cell(cell: Cell, column: ColumnHead, bold: bool, address: str | None) -> str:
    number = _number(cell, column)
    if number is None:
        content = f'<span class="state">{escape_html(_cell_text(cell, column))}</span>'
    else:
        content = f"<b>{number}</b>" if bold else number
        content += f' <span class="seeds">({_seeds(cell)})</span>'
    if address:
        content = f'<a href="{escape_html(address)}">{content}</a>'
    title = f' title="{escape_html(cell.reason)}"' if cell.reason else ""
    return f'<td data-state="{cell.state}"{title}>{content}</td>'


def _notes(result: TableResult) -> list[str]:
    has_values = any(cell.n for row in result.cells for cell in row)
    parts = [result.caption, SEEDS_NOTE if has_values else "", *result.gaps(), *result.warnings]
    return [part for part in parts if part]


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _escape_markdown(text: str) -> str:
    return "".join(f"\\{character}" if character in "\\|*_`<>[]" else character for character in text)


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
