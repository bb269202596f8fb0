"""Train a retrieval network: ``python train.py FOLDER --training-dataset NAME --test-datasets NAME,NAME ...``.

The folder of the training is made below FOLDER; its name tells the settings. The same command again resumes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from baselines.detector_retrieval.command import run_task
from baselines.detector_retrieval.retrieval import tasks
from baselines.detector_retrieval.retrieval.needs import command_line_folder
from os2d.command import EXIT_CODES, exit_code_of
from os2d.errors import ConfigError

IMAGENET_FEATURES = {
    "resnet50": "models/imagenet-caffe-resnet50-features-ac468af.pth",
    "resnet101": "models/imagenet-caffe-resnet101-features-10a101d.pth",
}
"""What a network starts from unless ``--network-path`` or ``--not-pretrained`` say otherwise."""

PUBLISHED_WHITENING = {("resnet101", "gem"): "models/retrieval-SfM-120k-resnet101-gem-whiten-22ab0c1.pth"}
"""What a whitening layer starts from unless ``--whitening-path`` or ``--not-pretrained`` say otherwise; others: random.

The published program takes it also with ``--network-path``, where that file has no such layer.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the training that the arguments describe and return the exit code."""
    options = _parser().parse_args(arguments)

    def work() -> None:
        config = config_of(options)
        run_task(tasks.retrieval_train, config, Path(config.output.path))

    return exit_code_of(work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXIT_CODES)
    add = parser.add_argument
    add("directory", help="folder of the trainings")
    add("--training-dataset", "-d", required=True, help="prepared data set to learn from")
    add("--no-val", dest="val", action="store_false", help="do not compute the validation loss")
    add("--test-datasets", "-td", required=True, help="prepared data sets, with commas between; the first one decides")
    add("--test-whiten", default="", help=argparse.SUPPRESS)
    add("--test-freq", type=int, default=1, help="epochs between two tests")
    add("--network-path", help="network to start from")
    add("--arch", "-a", default="resnet101", help="resnet18, resnet34, resnet50 or resnet101")
    add("--pool", "-p", default="gem", help="gem, mac, spoc or rmac")
    add("--local-whitening", "-lw", action="store_true", help=argparse.SUPPRESS)
    add("--regional", "-r", action="store_true", help=argparse.SUPPRESS)
    add("--whitening", "-w", action="store_true", help="a fully connected layer after pooling")
    add("--whitening-path", default="", help="weights of that layer; default: the published ones, if any")
    add("--not-pretrained", dest="pretrained", action="store_false", help="start from random weights")
    add("--loss", "-l", default="contrastive")
    add("--loss-margin", "-lm", type=float, default=0.7)
    add("--image-size", type=int, default=1024, help="longer side of a picture, at most")
    add("--neg-num", "-nn", type=int, default=5, help="negatives per pair")
    add("--query-size", "-qs", type=int, default=2000, help="pairs drawn for an epoch")
    add("--pool-size", "-ps", type=int, default=20000, help="pictures among which an epoch looks for negatives")
    add("--workers", "-j", type=int, default=8, help="processes that load pictures")
    add("--epochs", type=int, default=100)
    add("--batch-size", "-b", type=int, default=5, help="tuples per step")
    add("--optimizer", "-o", default="adam", help="adam or sgd")
    add("--lr", "--learning-rate", type=float, default=1e-6)
    add("--momentum", type=float, default=0.9)
    add("--weight-decay", "--wd", type=float, default=1e-4)
    add("--print-freq", type=int, default=10, help="accepted from old launchers; the log has a line per epoch")
    add("--save_freq", type=int, default=0, help="keep the network of every so many epochs")
    add("--resume", default="", help="accepted from old launchers; an interrupted training is resumed in any case")
    add("--data-folder", help="folder of the prepared data sets; default: retrieval/ in the folder of the data sets")
    add("--cpu", action="store_true", help="train on the CPU")
    return parser


def config_of(options: argparse.Namespace) -> CfgNode:
    """Return the configuration of the task.

    Raises:
        ConfigError: an option asks for what does not exist here.
    """
    for option in ("test_whiten", "local_whitening", "regional"):
        if getattr(options, option):
            raise ConfigError(f"--{option.replace('_', '-')}: does not exist in this program; leave it out")
    config = tasks.retrieval_train.default_config()
    config.is_cuda = not options.cpu
    config.data.path = str(command_line_folder(options.data_folder))
    config.data.train, config.data.tests = options.training_dataset, options.test_datasets.split(",")
    config.data.image_size = options.image_size
    config.network.arch, config.network.pooling = options.arch, options.pool
    config.network.whitening = options.whitening
    start = IMAGENET_FEATURES.get(options.arch, "") if options.pretrained else ""
    if options.pretrained and not (start or options.network_path):
        raise ConfigError(f"--network-path: expected a file, there are no published features for {options.arch}")
    layer = (
        PUBLISHED_WHITENING.get((options.arch, options.pool), "") if options.pretrained and options.whitening else ""
    )
    config.init.network, config.init.whitening = options.network_path or start, options.whitening_path or layer
    train = config.train
    train.epochs, train.loss, train.margin = options.epochs, options.loss, options.loss_margin
    train.negatives, train.queries, train.pool = options.neg_num, options.query_size, options.pool_size
    train.batch_size, train.optim_method, train.lr = options.batch_size, options.optimizer, options.lr
    train.momentum, train.weight_decay = options.momentum, options.weight_decay
    config.eval.validate, config.eval.iter = options.val, options.test_freq
    config.output.path = str(Path(options.directory) / folder_name(options))
    config.output.save_epochs = options.save_freq
    config.runtime.num_workers = options.workers
    config.freeze()
    return config


def folder_name(options: argparse.Namespace) -> str:
    """Return the name of the folder of a training, which the published launchers build too."""
    parts = [options.training_dataset, options.arch, options.pool]
    parts += ["whiten"] * options.whitening + ["notpretrained"] * (not options.pretrained)
    parts += [options.loss, f"m{options.loss_margin:.2f}", options.optimizer, f"lr{options.lr:.1e}"]
    parts += [f"wd{options.weight_decay:.1e}", f"nnum{options.neg_num}", f"qsize{options.query_size}"]
    parts += [f"psize{options.pool_size}", f"bsize{options.batch_size}", f"imsize{options.image_size}"]
    return "_".join(parts)


if __name__ == "__main__":
    sys.exit(main())
