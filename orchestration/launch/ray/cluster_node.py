"""One node of a Ray cluster in a SLURM job, a task of ``srun``: ``python -m orchestration.launch.ray.cluster_node``.

It runs ``ray start --block`` with its arguments until its standard input is closed. SLURM announces the end of a job by
signals to every process; this one outlives them, because SLURM kills what is left of a step when its task has ended,
and the workers in it still save.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from orchestration.launch.ray.cluster_folder import held


def main() -> None:
    """Run Ray until nobody wants it any more; what is left of it is for SLURM to end."""

    def ignore(number: int, frame: FrameType | None) -> None:  # a function: children must not inherit SIG_IGN
        pass

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, ignore)
    with held(_folder(sys.argv)):
        ray = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *sys.argv[1:], "--block"], stdin=subprocess.DEVNULL
        )
        sys.stdin.buffer.read()
        ray.terminate()
        try:
            ray.wait(timeout=10)
        except subprocess.TimeoutExpired:
            ray.kill()


def _folder(arguments: Sequence[str]) -> Path:
    (folder,) = (value for name, _, value in (text.partition("=") for text in arguments) if name == "--temp-dir")
    return Path(folder)


if __name__ == "__main__":
    main()
