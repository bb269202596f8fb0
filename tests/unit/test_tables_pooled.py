"""Cells that rows and columns select together, and cells that pool many metrics of many jobs."""

import math
import statistics

import pytest

from orchestration.describe import Column, Row, Table
from orchestration.ending import Outcome
from orchestration.errors import DescriptionError
from orchestration.tables.build import build_table
from orchestration.tables.pooling import matching_names
from orchestration.tables.sources import FolderSource, MlflowSource
from orchestration.tracking.sync import sync
from tests.unit.trial_folders import create, done, end, make_plan, make_trial, put_empty_store, start

EPISODES = "mAP@0.50_episode-*"
POOLED = Column("mAP", EPISODES, scale=100, digits=2, values=25)
SETS = ["dairy", "paste"]


def episodes(first, count):
    return {f"mAP@0.50_episode-{number}": {0: number / 100} for number in range(first, first + count)}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Two systems on two sets, and three jobs of ten episodes of which one lacks some and one failed."""
    root = tmp_path_factory.mktemp("runs")
    put_empty_store(root)
    trials = []
    for i, system in enumerate(("ours", "theirs")):
        for j, data in enumerate(SETS):
            trial = make_trial(f"{system}-{data}", tags={"system": system, "data": data}, config={"data": data})
            if (system, data) != ("theirs", "paste"):
                done(root, trial, {f"mAP@0.50_{data}": {1: 0.1 * i + 0.2 * j}})
                trials.append(trial)
    jobs = [make_trial(f"job{i}", tags={"system": "episodes"}, config={"job": i}) for i in range(3)]
    done(root, jobs[0], {**episodes(0, 10), "mAP@0.50_other": {0: 0.9}, "xmAP@0.50_episode-1": {0: 0.9}})
    done(root, jobs[1], {**episodes(10, 4), "mAP@0.50_episode-14": {0: math.nan}})
    end(start(create(root, jobs[2])), Outcome.FAILED, "no such episode")
    sync(root)
    return root, make_plan(trials + jobs)


def built(project, columns, rows):
    root, plan = project
    table = Table("t", "A table", "losses", columns, rows)
    from_folders, from_mlflow = (build_table(table, plan, source(root)) for source in (FolderSource, MlflowSource))
    assert from_folders.cells == from_mlflow.cells
    return from_mlflow


COLUMNS = [Column(data, f"mAP@0.50_{data}", scale=100, tags={"data": data}) for data in SETS]


def test_a_cell_is_what_its_row_and_its_column_select(project):
    rows = [
        Row("ours", tags={"system": "ours"}),
        Row("theirs", tags={"system": "theirs"}, not_applicable={"paste": "knows no paste"}),
        Row("square", unfilled="nobody wrote it"),
    ]
    result = built(project, COLUMNS, rows)
    means = [[cell.mean for cell in row] for row in result.cells]
    assert means == [[pytest.approx(0.0), pytest.approx(20.0)], [pytest.approx(10.0), None], [None, None]]
    assert [cell.state for cell in result.cells[1]] == ["done", "not applicable"]
    assert result.gaps() == ["theirs, paste: knows no paste", "square: nobody wrote it"]


def test_an_empty_cell_that_is_not_declared_is_refused(project):
    with pytest.raises(DescriptionError, match=r"row 'theirs', column 'paste': no trial .* losses/theirs-dairy-seed0;"):
        built(project, COLUMNS, [Row("theirs", tags={"system": "theirs"})])


def test_cells_lead_to_their_runs(project):
    result = built(project, [POOLED], [Row("all", tags={"system": "episodes"})])
    assert "/#/compare-runs?runs=%5B%22" in result.cells[0][0].address
    single = built(project, COLUMNS[:1], [Row("ours", tags={"system": "ours"})]).cells[0][0].address
    assert single.startswith("http://127.0.0.1:5000/#/experiments/")


def test_pooled_values_of_all_jobs_make_one_mean(project):
    (row,) = built(project, [POOLED], [Row("all", tags={"system": "episodes"})]).cells
    values = [float(number) for number in range(14)]
    assert row[0].mean == pytest.approx(statistics.fmean(values))
    assert row[0].std == pytest.approx(statistics.stdev(values))
    assert (row[0].n, row[0].wanted, row[0].state) == (14, 25, "partial")


def test_what_is_missing_of_a_pool_is_told(project):
    (row,) = built(project, [POOLED], [Row("all", tags={"system": "episodes"})]).cells
    assert row[0].reason == ("14 of 25 values; 1 without a finite number; 2 of 3 trials, 1 failed (no such episode)")


def test_a_full_pool_is_done(project):
    columns = [
        Column("mean", EPISODES, values=10),
        Column("largest", EPISODES, statistic="max"),
        Column("smallest", EPISODES, statistic="min"),
    ]
    (row,) = built(project, columns, [Row("first", variant="job0")]).cells
    assert [cell.state for cell in row] == ["done"] * 3
    assert [cell.mean for cell in row] == pytest.approx([0.045, 0.09, 0.0])


def test_a_pattern_means_whole_names():
    names = ["episode-1", "episode-10", "an episode-1", "loss_at_1", "loss@2"]
    assert matching_names("episode-1", names) == ["episode-1"]
    assert matching_names("episode-*", names) == ["episode-1", "episode-10"]
    assert matching_names("loss@*", names) == matching_names("loss_at_*", names) == ["loss@2", "loss_at_1"]
    assert matching_names("episode.1*", names) == [], "a dot is a dot"


def test_settings_of_pools_belong_to_pools():
    with pytest.raises(DescriptionError, match="values and statistic are of pooled metrics; 'loss' has no \\*"):
        Column("a", "loss", values=3)
