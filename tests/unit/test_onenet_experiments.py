"""The descriptions of OneNet's trainings plan where their data and weights are."""

from pathlib import Path

import pytest
import torch

from baselines.onenet import config as config_module
from baselines.onenet.config import NEUTRAL_KEYS
from baselines.onenet.config_file import read_config
from experiments import onenet_bccd, onenet_coco
from orchestration.describe import Experiment
from orchestration.missing_inputs import missing_inputs
from orchestration.plan import plan
from orchestration.signature import flatten, is_neutral
from tests.unit.onenet_dataset import annotation, write_annotations

CONFIGS = Path(config_module.__file__).with_name("configs")
README_MODELS = [
    ("R18_dcn", "onenet.res18.dcn"),
    ("R18_nodcn", "onenet.res18.nodcn"),
    ("R50_dcn", "onenet.res50.dcn"),
    ("R50_nodcn", "onenet.res50.nodcn"),
    ("R50_RetinaNet", "onenet.retinanet.res50"),
    ("R50_FCOS", "onenet.fcos.res50"),
]
CROWDHUMAN_MODELS = [
    ("R50_RetinaNet", "onenet.retinanet.res50.crowdhuman"),
    ("R50_FCOS", "onenet.fcos.res50.crowdhuman"),
]

CELLS = {1: "RBC", 2: "WBC", 3: "Platelets"}
COCO = {id: f"class {id}" for id in range(1, 81)}


def write_data(root: Path, files: dict[str, str], categories: dict[int, str]) -> None:
    """Write annotation files of one image each, annotations -> folder of images; planners do not look into images."""
    for number, (annotations, images) in enumerate(files.items(), start=1):
        (root / images).mkdir(parents=True)
        (root / images / f"{number}.png").write_bytes(b"")
        (root / annotations).parent.mkdir(parents=True, exist_ok=True)
        found = [annotation(number, number, 1, [1, 1, 5, 5])]
        write_annotations(root / annotations, {number: (8, 8)}, found, categories)


def test_the_trainings_on_blood_cells_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"bccd/annotations/instances_{part}.json": f"bccd/{part}" for part in ("train", "val")}
    write_data(tmp_path, files, CELLS)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    one = onenet_bccd
    found = plan([one.bccd, one.short, one.table, one.short_table])
    assert [trial.name for trial in found.trials] == ["minimum cost-seed0", "Hungarian-seed0", "minimum cost-seed0"]
    assert found.trials[-1].resources.gpus == 0


def test_the_sweep_over_the_readme_models_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"coco/annotations/instances_{part}2017.json": f"coco/{part}2017" for part in ("train", "val")}
    write_data(tmp_path / "datasets", files, COCO)
    for weights in ("torchvision-R-18.pkl", "detectron2/ImageNetPretrained/torchvision/R-50.pkl"):
        path = tmp_path / "models" / weights
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({}, path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)
    found = plan([onenet_coco.coco, onenet_coco.coco_evaluation, onenet_coco.coco_table])
    published = [f"{name}-seed0" for name, _ in README_MODELS]
    assert sorted(trial.name for trial in found.trials) == sorted(2 * published)
    assert len({trial.signature for trial in found.trials}) == 12
    evaluations = found.trials_of("onenet-coco-evaluation")
    trainings = {trial.signature: trial.name for trial in found.trials_of("onenet-coco")}
    assert [trainings[trial.needs["model"]] for trial in evaluations] == [trial.name for trial in evaluations]


def test_the_readme_models_plan_without_data_and_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)
    found = plan([onenet_coco.coco, onenet_coco.coco_evaluation])
    data, resnet18, resnet50 = (missing.text for missing in missing_inputs(found.trials))
    assert data.startswith("data set coco_2017_train, data set coco_2017_val; to get it: download train2017, val2017")
    assert "oneshot models fetch resnet18-torchvision" in resnet18
    assert resnet50.endswith("get it: oneshot models fetch resnet50-detectron2")


@pytest.mark.parametrize(
    ("experiment", "name", "file"),
    [(onenet_coco.coco, *model) for model in README_MODELS]
    + [(onenet_coco.crowdhuman, *model) for model in CROWDHUMAN_MODELS],
)
def test_settings_are_those_of_the_published_configurations(
    experiment: Experiment, name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (trial,) = (trial for trial in plan([experiment]).trials if trial.variant == name)
    published = flatten(read_config(CONFIGS / f"{file}.yaml"))
    ours = flatten(trial.config)
    neutral = is_neutral(NEUTRAL_KEYS, "SEED")
    unequal = {
        key: (value, ours[key])
        for key, value in published.items()
        if not neutral(key) and ours[key] != (list(value) if isinstance(value, tuple) else value)
    }
    assert unequal == {}
