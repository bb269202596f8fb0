"""Tables from real trial folders and from a real store: both must give the same cells."""

import dataclasses
import math
import statistics

import pytest

from orchestration.describe import Column, Row, Table
from orchestration.ending import Outcome
from orchestration.errors import DescriptionError
from orchestration.runs import Runs
from orchestration.tables.build import build_table
from orchestration.tables.formats import render
from orchestration.tables.sources import FolderSource, MlflowSource
from orchestration.tracking.store_location import StoreError
from orchestration.tracking.sync import sync
from tests.unit.tracked_runs import no_store_from_outside as no_store_from_outside
from tests.unit.trial_folders import create, done, end, log, make_plan, make_trial, put_empty_store, start

MAP = "shelf/mAP@0.50"
PERCENT = Column("mAP", MAP, "last", scale=100.0)
BEST = Column("best", MAP, "max", scale=100.0)
LOSS = Column("loss", "loss", "min", digits=3, lower_is_better=True)
AT_BEST_VALIDATION = Column("selected", MAP, "max", scale=100.0, selection="validation")


def built(root, plan, *columns, rows=None, experiment="losses"):
    """Build the table from the folders and from MLflow, and insist that they agree."""
    table = Table("t", "A table", experiment, columns, rows)
    from_folders = build_table(table, plan, FolderSource(root))
    sync(root)
    from_mlflow = build_table(table, plan, MlflowSource(root))
    assert from_mlflow.cells == from_folders.cells
    assert from_mlflow.warnings == from_folders.warnings
    return from_folders


