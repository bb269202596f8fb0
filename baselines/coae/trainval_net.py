"""Train CoAE, by the published command: ``python -m baselines.coae.trainval_net [flags] [--set KEY VALUE ...]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from baselines.coae import tasks
from baselines.coae.command_line import add_common_flags, config_of, published_flag, run_command
from os2d.console import ConsoleRun
from os2d.errors import ConfigError

NOT_HERE = {
    "mGPUs": "training runs in one process, on one GPU",
    "use_tfb": "curves are in metrics.jsonl, and in MLflow if oneshot runs the training",
}
"""Flags of the published program that cannot be honoured, and why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and return the exit code: 0 done, 2 something to correct, 75 interrupted and can be resumed."""
    return run_command(_train, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trainval_net", description=__doc__, allow_abbrev=False)
    add_common_flags(parser)
    parser.add_argument("--dataset", default="grozi-train", help="name of a data set, or custom:FOLDER#SPLIT")
    parser.add_argument("--dataset_val", default="grozi-val-new-cl", help="the same, for evaluation")
    parser.add_argument("--init_weights", type=Path, metavar="FILE", help="a checkpoint, or a ResNet")
    parser.add_argument("--start_epoch", type=int, default=1, help="accepted as 1; a run resumes by itself")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--disp_interval", type=int, default=10, help="steps between two lines about the losses")
    parser.add_argument("--checkpoint_interval", type=int, default=0, help="steps between two named checkpoints")
    parser.add_argument("--val_interval", type=int, default=10, help="epochs between two evaluations")
    parser.add_argument("--save_dir", type=Path, default=Path("models"), metavar="FOLDER", help="of this training")
    parser.add_argument("--nw", type=int, default=8, help="processes that prepare images")
    parser.add_argument("--mGPUs", action="store_true", help="refused: training runs on one GPU")
    parser.add_argument("--bs", type=int, default=128, help="images per step")
    parser.add_argument("--o", dest="optimizer", default="sgd", help="sgd or adam")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--lr_decay_milestones", nargs="*", default=[], metavar="EPOCH")
    parser.add_argument("--lr_decay_gamma", type=float, default=0.1)
    parser.add_argument("--lr_reload_best_after_decay", type=published_flag, default=True)
    parser.add_argument("--s", dest="session", type=int, default=1, help="number in the names of checkpoints")
    parser.add_argument("--r", dest="resume", type=published_flag, default=False, help="go on from a named checkpoint")
    parser.add_argument("--checksession", type=int, default=1)
    parser.add_argument("--checkepoch", type=int, default=1)
    parser.add_argument("--checkpoint", type=int, default=0)
    parser.add_argument("--use_tfb", type=published_flag, default=False, help="refused: there is no tensorboard")
    return parser


def _train(arguments: Sequence[str] | None) -> None:
    config = config_of_training(_parser().parse_args(arguments))
    tasks.train.validate(config)
    with ConsoleRun(Path(config.output.path), config.random_seed) as run:
        run.keep_config(config)
        tasks.train(config, run)


def config_of_training(options: argparse.Namespace) -> CfgNode:
    """Return the configuration of the task.

    Raises:
        ConfigError: an option asks for what does not exist here, or a key or a value is wrong.
    """
    for flag, reason in NOT_HERE.items():
        if getattr(options, flag):
            raise ConfigError(f"--{flag}: {reason}; leave it out")
    if options.start_epoch != 1:
        raise ConfigError(f"--start_epoch: expected 1, got {options.start_epoch}; a run resumes by itself")
    weights = options.init_weights
    if options.resume:
        weights = options.save_dir / f"faster_rcnn_{options.checksession}_{options.checkepoch}_{options.checkpoint}.pth"
    milestones = [int(epoch) for text in options.lr_decay_milestones for epoch in text.split()]
    values = {
        "init.model": str(weights or ""),
        "train.dataset_name": options.dataset,
        "eval.dataset_names": [options.dataset_val],
        "train.epochs": options.epochs,
        "train.batch_size": options.bs,
        "train.optim.optim_method": options.optimizer,
        "train.optim.lr": options.lr,
        "train.optim.milestones": milestones,
        "train.optim.gamma": options.lr_decay_gamma,
        "train.optim.reload_best_model": options.lr_reload_best_after_decay,
        "eval.iter": options.val_interval,
        "output.path": str(options.save_dir),
        "output.print_iter": options.disp_interval,
        "output.checkpoint_interval": options.checkpoint_interval,
        "output.session": options.session,
        "runtime.num_workers": options.nw,
    }
    return config_of(options, values)


if __name__ == "__main__":
    sys.exit(main())
