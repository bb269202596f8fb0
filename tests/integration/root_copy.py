"""A copy of this machine's root that is written to memory only, with processes of its own; nothing of it stays."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

STEP_SECONDS = 600.0
_LAYERS = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$1/root/tmp"
echo ready
exec sleep infinity
"""


class RootCopy:
    """Needs root and overlay mounts; ``possible`` tells whether this machine has them. All ends with the ``with``."""

    def __init__(self, place: Path) -> None:
        self._root = place / "root"
        place.mkdir()
        layers = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _LAYERS, "sh", str(place)]
        self._holder = subprocess.Popen(layers, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        self.possible = self._holder.stdout.readline() == "ready\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.kill()
        self._holder.communicate()

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        user: str = "0:0",
        folder: str = "/",
        stdin: bytes = b"",
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end; the user is ``uid:gid``."""
        return subprocess.run(
            self._inside(command, user, folder),
            env=dict(environment),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=STEP_SECONDS,
            check=False,
        )

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], user: str, folder: str, log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a command that goes on until it is stopped or the copy ends."""
        with log.open("wb") as stream:
            return subprocess.Popen(
                self._inside(command, user, folder), env=dict(environment), stdout=stream, stderr=subprocess.STDOUT
            )

    def show(self, folder: Path, place: str) -> None:
        """Let a folder of this machine appear in the copy, where it can be read."""
        at = f"{self._root}{place}"
        self._mount('mkdir -p "$2" && mount --bind "$1" "$2" && mount -o remount,ro,bind "$2"', str(folder), at)

    def give(self, place: str, user: str) -> None:
        """Let a folder of the copy be empty, in memory, and a user's own."""
        uid, gid = user.split(":")
        self._mount('mount -t tmpfs -o "uid=$2,gid=$3" tmpfs "$1"', f"{self._root}{place}", uid, gid)

    def hide(self, folder: Path) -> None:
        """Let a folder of this machine be empty in the copy, where all of ``/tmp`` is."""
        self._mount('mkdir -p "$1" && mount -t tmpfs tmpfs "$1"', f"{self._root}{folder}")

    def make_read_only(self) -> None:
        """Let nothing be written from here on but in /tmp."""
        self._mount('mount -o remount,ro "$1"', str(self._root))

    def _mount(self, script: str, *arguments: str) -> None:
        subprocess.run([*self._namespaces(), "sh", "-c", script, "sh", *arguments], check=True)

    def _inside(self, command: Sequence[str], user: str, folder: str) -> list[str]:
        place = ["chroot", f"--userspec={user}", str(self._root), "env", f"--chdir={folder}"]
        return [*self._namespaces(), *place, *command]

    def _namespaces(self) -> list[str]:
        of = f"/proc/{self._holder.pid}/ns"
        return ["/usr/bin/nsenter", f"--mount={of}/mnt", f"--pid={of}/pid_for_children"]
