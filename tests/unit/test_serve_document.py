"""The commands of docs/api.md, typed into a shell; the server listens at a port of its own."""

import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
import uvicorn
from PIL import Image
from typer.main import get_command

from os2d.cli.serve import app
from os2d.serve.app import create_app
from os2d.serve.refusal import STATUS
from os2d.serve.settings import ServeSettings
from tests.documents import commands
from tests.unit.held_detector import HeldDetector

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "api.md"


@pytest.fixture
def address():
    server = uvicorn.Server(uvicorn.Config(create_app(ServeSettings(), HeldDetector), port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield f"localhost:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_its_calls_are_answered(address, tmp_path):
    for name in ("shelf", "tea", "soap"):
        Image.new("RGB", (40, 30), "red").save(tmp_path / f"{name}.jpg")
    calls = [command.text for command in commands(DOCUMENT) if command.text.startswith("curl ")]
    assert len(calls) == 5
    for call in calls:
        typed = call.replace("localhost:8000", address).replace("curl ", "curl --fail-with-body --retry 5 -sS ")
        done = subprocess.run(["bash", "-c", typed], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (call, done.stdout, done.stderr)
        if "v1/detect" in call:
            assert '"class":"tea"' in done.stdout


def test_it_names_every_code_with_its_status():
    rows = re.findall(r"^\| (\d{3}) \| (.*?) \|", DOCUMENT.read_text(), re.M)
    told = {code: int(status) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    assert told == {code: status for code, status in STATUS.items() if code != "abandoned"}


def test_it_names_every_limit_with_its_default():
    rows = re.findall(r"^\| (`--.*?) \| (\d.*?) \|", DOCUMENT.read_text(), re.M)
    told = {}
    for options, defaults in rows:
        names = [name.replace("-", "_") for name in re.findall(r"`--([\w-]+)`", options)]
        told |= {name: float(default) for name, default in zip(names, defaults.split(", "), strict=True)}
    settings = ServeSettings().model_dump(exclude={"port", "published_route_px"})
    assert told == {name: value for name, value in settings.items() if isinstance(value, int | float)}


def test_the_help_of_the_command_tells_the_same_defaults():
    options = {option.name: option.help for option in get_command(app).params}
    settings = ServeSettings().model_dump(include=set(options))
    numbers = {name: value for name, value in settings.items() if isinstance(value, int | float)}
    assert len(numbers) == 13
    for name, default in numbers.items():
        assert f"({default:g})" in options[name]
