"""The image's own commands, run without a container engine: it is built, started, found well, used and stopped."""

import base64
import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from orchestration.distributed.node import free_port
from os2d.data.shelf.store import ShelfExample, shelf_example
from tests.integration.dockerfile import Container
from tests.integration.root_copy import RootCopy
from tests.small_case import SMALL_SHELF
from tests.trained_os2d import small_config, write_trial

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]
JSON = {"Content-Type": "application/json"}
START_SECONDS, STOP_SECONDS = 500.0, 120.0


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """The image as a user of number 1234 builds it, with a working folder that holds a model."""
    folder = tmp_path_factory.mktemp("container")
    with RootCopy(folder / "copy") as root:
        if not root.possible:
            pytest.skip("a copy of this machine's root needs root and overlay mounts")
        arguments = {"USER_UID": "1234", "USER_GID": "2345", "WORKDIR": "/work"}
        built = Container(root, ROOT, ROOT / "docker" / "Dockerfile", arguments)
        write_trial(folder / "work" / "model", small_config())
        (folder / "work").chmod(0o755)
        root.show(folder / "work", "/work")
        root.make_read_only()
        yield built


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> ShelfExample:
    return shelf_example(tmp_path_factory.mktemp("data"), SMALL_SHELF)


@dataclass(frozen=True)
class Service:
    """A container that runs, as its own check and a client see it."""

    container: Container
    process: subprocess.Popen[bytes]
    healthcheck: list[str]
    port: int
    log: Path

    def wait_until_well(self) -> None:
        ends = time.monotonic() + START_SECONDS
        while self.container.run(self.healthcheck, ONESHOT_SERVE_PORT=str(self.port)).returncode:
            assert self.process.poll() is None and time.monotonic() < ends, self.log.read_text()

    def wait_until_ready(self) -> None:
        """Wait for the network, which the server loads while it is well already."""
        ends = time.monotonic() + START_SECONDS
        while True:
            try:
                self.ask("/readyz")
                return
            except urllib.error.HTTPError as e:
                assert e.code == 503 and time.monotonic() < ends, self.log.read_text()
            time.sleep(0.5)

    def ask(self, path: str, body: object = None) -> bytes:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", content, JSON)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def stop(self) -> int:
        """Send the signal that an engine sends, and return how the service ended."""
        (program,) = psutil.Process(self.process.pid).children()
        program.terminate()
        return self.process.wait(STOP_SECONDS)


def start(container: Container, log: Path, command: list[str], healthcheck: list[str], port: int) -> Service:
    variables = {"ONESHOT_SERVE_PORT": str(port), "ONESHOT_SERVE_MODEL": "model"}
    return Service(container, container.start(log, command, **variables), healthcheck, port, log)


def test_the_container_serves_the_page_and_detects(container: Container, example: ShelfExample, tmp_path: Path):
    api = start(container, tmp_path / "log", container.command, container.healthcheck, free_port())
    api.wait_until_well()
    api.wait_until_ready()
    image, class_image = (
        {"content": base64.b64encode(path.read_bytes()).decode()} for path in (example.image, example.class_image)
    )
    body = {"image": image, "classes": [{"name": "tea", "images": [class_image]}], "threshold": -1}

    page, answer = api.ask("/"), json.loads(api.ask("/v1/detect", body))

    assert b"<html" in page
    assert {found["class"] for found in answer["detections"]} == {"tea"}
    assert api.stop() in (0, -signal.SIGTERM)
    assert "Traceback" not in api.log.read_text()


def test_it_runs_as_the_user_it_was_built_for_and_writes_nothing_but_temporary_files(container: Container):
    script = "id -u; id -g; pwd; touch /tmp/here; touch there || touch ~/there || touch /usr/local/there"

    told = container.run(["sh", "-c", script]).stdout.decode()

    assert told.splitlines()[:3] == ["1234", "2345", "/work"]
    assert told.count("Read-only file system") == 3


def test_without_a_model_it_ends_and_says_how_to_get_one(container: Container, tmp_path: Path):
    process = container.start(tmp_path / "log")

    assert process.wait(START_SECONDS) == 2
    assert "oneshot models fetch os2d_v2-train" in (tmp_path / "log").read_text()


def test_mlflow_of_the_services_takes_runs(container: Container, tmp_path: Path):
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["mlflow"]
    port = free_port()
    healthcheck = [part.replace("5000", str(port)) for part in service["healthcheck"]["test"][1:]]
    container.mount_volume("/mlflow")
    mlflow = start(container, tmp_path / "log", [*service["command"], "--port", str(port)], healthcheck, port)
    mlflow.wait_until_well()

    made = json.loads(mlflow.ask("/api/2.0/mlflow/experiments/create", {"name": "losses"}))

    assert made["experiment_id"]
    mlflow.stop()
