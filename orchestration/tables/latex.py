"""Tables in LaTeX, for pdflatex with the package booktabs and no other."""

from __future__ import annotations

import re
from itertools import groupby

from orchestration.tables.cell_text import (
    MARK,
    SourceMarks,
    cell_text,
    count,
    counting_notes,
    explaining_notes,
    number,
    published_text,
    title_of,
)
from orchestration.tables.result import Cell, ColumnHead, TableResult
from orchestration.tables.significance import is_worse

_SPELLED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "|": r"\textbar{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "–": "--",
    "—": "---",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "†": r"$\dagger$",
    "…": r"\ldots{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\n": " ",
}
_LAST_KNOWN_LETTER = "ſ"  # what pdflatex has letters for without further packages


def to_latex(result: TableResult) -> str:
    """Return a ``table`` environment in booktabs style; what is missing is told in comments."""
    best, marks = result.best(), SourceMarks(result)
    caption = " ".join(part for part in (_sentence(title_of(result)), result.caption, *counting_notes(result)) if part)
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape_latex(caption)}}}",
        rf"  \label{{tab:{re.sub(r'[^A-Za-z0-9.:-]', '-', result.name)}}}",
        rf"  \begin{{tabular}}{{{'l' * len(result.stub_heads)}{'r' * len(result.columns)}}}",
        r"    \toprule",
        *(f"    {line}" for line in _head(result)),
        r"    \midrule",
    ]
    for i, (row, cells) in enumerate(zip(result.rows, result.cells, strict=True)):
        texts = [_cell(cell, result.columns[j], bold=(i, j) in best) for j, cell in enumerate(cells)]
        lines.append("    " + _columns([*map(escape_latex, result.stub(row)), *texts]))
        below = [_published(cell, result.columns[j], marks) for j, cell in enumerate(cells)]
        if any(below):
            lines.append("    " + _columns([*[""] * len(result.stub_heads), *below]))
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    lines += [rf"  \par\smallskip{{\footnotesize {escape_latex(note)}\par}}" for note in explaining_notes(result)]
    return "\n".join([*lines, *(f"  % {gap}" for gap in result.gaps()), r"\end{table}", ""])


def escape_latex(text: str) -> str:
    """Return the text with every character that LaTeX reads as a command, or has no letter for, spelled out."""
    return "".join(_SPELLED.get(character) or _letter(character) for character in text)


def _letter(character: str) -> str:
    return (
        character
        if character <= _LAST_KNOWN_LETTER and character.isprintable()
        else rf"\texttt{{U+{ord(character):04X}}}"
    )


def _head(result: TableResult) -> list[str]:
    stub = [escape_latex(head) for head in result.stub_heads]
    titles = _columns([*stub, *(escape_latex(column.title) for column in result.columns)]).lstrip()
    if not any(column.group for column in result.columns):
        return [titles]
    spans, rules, first = [""] * len(stub), [], len(stub) + 1
    for group, of_group in groupby(result.columns, key=lambda column: column.group):
        width = len(list(of_group))
        spans.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(group)}}}")
        rules += [rf"\cmidrule(lr){{{first}-{first + width - 1}}}"] if group else []
        first += width
    return [_columns(spans), " ".join(rules), titles]


def _columns(texts: list[str]) -> str:
    line = " & ".join(texts) + r" \\"
    return "{}" + line if line.startswith(("[", "*")) else line  # the end of the line before would take it as its own


def _cell(cell: Cell, head: ColumnHead, bold: bool) -> str:
    text = number(cell, head, plus_minus=r" \pm ")
    if text is None:
        return escape_latex(cell_text(cell, head))
    mark = escape_latex(MARK) if is_worse(cell) else ""
    return (rf"$\mathbf{{{text}}}$" if bold else f"${text}$") + f"{mark} ({count(cell)})"


def _published(cell: Cell, head: ColumnHead, marks: SourceMarks) -> str:
    text = published_text(cell, head, marks)
    return rf"{{\footnotesize {escape_latex(text)}}}" if text else ""


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
