"""Writing the folder: all of it appears at once, or nothing does."""

from __future__ import annotations

import os
import shutil
from datetime import date
from hashlib import file_digest
from pathlib import Path

from orchestration.durable import named_failure
from orchestration.errors import DescriptionError
from orchestration.publication.finished_run import FinishedRun
from orchestration.publication.model_card import PublishedFile, model_card

CARD = "README.md"


def publish(run: FinishedRun, folder: Path, day: date) -> list[Path]:
    """Write checkpoint, configuration, metrics, log and model card into a folder; return the files.

    Raises:
        DescriptionError: the folder has something in it already.
        JournalError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DescriptionError(f"{folder}: exists already, and nothing in it is replaced; choose another folder")
    unfinished = folder.absolute().with_name(f".{folder.absolute().name}.{os.getpid()}.tmp")
    with named_failure(folder):
        try:
            unfinished.mkdir(parents=True)
            names = _fill(unfinished, run, day)
            unfinished.replace(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return [folder / name for name in names]


def _fill(folder: Path, run: FinishedRun, day: date) -> list[str]:
    shutil.copyfile(run.checkpoint, folder / "model.pth")
    (folder / "config.yaml").write_text(run.config, encoding="utf-8")
    curve = f"metrics{run.curve.suffix}"
    shutil.copyfile(run.curve, folder / curve)
    what = {"model.pth": "weights", "config.yaml": "configuration", curve: "what was logged, a line per step"}
    if run.logs:
        with (folder / "log.txt").open("wb") as log:
            for title, path in run.logs.items():
                if len(run.logs) > 1:
                    log.write(f"== {title} ==\n".encode())
                with path.open("rb") as part:
                    shutil.copyfileobj(part, log)
        what["log.txt"] = "what the run printed"
    files = {name: _published(folder / name, told) for name, told in what.items()}
    (folder / CARD).write_text(model_card(run, files, day), encoding="utf-8")
    for name in (*files, CARD):
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    return [CARD, *files]


def _published(path: Path, what: str) -> PublishedFile:
    with path.open("rb") as file:
        return PublishedFile(what, path.stat().st_size, file_digest(file, "sha256").hexdigest())
