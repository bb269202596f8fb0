"""Evaluate CoAE, by the published command: ``python -m baselines.coae.test_net [flags] [--set KEY VALUE ...]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from baselines.coae import tasks
from baselines.coae.command_line import add_common_flags, config_of, run_command
from os2d.console import ConsoleRun
from os2d.errors import ConfigError


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate and return the exit code: 0 done, 2 something to correct."""
    return run_command(_evaluate, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="test_net", description=__doc__, allow_abbrev=False)
    add_common_flags(parser)
    parser.add_argument("--dataset", default="grozi-val-new-cl", help="name of a data set, or custom:FOLDER#SPLIT")
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE", help="a checkpoint of a training")
    parser.add_argument("--vis", action="store_true", help="refused: pictures are kept with --output")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="new: keep pictures and a table per class")
    return parser


def _evaluate(arguments: Sequence[str] | None) -> None:
    options = _parser().parse_args(arguments)
    config = config_of_evaluation(options)
    tasks.evaluate.validate(config)
    with ConsoleRun(options.output, config.random_seed) as run:
        tasks.evaluate(config, run)


def config_of_evaluation(options: argparse.Namespace) -> CfgNode:
    """Return the configuration of the task.

    Raises:
        ConfigError: an option asks for what does not exist here, or a key or a value is wrong.
    """
    if options.vis:
        raise ConfigError("--vis: there are no windows; give --output FOLDER, pictures are in its artifacts/pictures")
    return config_of(options, {"init.model": str(options.weights), "eval.dataset_names": [options.dataset]})


if __name__ == "__main__":
    sys.exit(main())
