"""A network measured on a data set, by all processes of the run together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from yacs.config import CfgNode

from baselines.onenet.data.catalog import CROWDHUMAN
from baselines.onenet.data.coco_dataset import CocoDataset
from baselines.onenet.data.loaders import read_for, test_loader
from baselines.onenet.evaluation.coco_ap import SUMMARY, curves_of, measure
from baselines.onenet.evaluation.crowdhuman import crowdhuman_metrics
from baselines.onenet.evaluation.results import Results
from baselines.onenet.modeling.model import OneNet
from baselines.onenet.structures import Detections
from os2d.distributed import from_first, gather, rank
from os2d.engine.precision_recall import curve_file
from os2d.engine.sharding import my_share
from os2d.structures.sizes import Size

logger = logging.getLogger(__name__)

RESULTS_FILE, PREDICTIONS_FILE = "coco_instances_results.json", "instances_predictions.pth"


def _say_nothing(done: int, total: int) -> None:
    """Tell nobody how far the evaluation is."""


def evaluate(
    model: OneNet,
    config: CfgNode,
    name: str,
    output_dir: Path | None = None,
    progress: Callable[[int, int], None] = _say_nothing,
) -> dict[str, float]:
    """Return the metrics of a network on a data set, in percent, in every process; called by all of them.

    Args:
        model: on its device; its mode is the same afterwards.
        config: the whole configuration tree.
        name: an entry of ``DATASETS``.
        output_dir: gets the results in the files of the published program, below ``inference``, and precision
            over recall; None: nothing is kept.
        progress: told how many of this process's images are done, of how many.

    Raises:
        ConfigError: the network does not have the classes of the data set.
        DataError: the data cannot be used.
    """
    dataset = read_for(config, name)
    mine = my_share(range(len(dataset)))
    detections = _detect(model, config, dataset, mine, progress)
    image_ids = [dataset.image_ids[position] for position in mine]
    results = Results.concatenated(gather(Results.of(detections, image_ids, dataset.category_ids)))
    if rank() > 0:
        return from_first({})
    metrics, curve = measure(dataset, results)
    if output_dir is not None:
        _keep(results, dataset, _results_folder(config, dataset, output_dir))
        curves = output_dir / curve_file(dataset.source.label)
        curves.parent.mkdir(parents=True, exist_ok=True)
        curves.write_text(curves_of(dataset.source.label, curve), encoding="utf-8")
    if name in CROWDHUMAN:
        metrics |= crowdhuman_metrics(dataset, results)
    logger.info("%s: %d images, %d detections\n%s", dataset.source.label, len(dataset), len(results), table(metrics))
    return from_first(metrics)


def table(metrics: dict[str, float]) -> str:
    """Return the metrics as lines: the numbers of COCO on one, every other number on its own."""
    width = max(map(len, metrics))
    return "\n".join(
        [
            " ".join(f"{name:>6}" for name in SUMMARY),
            " ".join(f"{metrics[name]:6.2f}" for name in SUMMARY),
            *(f"{name:<{width}} {value:6.2f}" for name, value in metrics.items() if name not in SUMMARY),
        ]
    )


def _detect(
    model: OneNet, config: CfgNode, dataset: CocoDataset, positions: list[int], progress: Callable[[int, int], None]
) -> list[Detections]:
    """Return the detections in some images; they stay on the device, so that nothing waits for it in between."""
    was_training = model.training
    model.eval()
    detections: list[Detections] = []
    try:
        with torch.no_grad():
            for done, samples in enumerate(test_loader(dataset, config, positions), start=1):
                sizes = [Size(sample.width, sample.height) for sample in samples]
                found = model([sample.image for sample in samples], output_sizes=sizes)
                assert isinstance(found, list)
                detections += found
                progress(done, len(positions))
    finally:
        model.train(was_training)
    return detections


def _results_folder(config: CfgNode, dataset: CocoDataset, output_dir: Path) -> Path:
    """Return where the results go; data sets that are evaluated together do not overwrite each other's."""
    folder = output_dir / "inference"
    return folder if len(config.DATASETS.TEST) < 2 else folder / dataset.source.label


def _keep(results: Results, dataset: CocoDataset, folder: Path) -> None:
    """Write the results as COCO wants them, and per image."""
    results.write(folder / RESULTS_FILE)
    of_image: dict[int, list[dict[str, object]]] = {id: [] for id in dataset.image_ids}
    for image_id, entry in zip(results.image_ids_N.tolist(), results.entries(), strict=True):
        of_image[image_id].append(entry)
    torch.save([{"image_id": id, "instances": found} for id, found in of_image.items()], folder / PREDICTIONS_FILE)
