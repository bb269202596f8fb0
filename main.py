"""Train or evaluate OS2D: ``python main.py [--config-file FILE] [KEY VALUE ...]``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from os2d import tasks
from os2d.command import EXIT_CODES, exit_code_of, final_line, start_log
from os2d.config_check import check_pictures_are_kept
from os2d.config_reading import read_config
from os2d.console import ConsoleRun
from os2d.distributed import process_group

__all__ = ["main", "read_config"]

logger = logging.getLogger("OS2D")

EXAMPLES = (
    """\
Values come from the defaults (os2d/config.py lists every key with its meaning), then from the file, then from the
KEY VALUE pairs. Numbers keep the type of the default: 1.0, not 1, where it is 0.2. Lists are written "[0.5, 1.0]".

examples:
  evaluate a trained network:
    python main.py --config-file experiments/config_training.yml train.do_training False \\
        model.backbone_arch ResNet50 init.model models/os2d_v2-train.pth model.use_inverse_geom_model True \\
        model.use_simplified_affine_model False eval.dataset_names "['grozi-val-new-cl']" eval.dataset_scales "[1280.0]"
  train, keeping checkpoints, the log and config.yml in a folder; the same command again resumes an interrupted run:
    python main.py --config-file experiments/config_training.yml model.backbone_arch ResNet50 \\
        init.model models/imagenet-caffe-resnet50-features-ac468af-renamed.pth output.path output/my-first-training
  on the CPU, with a generated data set that needs no download:
    python main.py is_cuda False train.dataset_name shelf-train eval.dataset_names "['shelf-val-new-cl']"
  on two GPUs of this machine:
    torchrun --nproc-per-node 2 main.py --config-file experiments/config_training.yml ...

"""
    + EXIT_CODES
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the task that the configuration describes and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", type=Path, metavar="FILE", help="YAML file that overrides the defaults")
    parser.add_argument("overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="override single values")
    options = parser.parse_args(arguments)

    def work() -> None:
        config = read_config(options.config_file, options.overrides)
        tasks.train.validate(config)
        check_pictures_are_kept(config)
        with process_group(config.is_cuda):
            run_task(config, options.config_file)

    return exit_code_of(work)


def run_task(config: CfgNode, file: Path | None = None) -> None:
    """Train, or only evaluate, in the folder ``output.path``."""
    folder = Path(config.output.path) if config.output.path else None
    with ConsoleRun(folder, config.random_seed) as run:
        file_of_log = folder / "log.txt" if folder is not None and config.output.save_log_to_file else None
        start_log(file_of_log, run.rank, "OS2D", ("OS2D", "os2d"), logging.DEBUG)
        if file is not None:
            logger.info("configuration file %s:\n%s", file, file.read_text(encoding="utf-8"))
        logger.info("configuration:\n%s", config)
        if folder is not None and config.train.do_training:
            run.keep_config(config)
        metrics = tasks.train(config, run)
        logger.info(final_line(metrics))


if __name__ == "__main__":
    sys.exit(main())
