"""The descriptions of OneNet's trainings plan where their data and weights are."""

from pathlib import Path

import pytest
import torch

from experiments import onenet_bccd, onenet_coco
from orchestration.plan import plan
from tests.unit.onenet_dataset import annotation, write_annotations

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
    found = plan([onenet_coco.coco, onenet_coco.evaluation, onenet_coco.table])
    published = ["R18_dcn-seed0", "R18_nodcn-seed0", "R50_dcn-seed0", "R50_nodcn-seed0"]
    assert sorted(trial.name for trial in found.trials) == sorted(2 * published)
    assert len({trial.signature for trial in found.trials}) == 8
    evaluations = found.trials_of("onenet-coco-evaluation")
    trainings = {trial.signature: trial.name for trial in found.trials_of("onenet-coco")}
    assert [trainings[trial.needs["model"]] for trial in evaluations] == [trial.name for trial in evaluations]
