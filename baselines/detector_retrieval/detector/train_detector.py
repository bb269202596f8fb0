"""Train the detector, or evaluate it: ``python train_detector.py --config-file FILE [options] [KEY VALUE ...]``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from baselines.detector_retrieval.detector.config import default_config, is_cuda
from baselines.detector_retrieval.detector.config_check import check_training
from baselines.detector_retrieval.detector.training import train_task
from os2d.command import EXIT_CODES, exit_code_of, final_line, start_log
from os2d.config_reading import read_config
from os2d.console import ConsoleRun
from os2d.distributed import process_group

logger = logging.getLogger("baselines.detector_retrieval.detector")

EXAMPLES = (
    """\
Values come from the defaults (config.py lists every key with its meaning), then from the file, then from KEY VALUE.

examples:
  train on one GPU, keeping the networks and the log in a folder; the same command again resumes an interrupted run:
    python train_detector.py --config-file config/e2e_faster_rcnn_R_50_FPN_1x_multiscale_noClasses.yaml OUTPUT_DIR out
  evaluate what came out of it in several sizes:
    python train_detector.py --config-file config/e2e_faster_rcnn_R_50_FPN_1x_multiscale_noClasses.yaml \\
        --test_weights out/model_best.pth TEST.BBOX_AUG.ENABLED True TEST.BBOX_AUG.SCALES "(480, 960, 1536)"
  on two GPUs:
    torchrun --nproc-per-node 2 train_detector.py --config-file ...

"""
    + EXIT_CODES
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the training that the arguments describe and return the exit code."""
    options = _parser().parse_args(arguments)

    def work() -> None:
        config = config_of(options)
        check_training(config)
        with process_group(is_cuda(config)):
            _run(config)

    return exit_code_of(work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", type=Path, metavar="FILE", help="YAML file that overrides the defaults")
    parser.add_argument("--local_rank", type=int, default=0, help="accepted from old launchers; torchrun tells it now")
    parser.add_argument("--validation_period", type=int, default=500, help="evaluate every so many iterations")
    parser.add_argument("--test_weights", metavar="FILE", help="evaluate this network once, without training")
    parser.add_argument("overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="override single values")
    return parser


def config_of(options: argparse.Namespace) -> CfgNode:
    """Return the configuration of the task.

    Raises:
        ConfigError: the file cannot be read, or a key or a value is wrong.
    """
    config = read_config(options.config_file, options.overrides, default_config)
    config.defrost()
    config.SOLVER.VALIDATION_PERIOD = options.validation_period
    if options.test_weights:
        config.MODEL.WEIGHT, config.SOLVER.MAX_ITER, config.OUTPUT_DIR = options.test_weights, 0, ""
    config.freeze()
    return config


def _run(config: CfgNode) -> None:
    folder = Path(config.OUTPUT_DIR) if config.OUTPUT_DIR else None
    with ConsoleRun(folder, config.random_seed) as run:
        start_log(folder / "log.txt" if folder is not None else None, run.rank, "detector", ("baselines", "os2d"))
        logger.info("configuration:\n%s", config)
        if folder is not None and config.SOLVER.MAX_ITER:
            run.keep_config(config)
        metrics = train_task(config, run)
        logger.info(final_line(metrics))


if __name__ == "__main__":
    sys.exit(main())
