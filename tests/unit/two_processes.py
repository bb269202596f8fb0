"""A program in two processes that share its work, as ``torchrun`` starts them."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import pickle, sys
from pathlib import Path
import torch.distributed as dist
shelf, result, rank = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
dist.init_process_group("gloo", init_method=f"file://{{sys.argv[4]}}", rank=rank, world_size=2)
{}
result.write_bytes(pickle.dumps(answer))
"""


def answers_of_two(program: str, shelf: Path, folder: Path) -> list[Any]:
    """Return what a program has in its variable ``answer`` when it ends, in the first and in the second process.

    It finds the data in ``shelf``, and its own place for files in ``result``: ``folder / "0"`` or ``folder / "1"``.
    """
    results = [folder / str(rank) for rank in (0, 1)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(program), shelf, result, str(rank), folder / "meeting"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for rank, result in enumerate(results)
    ]
    assert [process.wait(120) for process in processes] == [0, 0]
    return [pickle.loads(result.read_bytes()) for result in results]
