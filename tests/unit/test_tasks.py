import subprocess
import sys
from pathlib import Path

import pytest
from yacs.config import CfgNode

from orchestration.signature import flatten
from os2d import tasks
from os2d.config import default_config
from os2d.config_check import CHOICES, check_value
from os2d.data.eval_loader import _VIEWS
from os2d.errors import ConfigError, DataError
from os2d.modeling.backbone import ARCHITECTURES, CUTS
from os2d.run import MissingInput


def config_with(**overrides: object) -> CfgNode:
    config = default_config()
    config.merge_from_list([part for key, value in overrides.items() for part in (key.replace("__", "."), value)])
    return config


def test_planning_imports_no_torch() -> None:
    program = "import sys; from os2d import tasks; tasks.train.validate(tasks.train.default_config()); "
    program += "print([m for m in ('torch', 'pandas', 'ray', 'mlflow', 'submitit') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


def test_the_defaults_are_accepted() -> None:
    tasks.train.validate(default_config())
    tasks.evaluate.validate(default_config())
    for key, value in flatten(default_config()).items():
        check_value(key, value)


def test_names_of_the_check_are_the_names_that_exist() -> None:
    assert set(CHOICES["model.backbone_arch"]) == set(ARCHITECTURES)
    assert set(CHOICES["model.backbone_cut"]) == set(CUTS)
    assert set(CHOICES["eval.class_image_augmentation"]) == set(_VIEWS)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"train.optim.lr": -1.0}, r"train\.optim\.lr: expected a positive number, got -1\.0"),
        ({"train.optim.lr": float("nan")}, r"train\.optim\.lr.*nan"),
        ({"eval.iter": None}, r"eval\.iter: expected a value, got None"),
        (
            {"train.objective.class_objective": "BCE"},
            r"class_objective: expected one of RLL, ContrastiveLoss, got 'BCE'",
        ),
        ({"train.optim.optim_method": "adamm"}, r"optim_method.*did you mean adam"),
        ({"train.optim.anneal_lr.type": "cosine"}, r"anneal_lr\.type.*'cosine'"),
        ({"model.backbone_arch": ""}, r"model\.backbone_arch: expected one of ResNet18.*got ''"),
        ({"train.augment.scale_jitter": 0.0}, r"scale_jitter: expected a number in \(0, 1\], got 0\.0"),
        ({"eval.class_image_augmentation": "flip"}, r"class_image_augmentation.*'flip'"),
        ({"eval.mAP_iou_thresholds": []}, r"mAP_iou_thresholds: expected at least one number"),
        ({"eval.mAP_iou_thresholds": [0.501, 0.502]}, r"mAP_iou_thresholds.*first two decimals"),
        ({"eval.scales_of_image_pyramid": ["1"]}, r"scales_of_image_pyramid.*'1'"),
        ({"eval.dataset_scales": [1, 2, 3]}, r"dataset_scales: expected one scale, or one for each of the 2 names"),
        ({"eval.dataset_names": []}, r"dataset_names: expected at least one data set"),
        ({"eval.dataset_names": ["dairy", "Dairy"]}, r"dataset_names.*'dairy' twice"),
        ({"train.objective.negative_iou_threshold": 0.7}, r"negative_iou_threshold: expected at most .*0\.5"),
        ({"train.optim.anneal_lr.type": "MultiStepLR"}, r"reload_best_model_after_anneal_lr.*do_get_best_model"),
        (
            {"train.optim.anneal_lr.type": "multisteplr", "output.best_model.do_get_best_model": True},
            r"milestones: expected rising positive iterations, got \[\]",
        ),
        (
            {
                "train.optim.anneal_lr.type": "ReduceLROnPlateau",
                "train.optim.anneal_lr.reload_best_model_after_anneal_lr": False,
                "train.optim.anneal_lr.quantity_to_monitor": "mAP@0.50_dairy",
            },
            r"quantity_to_monitor: expected one of mAP@0\.50_grozi-val-new-cl.*got 'mAP@0\.50_dairy'",
        ),
        (
            {"output.best_model.do_get_best_model": True, "output.best_model.dataset": "dairy"},
            r"output\.best_model\.dataset: expected one of eval\.dataset_names.*'dairy'",
        ),
        (
            {"output.best_model.do_get_best_model": True, "output.best_model.metric": "mAP@0.75"},
            r"output\.best_model\.metric.*'mAP@0\.75'; did you mean mAP@0\.50",
        ),
        ({"train.model.train_features": False, "train.model.freeze_transform": True}, r"train_features.*nothing"),
        ({"visualization.eval.images_for_heatmaps": [1]}, r"images_for_heatmaps.*got 1 and 0"),
    ],
)
def test_what_cannot_work_is_refused(overrides: dict[str, object], message: str) -> None:
    config = config_with(**overrides)
    with pytest.raises(ConfigError, match=message):
        tasks.train.validate(config)


def test_no_annealing_in_any_case_needs_no_best_network() -> None:
    tasks.train.validate(config_with(train__optim__anneal_lr__type="None"))


@pytest.mark.parametrize("key", ["train.dataset_name", "eval.dataset_names"])
def test_unknown_data_sets_are_refused(key: str) -> None:
    config = config_with(**{key: "grozi" if key.startswith("train") else ["grozi"]})
    with pytest.raises(DataError, match="unknown data set 'grozi'"):
        tasks.train.validate(config)


def test_an_evaluation_reads_no_training_data(tmp_path: Path) -> None:
    config = config_with(
        train__dataset_name="grozi-train",
        eval__dataset_names=["shelf-val-new-cl"],
        runtime__data_root=str(tmp_path),
    )
    assert list(tasks.evaluate.fingerprints(config)) == ["shelf-val-new-cl"]
    assert isinstance(tasks.train.fingerprints(config)["grozi-train"], MissingInput)
