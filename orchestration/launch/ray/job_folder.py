"""The folder of one job with a Ray cluster and a driver in it: what the job needs to know, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestration.durable import make_folder, read_whole, to_json, write_whole
from orchestration.errors import LaunchError


@dataclass(frozen=True)
class Manifest:
    """What the job needs to know.

    Args:
        command: the arguments of ``oneshot``, without ``--address``.
        directory: where it runs.
        log: what the driver prints goes there.
        nodes: of the Ray cluster.
        cpus: of each node.
        gpus: of each node.
    """

    command: Sequence[str]
    directory: str
    log: str
    nodes: int
    cpus: int
    gpus: int


class Job:
    """The folder of one submission, ``runs/.ray-in-slurm/<id>/``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def output(self) -> Path:
        """Where SLURM and Ray write."""
        return self.folder / "output"

    def freeze(self, manifest: Manifest) -> None:
        """Write down what the job needs to know."""
        make_folder(self.output)
        write_whole(self.folder / "manifest.json", to_json(asdict(manifest), indent=1))

    def manifest(self) -> Manifest:
        """Return what was written down."""
        fields = read_whole(self.folder / "manifest.json")
        if fields is None:
            raise LaunchError(f"{self.folder}/manifest.json: there is no such file; run the command again")
        return Manifest(**fields)

    def finish(self, exit_code: int) -> None:
        """Say that the driver has ended and will not be started again."""
        write_whole(self.folder / "exit.json", to_json({"exit_code": exit_code}))

    def exit_code(self) -> int | None:
        """Return how the driver ended; None before that."""
        fields = read_whole(self.folder / "exit.json")
        return fields["exit_code"] if fields else None
