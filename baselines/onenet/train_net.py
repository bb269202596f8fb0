"""Train or evaluate OneNet: ``python baselines/onenet/train_net.py --config-file FILE [KEY VALUE ...]``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # by its path, Python looks for packages beside this file only
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from yacs.config import CfgNode

from baselines.onenet import tasks
from baselines.onenet.config import is_cuda
from baselines.onenet.config_check import check_processes
from baselines.onenet.config_file import read_config
from baselines.onenet.published_folder import PublishedFolder
from os2d.command import exit_code_of, final_line, start_log
from os2d.distributed import launch, process_group
from os2d.errors import ConfigError

logger = logging.getLogger("OneNet")

EXAMPLES = """\
Values come from the defaults (baselines/onenet/config.py lists every key with its meaning), then from the file and the
files it builds on, then from the KEY VALUE pairs. Data sets lie in ./datasets, or where DETECTRON2_DATASETS says.

examples:
  train:
    python baselines/onenet/train_net.py --num-gpus 8 --config-file baselines/onenet/configs/onenet.res50.dcn.yaml
  go on with it:
    python baselines/onenet/train_net.py --num-gpus 8 --config-file baselines/onenet/configs/onenet.res50.dcn.yaml --resume
  evaluate a trained network on the CPU:
    python baselines/onenet/train_net.py --config-file baselines/onenet/configs/onenet.res50.dcn.yaml --eval-only \\
        MODEL.WEIGHTS path/to/model.pth MODEL.DEVICE cpu

exit codes: 0 done, 2 something to correct (one line says what), 75 interrupted and can be continued with --resume
"""  # noqa: E501 - a command to copy


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    options = _parser().parse_args(arguments)

    def work() -> None:
        config = read_config(options.config_file, options.opts)
        (tasks.evaluate if options.eval_only else tasks.train).validate(config)
        processes = options.num_gpus * options.num_machines
        check_processes(config, processes)
        if processes > 1 and launch().world_size == 1:
            _become_several(options, sys.argv[1:] if arguments is None else list(arguments))
        with process_group(is_cuda(config)):
            _run(config, options)

    return exit_code_of(work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", type=Path, metavar="FILE", help="YAML file that overrides the defaults")
    parser.add_argument("--resume", action="store_true", help="go on with the training in OUTPUT_DIR, if there is one")
    parser.add_argument("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS on DATASETS.TEST")
    parser.add_argument("--num-gpus", type=int, default=1, metavar="N", help="processes on this machine, a GPU each")
    parser.add_argument("--num-machines", type=int, default=1, metavar="N", help="machines; run the command on each")
    parser.add_argument("--machine-rank", type=int, default=0, metavar="K", help="number of this machine, from 0")
    parser.add_argument("--dist-url", default="auto", metavar="tcp://HOST:PORT", help="of machine 0, of several")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="override single values")
    return parser


def _become_several(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Replace this process by torch's launcher, which starts the same command once per GPU."""
    place = ["--standalone"]
    if options.num_machines > 1:
        address, _, port = options.dist_url.removeprefix("tcp://").rpartition(":")
        if not options.dist_url.startswith("tcp://") or not address or not port.isdigit():
            raise ConfigError(f"--dist-url: expected tcp://HOST:PORT of machine 0, got {options.dist_url!r}")
        place = ["--nnodes", str(options.num_machines), "--node-rank", str(options.machine_rank)]
        place += ["--master-addr", address, "--master-port", port]
    launcher = ["-m", "torch.distributed.run", *place, "--nproc-per-node", str(options.num_gpus)]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *launcher, str(Path(__file__).resolve()), *arguments])


def _run(config: CfgNode, options: argparse.Namespace) -> None:
    with PublishedFolder(Path(config.OUTPUT_DIR), config.SEED) as run:
        start_log(run.dir / "log.txt", run.rank, "OneNet", ("OneNet", "os2d", "baselines"))
        logger.info("configuration:\n%s", config)
        run.keep_config(config)
        if not options.eval_only and not options.resume:
            run.start_anew()
        metrics = (tasks.evaluate if options.eval_only else tasks.train)(config, run)
        logger.info(final_line(metrics))


if __name__ == "__main__":
    sys.exit(main())
