"""Find the objects of some class images in one image, with a trained CoAE.

``python -m baselines.coae.detect --weights best_model_1.pth --image shelf.jpg --query tea.jpg soap.jpg``
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from yacs.config import CfgNode

from baselines.coae.command_line import add_common_flags, config_of, run_command
from baselines.coae.config_check import check_evaluation
from baselines.coae.data.eval_images import eval_image, query_views
from baselines.coae.engine import detection
from baselines.coae.engine.detection import DetectionRule
from baselines.coae.modeling.matching import Matcher
from baselines.coae.modeling.model import CoAE, build_coae
from baselines.coae.modeling.weights import load_init_model
from os2d.data.images import read_image
from os2d.engine.device import prepare_device
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size
from os2d.visualization.detection_grid import GridRow, detection_grid


def main(arguments: Sequence[str] | None = None) -> int:
    """Detect and return the exit code: 0 done, 2 something to correct."""
    return run_command(_detect, arguments)


def load_model(config: CfgNode) -> CoAE:
    """Return the network of ``init.model`` on its device.

    Raises:
        CheckpointError: the file is missing, unreadable or of another network.
    """
    device = prepare_device(config)
    model = build_coae(config, torch.Generator().manual_seed(config.random_seed))
    load_init_model(model, config.init.model)
    return model.to(device)


def detect_in_image(model: CoAE, image: Image.Image, queries: Sequence[Image.Image], config: CfgNode) -> BoxList:
    """Return what is found in an RGB image, best first; field ``labels`` is the position in ``queries``."""
    matcher = Matcher(model)
    views = [query_views(query, config.model.query_size, config.eval.class_image_augmentation) for query in queries]
    levels = eval_image(image, config.eval.scales, _nothing_annotated(image))
    features = matcher.learn(torch.cat(views))
    found = detection.detect(matcher, levels, features, range(len(queries)), DetectionRule.from_config(config))
    return found[found.field("scores").argsort(descending=True)]


def _nothing_annotated(image: Image.Image) -> BoxList:
    labels = torch.zeros(0, dtype=torch.int64)
    return BoxList(torch.zeros(0, 4), Size.of_image(image), {"labels": labels, "difficult": labels.bool()})


def _detect(arguments: Sequence[str] | None) -> None:
    parser = argparse.ArgumentParser(prog="detect", description=__doc__, allow_abbrev=False)
    add_common_flags(parser)
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE", help="a checkpoint of a training")
    parser.add_argument("--image", type=Path, required=True, metavar="FILE")
    parser.add_argument("--query", type=Path, nargs="+", required=True, metavar="FILE", help="class images")
    parser.add_argument("--threshold", type=float, default=0.5, help="lowest score that is told")
    parser.add_argument("--output", type=Path, metavar="FILE.png", help="draw what is found")
    options = parser.parse_args(arguments)
    config = config_of(options, {"init.model": str(options.weights), "eval.dataset_names": ["shelf-val-new-cl"]})
    check_evaluation(config)
    image, queries = read_image(options.image), [read_image(path) for path in options.query]
    found = detect_in_image(load_model(config), image, queries, config)
    found = found[found.field("scores") >= options.threshold]
    for box, score, label in zip(
        found.boxes_xyxy.tolist(), found.field("scores").tolist(), found.field("labels").tolist(), strict=True
    ):
        print(json.dumps({"query": str(options.query[label]), "score": score, "box_xyxy": box}))
    if options.output:
        row = GridRow(options.image.name, image, _nothing_annotated(image), found, dict(enumerate(queries)))
        detection_grid([row]).savefig(options.output)


if __name__ == "__main__":
    sys.exit(main())
