"""``oneshot run`` without a tracking store, so that what is timed and killed here is the launch alone."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from orchestration.errors import OrchestrationError
from orchestration.experiment_file import ExperimentFile
from orchestration.launch.choice import make_launcher
from orchestration.launch.driver import launch
from orchestration.launch.slurm.options import SlurmOptions
from orchestration.plan import plan
from orchestration.runs import Runs


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--launcher", default="local")
    parser.add_argument("--cpus", type=float)
    parser.add_argument("--address")
    parser.add_argument("--slots", type=int)
    parser.add_argument("--partition")
    parser.add_argument("--account")
    arguments, options = parser.parse_known_args()
    described = ExperimentFile(arguments.file)
    try:
        slurm = SlurmOptions(partition=arguments.partition, account=arguments.account)
        launcher = make_launcher(arguments.launcher, arguments.cpus, None, arguments.slots, arguments.address, slurm)
        planned = plan(described.descriptions(options))
        console = Console(file=sys.stderr)
        return launch(planned, Runs(Path("runs")), launcher, console, described.import_paths).exit_code
    except OrchestrationError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
