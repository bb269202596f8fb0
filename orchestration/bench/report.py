"""The result of a run: for programs, for a terminal and for a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from orchestration.bench.case import Sizes
from orchestration.bench.finding import Finding
from orchestration.bench.machine import Machine

SCHEMA = 1
"""Raised when a name in the JSON changes its meaning."""

COLUMNS = ("stage", "what", "ours", "bare", "ratio", "target", "met")


@dataclass(frozen=True)
class Report:
    """Everything that one run found."""

    machine: Machine
    sizes: Sizes
    findings: Sequence[Finding]

    def as_json(self) -> dict[str, Any]:
        """Return plain values; samples in the unit of their finding, shares as parts of one."""
        return {
            "schema": SCHEMA,
            "machine": asdict(self.machine),
            "sizes": asdict(self.sizes),
            "findings": [finding.as_json() for finding in self.findings],
        }


def heading(report: Report) -> list[str]:
    """Return what one has to know before reading the numbers, a line each."""
    m = report.machine
    return [
        f"{m.cpu}, {m.cores} cores, load before {m.load:.1f}, Python {m.python}, commit {m.commit or 'unknown'}",
        f"best of {report.sizes.repetitions} repetitions; ours and the bare tool in turn",
    ]


def notes(report: Report) -> list[str]:
    """Return what one has to know to read single numbers, and why others are missing."""
    told = [f"{f.stage}: {f.skipped or f.note}" for f in report.findings if f.skipped or f.note]
    return list(dict.fromkeys(told))


def as_rich_table(report: Report) -> Table:
    """Return a table for a terminal."""
    table = Table(box=None, pad_edge=False)
    for k, title in enumerate(COLUMNS):
        table.add_column(title, no_wrap=k != 1, justify="right" if title in ("ours", "ratio") else "left")
    for finding in report.findings:
        style = "red" if finding.is_met is False else "dim" if finding.skipped else ""
        table.add_row(*map(Text, _cells(finding)), style=style)
    return table


def as_markdown(report: Report) -> str:
    """Return the conditions, the numbers and the notes for a document."""
    blocks = ["\n".join(f"- {line}" for line in heading(report))]
    lines = [COLUMNS, ("---", "---", "---:", "---", "---:", "---", "---"), *map(_cells, report.findings)]
    blocks.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    blocks.append("\n".join(f"- {line}" for line in notes(report)))
    return "\n\n".join(blocks)


def _cells(finding: Finding) -> tuple[str, ...]:
    best, bare, ratio = finding.best, finding.best_bare, finding.ratio
    return (
        finding.stage,
        finding.title,
        "skipped" if best is None else finding.unit.text(best),
        "" if bare is None else f"{finding.unit.text(bare)} ({finding.bare_title})",
        "" if ratio is None else f"{ratio:.2f}",
        finding.target.text(finding.unit) if finding.target else "",
        {True: "yes", False: "NO", None: ""}[finding.is_met],
    )
