"""What the two commands share: flags of the published programs, the log, errors as one line."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from baselines.coae.config import default_config
from baselines.coae.published_keys import translated
from os2d.command import exit_code_of
from os2d.config_reading import set_overrides, set_value, values_of_file

CLASS_VIEWS = {"none": "", "rotation90": "rotation90"}
"""``--class_image_augmentation`` -> ``eval.class_image_augmentation``."""


def add_common_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that both programs have."""
    parser.add_argument("--net", default="res50", metavar="NAME", help="res50 or res101; also res18, res34")
    parser.add_argument("--cuda", action="store_true", help="run on the GPU")
    parser.add_argument("--cag", type=published_flag, default=True, help="accepted; regression is class-agnostic")
    parser.add_argument("--class_image_augmentation", choices=CLASS_VIEWS, default="none", help="views in evaluation")
    parser.add_argument("--searched_classes", choices=("present", "all"), default="present", help="new: all, as OS2D")
    parser.add_argument("--config-file", type=Path, metavar="FILE", help="new: YAML file of keys here")
    parser.add_argument("--set", dest="overrides", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE")


def published_flag(text: str) -> bool:
    """Return what the published program makes of a flag's value: anything but nothing is true, ``False`` included."""
    return bool(text)


def config_of(options: argparse.Namespace, values: Mapping[str, Any]) -> CfgNode:
    """Return the configuration: defaults, then the file, then values of flags, then ``--set``; frozen.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    config = default_config()
    if options.config_file is not None:
        for key, value in values_of_file(options.config_file):
            set_value(config, key, value, f" ({options.config_file})")
    common = {
        "is_cuda": options.cuda,
        "model.net": options.net,
        "eval.class_image_augmentation": CLASS_VIEWS[options.class_image_augmentation],
        "eval.searched_classes": options.searched_classes,
    }
    for key, value in {**common, **values}.items():
        set_value(config, key, value, "")
    set_overrides(config, list(translated(options.overrides)))
    config.freeze()
    return config


def run_command(command: Callable[[Sequence[str] | None], None], arguments: Sequence[str] | None) -> int:
    """Run a command and return its exit code; an error is one line."""
    # Scripts read the lines of an evaluation from the start of a line, as the published program prints them.
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout, force=True)
    for name in ("baselines", "os2d"):
        logging.getLogger(name).setLevel(logging.INFO)
    return exit_code_of(lambda: command(arguments))