@pytest.fixture
def root(tmp_path):
    put_empty_store(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Three variants: complete, partly there, and one whose only seed logged NaN."""
    root = tmp_path_factory.mktemp("runs")
    put_empty_store(root)
    trials = [make_trial(variant, seed) for variant in ("v1", "v2") for seed in range(3)] + [make_trial("v3")]
    for trial in trials[:3]:
        curve = {10: 0.5 + 0.01 * trial.seed, 20: 0.4 + 0.02 * trial.seed}
        validation = {10: 0.1, 20: 0.2}
        done(root, trial, {MAP: curve, "loss": {5: 1.0 + trial.seed, 20: 0.5}, "validation": validation})
    done(root, trials[3], {MAP: {10: 0.9}, "loss": {10: 0.1}, "validation": {10: 0.1}})
    log(folder := create(root, trials[4]), 10, {MAP: 0.99})
    start(folder)
    end(start(create(root, trials[5])), Outcome.FAILED, "RuntimeError: out of cheese")
    done(root, trials[6], {MAP: {10: math.nan}, "validation": {10: 0.3}})
    plan = make_plan(trials)
    return built(root, plan, PERCENT, BEST, LOSS, AT_BEST_VALIDATION)


def cell(result, row, column):
    return next(c for cells in result.cells for c in cells if (c.row, c.column) == (row, column))


def test_rows_are_the_variants_in_their_order(full):
    assert full.rows == ("v1", "v2", "v3")


def test_a_complete_cell_is_mean_and_sample_deviation_in_the_columns_unit(full):
    found = cell(full, "v1", "mAP")
    assert (found.n, found.state, found.wanted, found.reason) == (3, "done", 3, "")
    assert found.mean == pytest.approx(42.0)
    assert found.std == pytest.approx(statistics.stdev([40.0, 42.0, 44.0]))
    assert dict(found.by_seed) == pytest.approx({0: 40.0, 1: 42.0, 2: 44.0})


def test_reductions_over_steps(full):
    assert cell(full, "v1", "best").mean == pytest.approx(51.0)
    assert cell(full, "v1", "loss").mean == pytest.approx(0.5)
    assert cell(full, "v1", "selected").mean == pytest.approx(42.0), "the step with the best validation"


def test_some_of_the_seeds_make_a_partial_cell(full):
    found = cell(full, "v2", "mAP")
    assert (found.mean, found.std, found.n, found.state) == (90.0, None, 1, "partial")
    assert found.reason == "1 of 3 seeds, 1 running, 1 failed (RuntimeError: out of cheese)"


def test_a_run_that_diverged_has_no_value(full):
    found = cell(full, "v3", "mAP")
    assert (found.mean, found.n, found.state) == (None, 0, "done")
    assert "has no finite number" in found.reason


def test_a_metric_that_was_not_logged_is_named(full):
    assert "metric 'loss' was not logged; logged were: shelf/mAP@0.50, validation" in cell(full, "v3", "loss").reason


def test_the_json_form(full):
    cells = full.as_json()
    assert len(cells) == 12
    assert set(cells[0]) == {"table", "row", "column", "mean", "std", "n", "state"}


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Outcome.FAILED, "failed"), (Outcome.CANCELLED, "cancelled"), (Outcome.PRUNED, "pruned"), (Outcome.LOST, "lost")],
)
def test_a_cell_without_results_says_why(root, outcome, state):
    trial = make_trial()
    end(start(create(root, trial)), outcome)
    (only,) = built(root, make_plan([trial]), PERCENT).cells
    assert (only[0].mean, only[0].state) == (None, state)


def test_trials_that_were_never_launched_are_planned_or_blocked(root):
    need = make_trial("need", experiment="first")
    blocked = make_trial("blocked", needs={"model": need.signature})
    planned = make_trial("planned")
    end(start(create(root, need)), Outcome.FAILED, "no")

    result = built(root, make_plan([need, blocked, planned]), PERCENT)

    assert [c.state for row in result.cells for c in row] == ["blocked", "planned"]
    assert result.cells[0][0].reason == "0 of 1 seeds, 1 blocked (needs need-seed0, which is failed)"


def test_a_cell_of_a_failed_a_running_and_a_missing_trial(root):
    trials = [make_trial("v", seed) for seed in range(4)]
    done(root, trials[0], {MAP: {1: 0.5}})
    end(start(create(root, trials[1])), Outcome.FAILED, "no boxes")
    start(create(root, trials[2]))
    result = built(root, make_plan(trials), PERCENT)
    only = result.cells[0][0]
    assert (only.mean, only.std, only.n, only.wanted, only.state) == (50.0, None, 1, 4, "partial")
    assert only.reason == "1 of 4 seeds, 1 failed, 1 running, 1 planned (no boxes)"
    assert "| v | 50.0 (1 of 4) |" in render(result, "markdown")
    assert result.best() == frozenset()


def test_a_trial_that_failed_again_says_how_often(root):
    folder = create(root, trial := make_trial())
    for _ in range(3):
        end(start(folder), Outcome.FAILED, "ValueError: no boxes")
    (row,) = built(root, make_plan([trial]), PERCENT).cells
    assert row[0].reason == "0 of 1 seeds, 1 failed (ValueError: no boxes (attempt 3))"


def test_a_trial_that_runs_or_waits_to_be_continued_is_told(root):
    running, waiting = make_trial("running"), make_trial("waiting")
    start(create(root, running))
    folder = create(root, waiting)
    end(start(folder), Outcome.PREEMPTED)
    Runs(root).ask(waiting, [])
    result = built(root, make_plan([running, waiting]), PERCENT)
    assert [row[0].state for row in result.cells] == ["running", "queued"]


def test_pruned_trials_never_count(root):
    trials = [make_trial("v", seed) for seed in range(2)]
    done(root, trials[0], {MAP: {1: 0.5}})
    log(folder := create(root, trials[1]), 1, {MAP: 0.1})
    end(start(folder), Outcome.PRUNED)

    (row,) = built(root, make_plan(trials), PERCENT).cells

    assert (row[0].mean, row[0].n, row[0].wanted, row[0].state) == (50.0, 1, 1, "done")
    assert row[0].reason == "1 pruned and not counted"


def test_a_trial_shared_by_two_experiments_is_read_for_both(root):
    trial = make_trial(experiment="first")
    done(root, trial, {MAP: {1: 0.5}})
    plan = make_plan([trial, dataclasses.replace(trial, experiment="second", variant="again")])
    assert built(root, plan, PERCENT, experiment="second").cells[0][0].mean == 50.0


def test_points_of_a_space_are_rows_of_their_own(root):
    trials = [make_trial("v", seed, point={"train.optim.lr": lr}) for lr in (0.1, 0.01) for seed in range(2)]
    for trial in trials:
        done(root, trial, {MAP: {1: trial.point["train.optim.lr"]}})
    result = built(root, make_plan(trials), PERCENT)
    assert result.rows == ("v, lr=0.1", "v, lr=0.01")
    assert [row[0].n for row in result.cells] == [2, 2]


def test_rows_select_by_variant_tags_and_point(root):
    trials = [make_trial("v", point={"lr": lr}, tags={"kind": f"k{lr}"}) for lr in (1, 2)] + [make_trial("w")]
    for value, trial in enumerate(trials):
        done(root, trial, {MAP: {1: value / 10}})
    rows = [
        Row("by tag", tags={"kind": "k2"}),
        Row("by point", variant="v", point={"lr": 1}),
        Row("other", variant="w"),
    ]
    result = built(root, make_plan(trials), PERCENT, rows=rows)
    assert [row[0].mean for row in result.cells] == pytest.approx([10.0, 0.0, 20.0])


def test_a_row_of_several_configurations_is_refused(tmp_path):
    trials = [make_trial("v", point={"lr": lr}) for lr in (1, 2)]
    table = Table("t", "A table", "losses", [PERCENT], [Row("both", variant="v")])
    with pytest.raises(DescriptionError, match="row 'both' matches 2 different configurations"):
        build_table(table, make_plan(trials), FolderSource(tmp_path))


def test_rows_and_experiments_that_do_not_exist_are_refused(tmp_path):
    plan = make_plan([make_trial()])
    with pytest.raises(DescriptionError, match="row 'x' matches no trial; the variants are: base"):
        build_table(Table("t", "T", "losses", [PERCENT], [Row("x", variant="x")]), plan, FolderSource(tmp_path))
    with pytest.raises(DescriptionError, match="there is no experiment 'other'; the file has: losses"):
        build_table(Table("t", "T", "other", [PERCENT]), plan, FolderSource(tmp_path))


def test_rows_that_mix_code_are_told(root):
    trials = [make_trial("v", seed) for seed in range(2)]
    for trial, commit in zip(trials, ("a" * 40, "b" * 40), strict=True):
        done(root, trial, {MAP: {1: 0.5}}, git={"commit": commit, "changed": []})
    (warning,) = built(root, make_plan(trials), PERCENT).warnings
    assert warning == "v: its trials ran different code (aaaaaaaaaa, bbbbbbbbbb)"


def test_a_store_that_was_never_written_is_named(tmp_path):
    table = Table("t", "T", "losses", [PERCENT])
    with pytest.raises(StoreError, match="run `oneshot sync` first"):
        build_table(table, make_plan([make_trial()]), MlflowSource(tmp_path))
