"""Test a retrieval network and learn a whitening of its descriptors: ``... --network-path FILE --whitening NAME``."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from baselines.detector_retrieval.command import run_task
from baselines.detector_retrieval.retrieval import tasks
from baselines.detector_retrieval.retrieval.descriptors import EVALUATION_SCALES, ONE_SCALE, TRAINING_SCALES
from baselines.detector_retrieval.retrieval.needs import WHITENING_FILE, command_line_folder
from os2d.choices import choose
from os2d.command import EXIT_CODES, exit_code_of
from os2d.whole_file import whole_file

SCALES = {
    "[1,2**(1/2),1/2**(1/2)]": TRAINING_SCALES,
    "[1,1/2**(1/2),1/2]": EVALUATION_SCALES,
    "[1]": ONE_SCALE,
}
"""How the published program writes scales -> what they are. The second ones are those of the joint evaluation."""

__test__ = False  # pytest would take this file for a test


def main(arguments: Sequence[str] | None = None) -> int:
    """Learn what the arguments describe and return the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: _learn(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXIT_CODES)
    add = parser.add_argument
    add("--network-path", "-npath", required=True, help="checkpoint of a retrieval network")
    add("--datasets", "-d", default="", help="prepared data sets to test on, with commas between")
    add("--image-size", "-imsize", type=int, default=1024, help="longer side of a picture, at most")
    add("--multiscale", "-ms", default=next(iter(SCALES)), help="scales: one of " + ", ".join(SCALES))
    add("--whitening", "-w", required=True, help="prepared data set whose pairs teach the whitening")
    add("--data-folder", help="folder of the prepared data sets; default: retrieval/ in the folder of the data sets")
    add("--cpu", action="store_true", help="work on the CPU")
    return parser


def config_of(options: argparse.Namespace) -> CfgNode:
    """Return the configuration of the task."""
    config = tasks.retrieval_whiten.default_config()
    config.is_cuda = not options.cpu
    config.network = options.network_path
    config.data.path = str(command_line_folder(options.data_folder))
    config.data.train = options.whitening
    config.data.tests = [name for name in options.datasets.split(",") if name]
    config.data.image_size = options.image_size
    config.scales = list(choose("--multiscale", options.multiscale.replace(" ", ""), SCALES))
    config.freeze()
    return config


def _learn(options: argparse.Namespace) -> None:
    """Learn the whitening and put it beside the network."""
    target = Path(f"{options.network_path}_{options.whitening}_whiten.pth")
    with tempfile.TemporaryDirectory() as folder:
        run_task(tasks.retrieval_whiten, config_of(options), Path(folder))
        with whole_file(target) as unfinished:
            shutil.move(Path(folder) / WHITENING_FILE, unfinished)


if __name__ == "__main__":
    sys.exit(main())
