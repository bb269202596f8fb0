"""Tables as text: terminal, Markdown, LaTeX, CSV, HTML and JSON, all from one :class:`TableResult`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from orchestration.tables.html import to_html, to_page
from orchestration.tables.latex import escape_latex, to_latex
from orchestration.tables.listing import to_csv, to_json
from orchestration.tables.markdown import to_markdown
from orchestration.tables.result import TableResult
from orchestration.tables.terminal import to_terminal

__all__ = [
    "FORMATS",
    "Format",
    "escape_latex",
    "render",
    "to_csv",
    "to_html",
    "to_json",
    "to_latex",
    "to_markdown",
    "to_page",
    "to_terminal",
]

Format = Literal["markdown", "latex", "csv", "html", "json"]

FORMATS: dict[Format, Callable[[TableResult], str]] = {
    "markdown": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
    "html": lambda result: to_page([result]),
    "json": to_json,
}


def render(result: TableResult, form: Format) -> str:
    """Return the table in a format, ending in a newline."""
    return FORMATS[form](result)
