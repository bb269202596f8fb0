"""What a container engine would be given: the Dockerfile, what it may see, and the services."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.dockerfile import context_files, read_dockerfile

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    return read_dockerfile(DOCKERFILE)


def values(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [value for instruction, value in instructions if instruction == name]


def test_the_linter_of_dockerfiles_has_nothing_to_say():
    hadolint = Path(sys.executable).with_name("hadolint")

    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_has_a_tag_that_does_not_move_to_another_python(instructions: list[tuple[str, str]]):
    (base,) = values(instructions, "FROM")

    assert re.fullmatch(r"python:3\.\d+(\.\d+)?-slim-\w+", base)


def test_it_runs_as_nobody_who_could_change_it(instructions: list[tuple[str, str]]):
    assert values(instructions, "USER") == ["${USER_UID}:${USER_GID}"]
    after = instructions[[name for name, _ in instructions].index("USER") :]
    assert not values(after, "RUN") and not values(after, "COPY")


def test_no_cache_stays(instructions: list[tuple[str, str]]):
    installing = [value for value in values(instructions, "RUN") if "pip install" in value]

    assert installing and all("--no-cache-dir" in value for value in installing)


def test_it_tells_whether_it_is_well_and_stops_when_it_is_asked_to(instructions: list[tuple[str, str]]):
    assert "/healthz" in values(instructions, "HEALTHCHECK")[0]
    entry_point, command = (json.loads(values(instructions, name)[0]) for name in ("ENTRYPOINT", "CMD"))
    assert [*entry_point, *command] == ["oneshot", "serve"]  # no shell in between, which would keep the signal


def test_the_build_sees_the_code_and_nothing_else(tmp_path: Path):
    code = ["setup.py", "pyproject.toml", "README.md", "os2d/serve/page/index.html", "baselines/onenet/configs/a.yaml"]
    other = [
        *(
            ".env",
            ".git/config",
            ".venv/bin/python",
            "data/photo.jpg",
            "models/w.pth",
            "runs/a/trial.json",
            "mlflow.db",
        ),
        *("os2d/__pycache__/a.cpython-311.pyc", "os2d/serve/.cache", "tests/unit/test_a.py", "shared/design.md"),
    ]
    for name in [*code, *other]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    shutil.copy(ROOT / ".dockerignore", tmp_path)

    assert context_files(tmp_path) == sorted(code)


Composed = Callable[..., dict[str, Any]]


@pytest.fixture
def composed(tmp_path: Path) -> Composed:
    """Return how docker-compose understands its files, given some variables; a developer's own .env says nothing."""
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("no docker-compose on this machine; `apt-get install docker-compose` brings one")
    (tmp_path / "empty.env").touch()

    def services(*files: str, **environment: str) -> dict[str, Any]:
        chosen = [part for name in ("docker-compose.yml", *files) for part in ("-f", str(ROOT / name))]
        done = subprocess.run(
            [program, "--env-file", str(tmp_path / "empty.env"), *chosen, "config"],
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return yaml.safe_load(done.stdout)["services"]

    return services


def doors(service: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Return address, port outside and port inside; versions 1 and 2 of docker-compose write them differently."""
    found = []
    for port in service["ports"]:
        if isinstance(port, str):
            address, outside, inside = port.removesuffix("/tcp").split(":")
            port = {"host_ip": address, "published": outside, "target": inside}
        found.append((port.get("host_ip", "0.0.0.0"), int(port["published"]), int(port["target"])))
    return found


def mounted(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return what is mounted where, and how."""
    volumes = [volume.split(":") if isinstance(volume, str) else volume for volume in service["volumes"]]
    return [
        (v["source"], v["target"], "ro" if v.get("read_only") else "rw") if isinstance(v, dict) else tuple(v)
        for v in volumes
    ]


def test_the_services_are_where_the_published_ones_were(composed: Composed):
    services = composed()

    assert set(services) == {"api", "mlflow"}
    assert services["api"]["build"]["args"] == {"USER_UID": "1001", "USER_GID": "1001", "WORKDIR": "/workspace"}
    assert doors(services["api"]) == [("0.0.0.0", 80, 8000)]
    assert mounted(services["api"]) == [(str(ROOT), "/workspace", "ro")]


def test_the_published_variables_are_heard(composed: Composed):
    services = composed(USER_UID="1234", USER_GID="2345", WORKDIR="/work", CUSTOM_PORT="8080")

    assert services["api"]["build"]["args"] == {"USER_UID": "1234", "USER_GID": "2345", "WORKDIR": "/work"}
    assert doors(services["api"]) == [("0.0.0.0", 8080, 8000)]
    assert mounted(services["api"]) == [(str(ROOT), "/work", "ro")]


def test_every_argument_of_the_services_is_one_of_the_dockerfile(
    composed: Composed, instructions: list[tuple[str, str]]
):
    services = composed("docker/gpu.yml")
    known = {value.partition("=")[0] for value in values(instructions, "ARG")}

    assert services["api"]["build"]["args"]["DEVICE"] == "cuda"
    assert "DEVICE" not in services["mlflow"]["build"]["args"]
    assert all(set(service["build"]["args"]) <= known for service in services.values())


def test_no_service_can_gain_rights_or_write_beside_its_volumes(composed: Composed):
    for service in composed().values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_mlflow_which_asks_for_no_password_is_for_this_machine_unless_said_otherwise(composed: Composed):
    assert doors(composed()["mlflow"]) == [("127.0.0.1", 5000, 5000)]
