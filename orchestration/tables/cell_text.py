"""What every written form of a table says: the text of a cell, the published value below it, and the notes."""

from __future__ import annotations

from orchestration.tables.result import Cell, ColumnHead, TableResult
from orchestration.tables.significance import FEWEST_PAIRS, LEVEL, is_worse

SEEDS_NOTE = "Mean ± sample standard deviation over seeds; number of seeds in parentheses."
POOLED_NOTE = "Mean ± sample standard deviation over all values of the metric; their number in parentheses."
MARK = "†"
SHOWN_STATES = {"unfilled": "none", "not applicable": "n/a", "done": "–"}
"""What stands in a cell without a number, where it is not the name of the state."""


class SourceMarks:
    """Letters for the sources of the published values, in the order in which a reader meets them."""

    def __init__(self, result: TableResult) -> None:
        self._marks: dict[str, str] = {}
        for row in result.cells:
            for cell in row:
                if text := _source_text(cell):
                    self._marks.setdefault(text, _letters(len(self._marks)))

    def of(self, cell: Cell) -> str:
        """Return the letter of the cell's source; empty when nothing was published."""
        return self._marks.get(_source_text(cell), "")

    def notes(self) -> list[str]:
        """Return what each letter stands for."""
        return [f"[{mark}] {text}" for text, mark in self._marks.items()]


def cell_text(cell: Cell, head: ColumnHead) -> str:
    """Return what was measured here, or why nothing was."""
    text = number(cell, head)
    if text is None:
        return SHOWN_STATES.get(cell.state, cell.state)
    return f"{text}{MARK if is_worse(cell) else ''} ({count(cell)})"


def number(cell: Cell, head: ColumnHead, plus_minus: str = " ± ") -> str | None:
    """Return the mean with its spread."""
    if cell.mean is None:
        return None
    spread = f"{plus_minus}{cell.std:.{head.digits}f}" if cell.std is not None and cell.n > 1 else ""
    return f"{cell.mean:.{head.digits}f}{spread}"


def count(cell: Cell) -> str:
    """Return how many values the number is of."""
    if cell.state != "partial":
        return str(cell.n)
    return f"{cell.n} of {cell.wanted}" if cell.wanted else f"{cell.n}, not all"


def published_text(cell: Cell, head: ColumnHead, marks: SourceMarks) -> str:
    """Return the published value, its source and by how much ours differs, or where to look it up."""
    mark = marks.of(cell)
    if not mark:
        return ""
    if cell.published is None or cell.published.value is None:
        return f"see [{mark}]"
    difference = "" if cell.difference is None else f", {cell.difference:+.{head.digits}f}".replace("-", "−")
    return f"{cell.published.value} [{mark}]{difference}"


def has_published(result: TableResult) -> bool:
    """Tell whether there is anything to write below our values."""
    return any(_source_text(cell) for row in result.cells for cell in row)


def title_of(result: TableResult) -> str:
    """Return the line above the table."""
    return f"{result.title} ({result.unit})" if result.unit else result.title


def notes_of(result: TableResult) -> list[str]:
    """Return what stands below the table."""
    caption = [result.caption] if result.caption else []
    return [*caption, *counting_notes(result), *explaining_notes(result), *result.gaps(), *result.warnings]


def counting_notes(result: TableResult) -> list[str]:
    """Return what the numbers are means of."""
    over = {head.over for row in result.cells for cell, head in zip(row, result.columns, strict=True) if cell.n}
    return [SEEDS_NOTE] * ("seeds" in over) + [POOLED_NOTE] * bool(over - {"seeds"})


def explaining_notes(result: TableResult) -> list[str]:
    """Return what the marks and the published values mean."""
    marks = SourceMarks(result).notes()
    below = f"Below: the published value, its source, and ours minus it. {'; '.join(marks)}." if marks else ""
    return [note for note in (_significance_note(result), below) if note]


def _significance_note(result: TableResult) -> str:
    tested = [cell for row in result.cells for cell in row if cell.p is not None]
    if not tested:
        return ""
    found = f"{MARK}: worse than the best of its column, p < {LEVEL:g}"
    return (
        f"{found if any(map(is_worse, tested)) else f'No row is worse than the best of its column at p < {LEVEL:g}'} "
        "(exact sign-flip test over shared seeds, Holm-corrected over the column; "
        f"the smallest p of n seeds is 2/2^n before the correction, so {FEWEST_PAIRS} to 5 seeds cannot reach it)."
    )


def _source_text(cell: Cell) -> str:
    published = cell.published
    if published is None or published.value is None:
        return f"see {cell.see}" if cell.see else ""
    note = f"{published.status}: {published.note}" if published.status != "verified" else published.note
    told = [note] if note else []
    if published.given_in:
        told.append(f"given by the reader in {published.given_in}")
    return f"{published.source} ({'; '.join(told)})" if told else published.source


def _letters(index: int) -> str:
    """Return a, b, ..., z, aa, ab, ..."""
    before, last = divmod(index, 26)
    return (_letters(before - 1) if before else "") + chr(ord("a") + last)
