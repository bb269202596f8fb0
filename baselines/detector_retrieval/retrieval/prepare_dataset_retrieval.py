"""Prepare what a retrieval network learns from: ``python prepare_dataset_retrieval.py --dataset-train NAME ...``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from yacs.config import CfgNode

from baselines.detector_retrieval.command import run_task
from baselines.detector_retrieval.retrieval import tasks
from baselines.detector_retrieval.retrieval.needs import command_line_folder
from os2d.command import EXIT_CODES, exit_code_of
from os2d.errors import ConfigError


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare what the arguments describe and return the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: run_task(tasks.retrieval_prepare, config_of(options), None))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("--dataset-train", required=True, help="data set to learn from")
    parser.add_argument("--dataset-train-scale", type=float, required=True, help="image size at which it is seen")
    parser.add_argument("--dataset-val", required=True, help="data set of the validation loss")
    parser.add_argument("--dataset-val-scale", type=float, required=True)
    parser.add_argument("--datasets-test", nargs="+", default=[], help="data sets to test retrieval on")
    parser.add_argument("--datasets-test-scale", nargs="+", type=float, default=[], help="one for all, or one for each")
    parser.add_argument("--num-random-crops-per-image", type=int, default=0, help="further negatives")
    parser.add_argument("--iou-pos-threshold", type=float, default=0.7)
    parser.add_argument("--iou-neg-threshold", type=float, default=0.3)
    parser.add_argument("--num-queries-image-to-image", type=int, default=0, help="pairs of an object with others")
    parser.add_argument("--random-seed", type=int, default=42)
    parser.add_argument(
        "--data-folder", help="where the result goes; default: retrieval/ in the folder of the data sets"
    )
    return parser


def config_of(options: argparse.Namespace) -> CfgNode:
    """Return the configuration of the task.

    Raises:
        ConfigError: test data sets without a scale.
    """
    if options.datasets_test and not options.datasets_test_scale:
        raise ConfigError("--datasets-test-scale: expected one scale, or one for each of --datasets-test, got none")
    config = tasks.retrieval_prepare.default_config()
    config.random_seed = options.random_seed
    prepare = config.prepare
    prepare.train, prepare.train_scale = options.dataset_train, options.dataset_train_scale
    prepare.val, prepare.val_scale = options.dataset_val, options.dataset_val_scale
    prepare.tests, prepare.test_scales = options.datasets_test, options.datasets_test_scale or [1.0]
    prepare.random_crops = options.num_random_crops_per_image
    prepare.positive_iou, prepare.negative_iou = options.iou_pos_threshold, options.iou_neg_threshold
    prepare.pairs_per_object = options.num_queries_image_to_image
    config.output.path = str(command_line_folder(options.data_folder))
    config.freeze()
    return config


if __name__ == "__main__":
    sys.exit(main())
