"""A run that keeps its files as the published program does: ``config.yaml``, ``metrics.json``, ``last_checkpoint``."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from os2d.console import ConsoleRun
from os2d.distributed import wait_for_all
from os2d.metric_names import running
from os2d.modeling.weights_file import load_weights
from os2d.whole_file import whole_file

logger = logging.getLogger(__name__)

LAST_CHECKPOINT, METRICS, CONFIG = "last_checkpoint", "metrics.json", "config.yaml"

PUBLISHED_NAMES = {
    running("loss"): "total_loss",
    running("loss_ce"): "loss_ce",
    running("loss_bbox"): "loss_bbox",
    running("loss_giou"): "loss_giou",
    running("lr"): "lr",
    running("batch_time"): "time",
    running("loading_time"): "data_time",
}
"""Our name -> that of the published program, where it has one."""


class PublishedFolder(ConsoleRun):
    """The :class:`~os2d.run.Run` of ``train_net.py``; what it resumes lies in ``checkpoints`` as for other runs.

    Where there is nothing, the network that ``last_checkpoint`` names is resumed: of this program or of the published
    one.
    """

    artifacts_folder = ""

    def start_anew(self) -> None:
        """Forget an unfinished training in the folder, as starting without ``--resume`` asks for."""
        if self.rank == 0:
            for path in (*self._checkpoints(), self.dir / METRICS, self.dir / LAST_CHECKPOINT):
                if path.exists():
                    logger.info("starting anew, without --resume: %s is removed", path)
                    path.unlink()
        wait_for_all()

    def keep_config(self, config: CfgNode) -> None:
        """Write ``config.yaml``; a training may be resumed with other values, as in the published program."""
        if self.rank == 0:
            _write_text(self.dir / CONFIG, config.dump())

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Append a line to ``metrics.json``; ``iteration`` is the last one done, from 0."""
        if self.rank == 0:
            named = {PUBLISHED_NAMES.get(name, name): float(value) for name, value in metrics.items()}
            with (self.dir / METRICS).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"iteration": step - 1, **named}) + "\n")

    def save(self, state: Mapping[str, Any], step: int, name: str | None = None) -> Path:
        """Write a checkpoint; the newest of those that stay is named in ``last_checkpoint``."""
        path = super().save(state, step, name)
        if name is not None and self.rank == 0:
            _write_text(self.dir / LAST_CHECKPOINT, name)
        return path

    def resume(self) -> Mapping[str, Any] | None:
        """Return the newest state of this program, else the checkpoint that ``last_checkpoint`` names."""
        state = super().resume()
        last = self.dir / LAST_CHECKPOINT
        if state is None and last.is_file():
            path = self.dir / last.read_text(encoding="utf-8").strip()
            logger.info("resuming from %s", path)
            state = load_weights(path)
        if state is not None and self.rank == 0:
            self._forget_lines_after(state["iteration"])
        return state

    def _forget_lines_after(self, iteration: int) -> None:
        """Drop what was logged of iterations that will be done again."""
        path = self.dir / METRICS
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["iteration"] <= iteration]
            _write_text(path, "".join(kept))


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
