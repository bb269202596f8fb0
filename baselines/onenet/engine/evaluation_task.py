"""Evaluation on every data set of ``DATASETS.TEST``."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from yacs.config import CfgNode

from baselines.onenet.config import is_cuda
from baselines.onenet.data.catalog import find_source
from baselines.onenet.engine.device import prepare_device
from baselines.onenet.engine.start_weights import load_start_weights
from baselines.onenet.evaluation.evaluate import evaluate
from baselines.onenet.evaluation.speed import frames_per_second
from baselines.onenet.modeling.model import OneNet, build_model
from os2d.bench.machine import describe_machine
from os2d.distributed import process_group
from os2d.metric_names import on_dataset
from os2d.run import Run

FRAMES_PER_SECOND = "frames_per_second"


def evaluate_task(config: CfgNode, run: Run) -> dict[str, float]:
    """Evaluate the network of the needed run ``model``, else that of ``MODEL.WEIGHTS``, and return the metrics.

    With ``TEST.MEASURE_SPEED`` the frames per second of single images are one of them, and the artifact
    ``machine.json`` names the device.
    """
    with process_group(is_cuda(config)):
        device = prepare_device(config)
        model = build_model(config)
        load_start_weights(model, config, run)
        metrics = evaluate_test_sets(model.to(device).eval(), config, run)
        if config.TEST.MEASURE_SPEED:
            metrics[FRAMES_PER_SECOND] = frames_per_second(model, config)
            run.artifact("machine.json", json.dumps(asdict(describe_machine(device)), indent=1))
        run.log(metrics, 0)
        return metrics


def evaluate_test_sets(model: OneNet, config: CfgNode, run: Run) -> dict[str, float]:
    """Return the metrics of all data sets under the names of the log, such as ``AP_coco_2017_val``.

    The detections are kept as artifacts. A run of one process that is asked to stop leaves between two images.
    """

    def leave_if_asked(done: int, total: int) -> None:
        if run.world_size == 1 and run.should_stop:
            run.interrupt()

    metrics: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="onenet-") as folder:
        for name in config.DATASETS.TEST:
            label = find_source(name, config).label
            found = evaluate(model, config, name, Path(folder), leave_if_asked)
            metrics |= {on_dataset(metric, label): value for metric, value in found.items()}
        for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            run.artifact(str(file.relative_to(folder)), file)
    return metrics
