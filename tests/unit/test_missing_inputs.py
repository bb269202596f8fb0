"""Plans on a machine that lacks data and weights: everything missing is told, and nothing is started."""

import json

import pytest

from orchestration.describe import Column, Experiment, Table, Variant
from orchestration.errors import DescriptionError
from orchestration.listing import plan_records
from orchestration.missing_inputs import missing_inputs, require_inputs
from orchestration.plan import plan
from orchestration.runs import Runs
from orchestration.script import run_script
from orchestration.tables.build import build_table
from orchestration.tables.sources import FolderSource

FILE = """
from orchestration.describe import Column, Experiment, Table, Variant
from orchestration.script import main

reading = Experiment(
    "reading",
    "os2d.tasks:evaluate",
    {"is_cuda": False, "init.model": "models/os2d_v2-train.pth", "eval.dataset_scales": [1280.0]},
    [Variant(name, {"eval.dataset_names": [name]}) for name in ("grozi-val-new-cl", "grozi-val-old-cl", "dairy")],
    trial_name="{variant}",
)

if __name__ == "__main__":
    main(__file__)
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONESHOT_DATA", raising=False)
    path = tmp_path / "file.py"
    path.write_text(FILE)
    return path


def planned(**config):
    evaluation = {"is_cuda": False, "eval.dataset_scales": [1280.0], **config}
    return plan([Experiment("e", "os2d.tasks:evaluate", evaluation)])


def test_what_one_command_brings_is_told_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [Variant(name, {"eval.dataset_names": [name]}) for name in ("grozi-val-new-cl", "grozi-val-old-cl")]
    config = {"is_cuda": False, "init.model": "models/resnet50-19c8e357.pth", "eval.dataset_scales": [1280.0]}
    data, weights = missing_inputs(plan([Experiment("e", "os2d.tasks:evaluate", config, names)]).trials)
    assert data.text.startswith("data set grozi-val-new-cl, data set grozi-val-old-cl; to get it:")
    assert data.how.startswith("to get it: oneshot data fetch grozi;")
    assert weights.text == (
        "init.model: models/resnet50-19c8e357.pth: no such weights file; "
        "get it: oneshot models fetch resnet50-torchvision"
    )
    assert (len(data.trials), len(weights.trials)) == (2, 2)


def test_a_trial_is_another_one_when_its_weights_are_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {"init.model": "own.pth", "eval.dataset_names": ["shelf-val-new-cl"]}
    (absent,) = planned(**config).trials
    (tmp_path / "own.pth").write_bytes(b"weights")
    (present,) = planned(**config).trials
    assert absent.signature != present.signature
    assert (len(missing_inputs([absent])), missing_inputs([present])) == (1, [])
    require_inputs([present])
    with pytest.raises(DescriptionError, match=r"nothing was started.*\n  init.model: own.pth: no such weights file"):
        require_inputs([absent])


def test_programs_read_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    missing = planned(**{"eval.dataset_names": ["dairy"]})
    states = Runs(tmp_path / "runs").states(missing.trials)
    (record,) = json.loads(json.dumps(plan_records(missing, states)))
    assert list(record["missing"]) == ["dairy"]
    assert "oneshot data fetch retail" in record["missing"]["dairy"]


def test_a_table_says_what_its_cells_wait_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    missing = planned(**{"eval.dataset_names": ["dairy"]})
    table = Table("t", "T", "e", [Column("mAP", "mAP@0.50_dairy")])
    ((cell,),) = build_table(table, missing, FolderSource(tmp_path / "runs")).cells
    assert cell.state == "planned"
    assert "data set dairy; to get it: oneshot data fetch retail" in cell.reason


@pytest.mark.parametrize("flags", [[], ["--no-launch"], ["--job-names", "dairy"]])
def test_a_script_creates_nothing_when_its_data_are_missing(file, flags):
    before = sorted(file.parent.iterdir())
    with pytest.raises(DescriptionError, match="this machine lacks what the trials read") as caught:
        run_script(file, flags)
    assert ("grozi-val-new-cl" in str(caught.value)) == (flags != ["--job-names", "dairy"])
    assert [path for path in sorted(file.parent.iterdir()) if path.name != "__pycache__"] == before


def test_jobs_are_listed_all_the_same(file, capsys):
    assert run_script(file, ["--list"]) == 0
    listed = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert listed == ["reading/grozi-val-new-cl", "reading/grozi-val-old-cl", "reading/dairy"]
