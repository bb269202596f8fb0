"""A real MLflow server: down, up, and shown by the dashboard command."""

import time

import pytest

from orchestration.dashboard import dashboard_command
from orchestration.describe import Column, Table
from orchestration.distributed.node import free_port
from orchestration.tables.build import build_table
from orchestration.tables.sources import FolderSource, MlflowSource
from orchestration.tracking.mlflow_store import MlflowStore
from orchestration.tracking.store_location import StoreError, StoreLocation
from orchestration.tracking.sync import Follower, sync
from tests.integration.mlflow_server import answers, served
from tests.unit.tracked_runs import no_store_from_outside as no_store_from_outside
from tests.unit.trial_folders import create, done, finish, log, make_plan, make_trial, start

MAP = "shelf/mAP@0.50"


@pytest.mark.slow
def test_a_server_that_is_down_costs_seconds_and_nothing_is_lost(tmp_path, caplog):
    runs, server_folder, port = tmp_path / "runs", tmp_path / "server", free_port()
    server_folder.mkdir()
    uri = f"http://127.0.0.1:{port}"
    trial = make_trial()
    folder = create(runs, trial)
    attempt = start(folder)
    log(folder, 1, {MAP: 0.25})

    began = time.monotonic()
    with pytest.raises(StoreError, match="the server does not answer"):
        sync(runs, tracking_uri=uri)
    follower = Follower(runs, tracking_uri=uri, seconds=0.1)
    for _ in range(20):
        follower.tick()
        time.sleep(0.05)
    assert time.monotonic() - began < 20
    assert caplog.text.count("does not answer") == 1, "told once, not at every tick"

    log(folder, 2, {MAP: 0.5})
    (folder.artifacts / "pictures").mkdir(parents=True)
    (folder.artifacts / "pictures" / "a.png").write_bytes(b"picture")
    finish(folder, attempt, {MAP: 0.5})
    with served(dashboard_command(server_folder, port=port), tmp_path / "server.log") as address:
        report = follower.close()
        assert report is not None
        assert (report.created, report.points) == (1, 2)
        assert sync(runs, tracking_uri=uri).points == 0

        (run,) = MlflowStore(StoreLocation.resolve(runs, uri)).runs({"oneshot.kind": "trial"})
        assert run.status == "FINISHED"
        assert answers(f"{address}/get-artifact?path=pictures/a.png&run_uuid={run.run_id}")
        table = Table("t", "T", "losses", [Column("mAP", MAP, "max")])
        plan = make_plan([trial])
        from_server = build_table(table, plan, MlflowSource(runs, uri))
        assert from_server.cells == build_table(table, plan, FolderSource(runs)).cells
        assert from_server.cells[0][0].mean == 0.5


@pytest.mark.slow
def test_the_dashboard_shows_the_store_of_the_runs(tmp_path):
    folder = done(tmp_path, make_trial(), {MAP: {1: 0.5}})
    (folder.artifacts / "pictures").mkdir(parents=True)
    sync(tmp_path)
    dashboard = dashboard_command(tmp_path, experiment="losses", port=free_port())

    with served(dashboard, tmp_path / "server.log") as address:
        store = MlflowStore(StoreLocation.resolve(tmp_path, address))
        experiment_id = store.experiment_id("losses")
        assert dashboard.url == f"{address}/#/experiments/{experiment_id}/runs"
        assert answers(f"{address}/")
        (run,) = store.runs({"oneshot.kind": "trial"})
        assert answers(f"{address}/get-artifact?path=config.yaml&run_uuid={run.run_id}")
