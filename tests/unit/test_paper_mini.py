"""The paper in miniature has the structure of the paper, and finds all it needs in the miniature of the data."""

from pathlib import Path

import pytest

from experiments.mini_settings import ONE_CORE, changes
from experiments.paper_mini import PAPER, describe
from orchestration.derive import Derivation
from orchestration.errors import DescriptionError
from orchestration.plan import plan
from orchestration.signature import flatten
from os2d.miniature.weights import OF_BASELINES, OF_OS2D

FOLDER = Path("/nowhere/miniature")
"""Nothing is written or read: a plan of what is missing has the same structure."""
WEIGHTS = ("init.model", "init.transform", "init.network", "init.whitening", "MODEL.WEIGHT", "MODEL.WEIGHTS")


@pytest.fixture(scope="module")
def planned():
    derivation = Derivation(lambda name: f"mini-{name}", changes(FOLDER), ONE_CORE)
    return plan([derivation.table(table, table.title) for table in PAPER.values()])


@pytest.fixture(scope="module")
def original():
    return plan(list(PAPER.values()))


def test_every_trial_of_the_paper_has_its_counterpart(planned, original):
    def requests(one, prefix):
        return [(f"{prefix}{entry.experiment}", entry.name, dict(entry.tags)) for entry in one.entries]

    assert requests(planned, "") == requests(original, "mini-")
    assert len(planned.trials) == len(original.trials)


def test_the_tables_keep_their_cells(planned):
    assert [table.name for table in planned.tables] == [f"mini-{table.name}" for table in PAPER.values()]
    for made, table in zip(planned.tables, PAPER.values(), strict=True):
        assert [row.title for row in made.rows] == [row.title for row in table.rows]
        assert [column.name for column in made.columns] == [column.name for column in table.columns]
        assert not made.published


def test_trials_need_one_core_and_no_card(planned):
    for trial in planned.trials:
        config = flatten(trial.config)
        assert trial.resources == ONE_CORE
        assert config.get("is_cuda", False) is False
        assert config.get("MODEL.DEVICE", "cpu") == "cpu"


def test_every_weights_file_is_one_of_the_miniature(planned):
    written = {str(FOLDER / file.path) for file in (*OF_OS2D, *OF_BASELINES)}
    named = {flatten(trial.config).get(key, "") for trial in planned.trials for key in WEIGHTS} - {""}
    assert named == written


def test_each_of_the_ten_jobs_of_the_episodes_has_another_one(planned):
    for experiment in ("mini-imagenet_eval", "mini-detret_imagenet_eval"):
        names = [flatten(trial.config)["eval.dataset_names"] for trial in planned.trials_of(experiment)]
        assert {tuple(one) for one in names} == {(f"imagenet-repmet-test-episode-{k}",) for k in range(10)}


def test_an_unknown_table_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DescriptionError, match="there is no table '5'; there are: 1, 2, 3, 4, imagenet, onenet"):
        describe(tmp_path / "data", "1,5")
    assert not (tmp_path / "data").exists()
