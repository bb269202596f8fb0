"""A Dockerfile carried out without a container engine, in a copy of this machine's root.

The machine stands for the base image: Debian, with the Python of the tests as ``/usr/local``. The packages of the tests
are taken for installed there, so that nothing is downloaded; the repository itself is hidden.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from docker.utils.build import exclude_paths
from dockerfile_parse import DockerfileParser

from tests.integration.root_copy import RootCopy

BASE_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    "PIP_NO_INDEX": "1",
    "PIP_NO_BUILD_ISOLATION": "0",  # which is how pip spells that a build takes the packages that are there
}
PACKAGES = "/packages"


def read_dockerfile(path: Path) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile and what follows each, without comments."""
    with path.open("rb") as stream:
        structure = DockerfileParser(fileobj=stream).structure
    return [(step["instruction"], step["value"]) for step in structure if step["instruction"] != "COMMENT"]


def context_files(context: Path) -> list[str]:
    """Return the files of a folder that a build sees, by its .dockerignore and Docker's own reading of it."""
    lines = (context / ".dockerignore").read_text().splitlines()
    kept = exclude_paths(str(context), [line for line in lines if line and not line.startswith("#")])
    return sorted(name for name in kept - {".dockerignore"} if (context / name).is_file())


class Container:
    """What a Dockerfile makes of a root, and what it says about running it."""

    def __init__(self, root: RootCopy, context: Path, dockerfile: Path, arguments: Mapping[str, str]) -> None:
        self.environment = dict(BASE_ENVIRONMENT)
        self.healthcheck: list[str] = []
        self.entrypoint: list[str] = []
        self.command: list[str] = []
        self.user, self.folder = "0:0", "/"
        self._root, self._context, self._given = root, context, arguments
        self._arguments: dict[str, str] = {}
        self._lay_base()
        for instruction, value in read_dockerfile(dockerfile):
            self._carry_out(instruction, value)

    def run(self, command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command as whoever the container runs as."""
        return self._root.run(command, self.environment | environment, self.user, self.folder)

    def start(self, log: Path, command: Sequence[str] = (), **environment: str) -> subprocess.Popen[bytes]:
        """Start the entry point, with its own command or another one."""
        argv = [*self.entrypoint, *(command or self.command)]
        return self._root.start(argv, self.environment | environment, self.user, self.folder, log)

    def mount_volume(self, place: str) -> None:
        """Mount a new volume, which belongs to whom its place belongs."""
        owner = self._root.run(["stat", "--format=%u:%g", place], self.environment).stdout.decode().strip()
        self._root.give(place, owner)

    def _lay_base(self) -> None:
        version = sysconfig.get_python_version()
        python = Path(sys.base_prefix)
        self._root.show(Path(sysconfig.get_path("purelib")), PACKAGES)
        self._root.hide(self._context)
        self._step(["chmod", "a+rx", *map(str, [python, *python.parents])])
        self._step([f"{python}/bin/python{version}", "-m", "venv", "--without-pip", "/usr/local"])
        self._step(["sh", "-c", f"echo {PACKAGES} >/usr/local/lib/python{version}/site-packages/base.pth"])
        self._step(["sh", "-c", """printf '#!/bin/sh\nexec python -m pip "$@"\n' >/usr/local/bin/pip"""])
        self._step(["chmod", "+x", "/usr/local/bin/pip"])

    def _carry_out(self, instruction: str, value: str) -> None:
        match instruction:
            case "FROM" | "EXPOSE":
                pass
            case "ARG":
                name, _, default = value.partition("=")
                self._arguments[name] = self._given.get(name, default)
            case "ENV":
                self.environment.update(re.findall(r"(\w+)=(\S+)", self._filled(value)))
            case "COPY":
                self._copy(*self._filled(value).split())
            case "RUN":
                self._step(["/bin/sh", "-c", value])
            case "USER":
                self.user = self._filled(value)
                self.environment["HOME"] = self._home(self.user.partition(":")[0])
            case "WORKDIR":
                self.folder = self._filled(value)
            case "HEALTHCHECK":
                self.healthcheck = json.loads(value.partition("CMD")[2])
            case "ENTRYPOINT":
                self.entrypoint = json.loads(value)
            case "CMD":
                self.command = json.loads(value)
            case _:
                raise NotImplementedError(f"{instruction} {value}")

    def _home(self, user_id: str) -> str:
        entry = self._root.run(["getent", "passwd", user_id], self.environment).stdout.decode()
        return entry.split(":")[5]

    def _filled(self, value: str) -> str:
        return Template(value).substitute(self._arguments | self.environment)

    def _copy(self, *sources_and_place: str) -> None:
        *sources, place = sources_and_place
        names = [name for name in context_files(self._context) if sources == ["."] or name in sources]
        if sources != ["."] and set(sources) != set(names):
            raise ValueError(f"COPY {sources}: the context has only {names}")
        pack = ["tar", "-C", str(self._context), "-c", "--files-from=-"]
        packed = subprocess.run(pack, input="\n".join(names).encode(), stdout=subprocess.PIPE, check=True).stdout
        self._step(["mkdir", "-p", place])
        self._step(["tar", "-C", place, "-x", "--no-same-owner"], packed)

    def _step(self, command: Sequence[str], stdin: bytes = b"") -> None:
        environment = self.environment | self._arguments
        done = self._root.run(command, environment, self.user, self.folder, stdin)
        if done.returncode:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout.decode()}")
