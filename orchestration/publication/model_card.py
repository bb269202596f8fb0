"""The model card: what a published network is, what it reached, and what the files beside it are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from orchestration.publication.finished_run import FinishedRun


@dataclass(frozen=True)
class PublishedFile:
    """A file beside the card."""

    what: str
    size: int
    sha256: str


def model_card(run: FinishedRun, files: Mapping[str, PublishedFile], day: date) -> str:
    """Return the card as Markdown."""
    lines = [f"# {run.name}", ""]
    lines += [f"- {name}: {value}" for name, value in {"published": day.isoformat(), **run.facts}.items()]
    lines += [f"- weights: {run.checkpoint.name} of the run", "", "## Results", ""]
    if run.metrics:
        lines += ["| metric | value |", "| --- | ---: |"]
        lines += [f"| {name} | {value:.6g} |" for name, value in sorted(run.metrics.items())]
    else:
        lines.append("The run logged no metrics.")
    lines += ["", "## Files", "", "| file | what | bytes | SHA-256 |", "| --- | --- | ---: | --- |"]
    lines += [f"| {name} | {file.what} | {file.size} | {file.sha256} |" for name, file in files.items()]
    lines += [
        "",
        "`oneshot models inspect model.pth` tells what the weights are of; `config.yaml` is the whole configuration of",
        "the run, for the command or the task that made it.",
        "",
    ]
    return "\n".join(lines)
