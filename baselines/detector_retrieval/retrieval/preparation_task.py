"""The task of preparing retrieval data sets, image by image; interrupted, it goes on with the images left."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from yacs.config import CfgNode

from baselines.detector_retrieval.retrieval.needs import PREPARED_FOLDER
from baselines.detector_retrieval.retrieval.pairs import Overlap
from baselines.detector_retrieval.retrieval.preparation import DetectionSet, Preparation, Settings
from os2d.data.catalog import resolved_root
from os2d.data.dataset import build_dataset
from os2d.errors import ConfigError
from os2d.run import Run

logger = logging.getLogger(__name__)


def prepare_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Write the data sets and return how many pictures, pairs and queries they have."""
    if run.world_size > 1:
        raise ConfigError("preparation of retrieval data: expected one process, got several; it has no such mode")
    preparation = build_preparation(config, run)
    state = run.resume()
    done = 0 if state is None else int(state["done"])
    saved_at = time.monotonic()
    for number, step in enumerate(preparation.steps[done:], start=done + 1):
        step()
        run.progress(number, len(preparation.steps))
        if run.should_stop or time.monotonic() - saved_at > config.runtime.checkpoint_seconds:
            run.save({"done": number}, number)
            saved_at = time.monotonic()
        if run.should_stop:
            run.interrupt()
    counts = {name: float(count) for name, count in preparation.write_lists().items()}
    logger.info("%s: %s", preparation.root, ", ".join(f"{name} {value:.0f}" for name, value in counts.items()))
    run.log(counts, 0)
    return counts


def build_preparation(config: CfgNode, run: Run) -> Preparation:
    """Return what a configuration asks to be written.

    Raises:
        DataError: anything wrong with the detection data sets.
    """
    prepare = config.prepare
    scales = list(prepare.test_scales)
    scales = scales * len(prepare.tests) if len(scales) == 1 else scales
    root = resolved_root(config.runtime.data_root)
    named = [(prepare.train, prepare.train_scale), (prepare.val, prepare.val_scale)]
    named += zip(prepare.tests, scales, strict=True)
    train, validation, *tests = (DetectionSet(build_dataset(name, root), scale) for name, scale in named)
    settings = Settings(
        random_crops=prepare.random_crops,
        overlap=Overlap(prepare.positive_iou, prepare.negative_iou),
        pairs_per_object=prepare.pairs_per_object,
        seed=config.random_seed,
    )
    folder = Path(config.output.path).expanduser() if config.output.path else run.dir / PREPARED_FOLDER
    return Preparation(folder, train, validation, tests, settings)
