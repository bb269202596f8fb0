"""Evaluate a detector and a retrieval network together: ``python main_detector_retrieval.py [options] [KEY VALUE]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from baselines.detector_retrieval import tasks
from baselines.detector_retrieval.command import run_task
from os2d.command import EXIT_CODES, exit_code_of
from os2d.config_reading import read_config
from os2d.distributed import process_group


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the evaluation that the arguments describe and return the exit code."""
    options = _parser().parse_args(arguments)

    def work() -> None:
        config = config_of(options)
        folder = Path(options.output_dir) if options.output_dir else None
        with process_group(config.is_cuda):
            run_task(tasks.joint_evaluate, config, folder)

    return exit_code_of(work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXIT_CODES)
    add = parser.add_argument
    add("--config-file", type=Path, metavar="FILE", help="YAML file of OS2D's keys")
    add("--output_dir", help="folder for the log, pictures and tables")
    add("--retrieval_network_path", default="", help="checkpoint of the retrieval network")
    add("--retrieval_image_size", type=int, default=240, help="crops are resized to the area of this number squared")
    add("--retrieval_multiscale", action="store_true", help="average descriptors over three scales")
    add("--retrieval_whitening_path", default="", help="a learned whitening")
    add("--maskrcnn_config_file", default="", help="YAML file of the detector")
    add("--maskrcnn_weight_file", default="", help="weights of the detector")
    add("--nms_iou_threshold_detector_score", type=float, default=0.3, help="of proposals, by the detector's score")
    add("--nms_score_threshold_detector_score", type=float, default=0.1, help="proposals with a higher score are kept")
    add("overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="override single values of OS2D's keys")
    return parser


def config_of(options: argparse.Namespace) -> CfgNode:
    """Return the configuration of the task.

    Raises:
        ConfigError: the file cannot be read, or a key or a value is wrong.
    """
    config = read_config(options.config_file, options.overrides, tasks.joint_evaluate.default_config)
    config.defrost()
    joint = config.joint
    joint.retrieval_network, joint.retrieval_image_size = options.retrieval_network_path, options.retrieval_image_size
    joint.retrieval_multiscale = options.retrieval_multiscale
    joint.retrieval_whitening = options.retrieval_whitening_path
    joint.detector_config_file, joint.detector_weights = options.maskrcnn_config_file, options.maskrcnn_weight_file
    joint.nms_iou_threshold = options.nms_iou_threshold_detector_score
    joint.nms_score_threshold = options.nms_score_threshold_detector_score
    config.freeze()
    return config


if __name__ == "__main__":
    sys.exit(main())
