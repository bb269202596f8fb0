"""A real MLflow server that asks for name and password, and every command that uses one."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time

import pytest

from orchestration.dashboard import dashboard_command
from orchestration.distributed.node import free_port
from tests.integration.mlflow_server import served
from tests.integration.oneshot_project import Project, without_addresses

pytestmark = pytest.mark.cluster

TABLE = """
    from orchestration.describe import Column, Table
    yield Table("t", "Counting", counts, [Column("last", "value"), Column("largest", "value", "max", digits=2)])
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith("MLFLOW_"):
            monkeypatch.delenv(name)
    project = Project(tmp_path, program="orchestration.cli")
    project.file.write_text(project.file.read_text() + TABLE)
    return project


@pytest.fixture
def password():
    return secrets.token_hex(8)


@pytest.fixture
def server(tmp_path, password, monkeypatch):
    """The address of a server with MLflow's own user accounts."""
    pytest.importorskip("flask_wtf", reason="needs mlflow[auth]")
    folder = tmp_path / "server"
    folder.mkdir()
    settings = folder / "auth.ini"
    settings.write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\n"
        f"database_uri = sqlite:///{folder}/users.db\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(settings))
    monkeypatch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", password)
    monkeypatch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", secrets.token_hex(16))
    dashboard = dashboard_command(folder, port=free_port())
    with served(dashboard, tmp_path / "server.log", "--app-name", "basic-auth") as address:
        yield address


def oneshot(project, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "orchestration.cli", *arguments, "--runs", str(project.runs.root)],
        cwd=project.folder,
        env={**os.environ, **project.environment, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_every_command_works_against_a_server_that_asks_who_we_are(project, server, password):
    me = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": password, "MLFLOW_TRACKING_URI": server}

    for wrong, told in (
        ({"MLFLOW_TRACKING_PASSWORD": "wrong"}, "the server refuses user 'admin' (401"),
        ({"MLFLOW_TRACKING_USERNAME": ""}, "the server wants to know who asks (401"),
    ):
        refused = oneshot(project, "run", "file.py", "--launcher", "local", **{**me, **wrong})
        assert refused.returncode == 74
        assert told in refused.stderr
        assert "Traceback" not in refused.stderr
        assert not project.runs.root.exists(), "refused before anything was made"

    ran = oneshot(project, "run", "file.py", "--launcher", "local", "--only", "counts", **me)
    assert ran.returncode == 0, ran.stderr
    assert "warning" not in ran.stderr

    synced = json.loads(oneshot(project, "sync", "--json", **me).stdout)
    assert (synced["created"], synced["points"], synced["problems"]) == (0, 0, [])
    refused = oneshot(project, "sync", **{**me, "MLFLOW_TRACKING_PASSWORD": "wrong"})
    assert refused.returncode == 74
    assert len(refused.stderr.splitlines()) == 1

    tables = [oneshot(project, "table", "file.py", "--json", "--from", source, **me) for source in ("mlflow", "runs")]
    assert tables[0].returncode == 0, tables[0].stderr
    of_store, of_folders = (json.loads(told.stdout) for told in tables)
    assert without_addresses(of_store) == of_folders
    assert {cell["state"] for cell in of_folders} == {"done"}

    shown = oneshot(project, "dashboard", "counts", **me)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(f"{server}/#/experiments/")

    follower = subprocess.Popen(
        [sys.executable, "-m", "orchestration.cli", "sync", "--follow", "--runs", str(project.runs.root)],
        cwd=project.folder,
        env={**os.environ, **project.environment, **me},
        stdout=subprocess.PIPE,
        text=True,
    )
    ran = oneshot(project, "run", "file.py", "--launcher", "local", **{**me, "MLFLOW_TRACKING_URI": "http://[::1]:9"})
    assert ran.returncode == 0, "a server that is away keeps no trial from running"
    assert "the trials run all the same" in ran.stderr
    told = follower.stdout.readline()
    while "8 trials" not in told:
        told = follower.stdout.readline()
    time.sleep(1)
    follower.send_signal(signal.SIGINT)
    assert follower.wait(timeout=60) == 130
