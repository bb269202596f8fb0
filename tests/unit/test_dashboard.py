"""The command that shows the store."""

import os
import socket
import subprocess
import sys

import pytest

from orchestration.dashboard import dashboard_command
from orchestration.open_page import wait_for
from orchestration.tracking.store_location import StoreError, StoreLocation
from tests.unit.tracked_runs import no_store_from_outside as no_store_from_outside


def test_it_serves_the_store_of_the_runs_without_jobs_or_telemetry(tmp_path):
    dashboard = dashboard_command(tmp_path, port=5812)

    assert dashboard.argv == (
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"),
        *("--artifacts-destination", f"file://{tmp_path}/mlartifacts"),
        *("--host", "127.0.0.1", "--port", "5812", "--workers", "1"),
    )
    assert dashboard.environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert dashboard.environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert dashboard.url.startswith("http://127.0.0.1:5812/")


def test_the_store_does_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert StoreLocation.resolve(tmp_path / "runs") == StoreLocation.resolve((tmp_path / "runs").relative_to(tmp_path))


def test_argument_wins_over_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://one:1")
    assert StoreLocation.resolve(tmp_path).uri == "http://one:1"
    assert StoreLocation.resolve(tmp_path, "http://two:2").uri == "http://two:2"


def test_a_folder_is_refused_as_store(tmp_path):
    with pytest.raises(StoreError, match="no longer keeps runs in a folder"):
        StoreLocation.resolve(tmp_path, str(tmp_path / "mlruns"))


def test_a_store_that_cannot_be_written_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StoreError, match=f"cannot write into {file}"):
        dashboard_command(file / "runs")


def test_an_experiment_that_the_store_does_not_have_is_told(tmp_path):
    dashboard = dashboard_command(tmp_path, "losses")
    assert dashboard.url.endswith("/#/experiments")
    assert "has no experiment 'losses': run `oneshot sync`" in dashboard.missing
    assert dashboard_command(tmp_path).missing == ""


def test_a_browser_waits_for_the_server(tmp_path):
    """The browser is a program that writes down what it is asked to show."""
    browser, shown = tmp_path / "browser", tmp_path / "shown"
    browser.write_text(f'#!/bin/sh\necho "$1" > {shown}\n')
    browser.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/#/experiments/1/runs"
        environment = {**os.environ, "BROWSER": f"{browser} %s"}
        subprocess.run([sys.executable, "-m", "orchestration.open_page", url], env=environment, check=True)
    assert shown.read_text().strip() == url
    assert not wait_for(url, seconds=0.5)
