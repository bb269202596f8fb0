"""Train or evaluate OS2D: ``python main.py [--config-file FILE] [KEY VALUE ...]``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from os2d import tasks
from os2d.config import default_config
from os2d.console import ConsoleRun
from os2d.errors import ConfigError, Os2dError

logger = logging.getLogger("OS2D")

LINE = "%(asctime)s %(name)s %(levelname)s: %(message)s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the task that the configuration describes and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config-file", type=Path, help="YAML file that overrides the defaults")
    parser.add_argument("overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="override single values")
    options = parser.parse_args(arguments)
    try:
        config = read_config(options.config_file, options.overrides)
        tasks.train.validate(config)
        _check_pictures_are_kept(config)
        run_task(config)
    except Os2dError as e:
        print(f"error: {e}", file=sys.stderr)
        return e.exit_code
    return 0


def read_config(file: Path | None, overrides: Sequence[str]) -> CfgNode:
    """Return the defaults with the file and then the overrides merged, frozen.

    Raises:
        ConfigError: the file cannot be read, or a key or a value is wrong.
    """
    config = default_config()
    if len(overrides) % 2:
        raise ConfigError(f"overrides: expected KEY VALUE pairs, got {len(overrides)} words: {' '.join(overrides)}")
    try:
        if file is not None:
            config.merge_from_file(str(file))
    except Exception as e:  # yacs and yaml raise whatever they meet
        raise ConfigError(f"{file}: {e}") from e
    for key, value in zip(overrides[::2], overrides[1::2], strict=True):
        try:
            config.merge_from_list([key, value])
        except Exception as e:
            raise ConfigError(f"{key}: cannot be set to {value!r}: {e}") from e
    config.freeze()
    return config


def _check_pictures_are_kept(config: CfgNode) -> None:
    """Refuse to draw pictures that would be gone at the end."""
    for branch, settings in config.visualization.items():
        wanted = next((name for name, value in settings.items() if name.startswith("show_") and value), None)
        if wanted and not config.output.path:
            raise ConfigError(
                f"visualization.{branch}.{wanted}: True draws pictures into the folder output.path, which is empty; "
                "set output.path"
            )


def run_task(config: CfgNode) -> None:
    """Train, or only evaluate, in the folder ``output.path``."""
    folder = Path(config.output.path) if config.output.path else None
    with ConsoleRun(folder, config.random_seed) as run:
        handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
        if folder is not None and config.output.save_log_to_file:
            handlers.append(logging.FileHandler(folder / "log.txt", encoding="utf-8"))
        logging.basicConfig(level=logging.INFO, format=LINE, handlers=handlers, force=True)
        logger.info("configuration:\n%s", config)
        if folder is not None and config.train.do_training:
            run.keep_config(config)
        metrics = tasks.train(config, run)
        logger.info("final: %s", ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))


if __name__ == "__main__":
    sys.exit(main())
