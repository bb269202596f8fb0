"""No key of the configuration is decoration: two real trainings read every one of them, and every flag draws."""

import csv
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from yacs.config import CfgNode

import os2d
from main import run_task
from os2d import tasks
from os2d.config import default_config
from os2d.data.shelf.store import draw_shelf
from tests.integration.published_files import SMALL_GROZI
from tests.small_case import SMALL_NETWORK

NOT_THE_WORK = ("config.py", "config_check.py", "data/fingerprint.py")
"""Files of the library that read keys without doing what they ask for."""

SMALL: dict[str, Any] = {
    **SMALL_NETWORK,
    "train.dataset_scale": 100.0,
    "train.batch_size": 2,
    "train.class_batch_size": 3,
    "train.augment.train_patch_width": 64,
    "train.augment.train_patch_height": 64,
    "eval.dataset_scales": [100.0],
    "eval.scales_of_image_pyramid": [1.0],
    "eval.train_subset_for_eval_size": 1,
    "runtime.num_workers": 0,
}

WITH_MINING: dict[str, Any] = {
    "train.optim.max_iter": 2,
    "train.optim.anneal_lr.type": "ReduceLROnPlateau",
    "train.optim.anneal_lr.quantity_to_monitor": "mAP@0.50_data-val-new-cl",
    "train.mining.do_mining": True,
    "train.mining.num_random_negative_classes": 1,
    "train.augment.random_flip_batches": True,
    "train.augment.random_color_distortion": True,
    "train.augment.random_crop_class_images": True,
    "train.augment.mine_extra_class_images": True,
    "eval.iter": 1,
    "output.save_log_to_file": True,
    "output.best_model.do_get_best_model": True,
    "visualization.eval.show_gt_boxes": True,
    "visualization.eval.show_detections": True,
    "visualization.eval.show_class_heatmaps": True,
    "visualization.train.show_gt_boxes_dataloader": True,
    "visualization.train.show_detections": True,
    "visualization.train.show_target_remapping": True,
    "visualization.mining.show_gt_boxes": True,
    "visualization.mining.show_class_heatmaps": True,
    "visualization.mining.show_mined_patches": True,
}

WITH_MILESTONES: dict[str, Any] = {
    "train.optim.max_iter": 2,
    "train.optim.anneal_lr.type": "MultiStepLR",
    "train.optim.anneal_lr.milestones": [1],
    "eval.iter": 1,
    "output.best_model.do_get_best_model": True,
}


def leaves(node: CfgNode, prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        if isinstance(value, CfgNode):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def give_paths(node: CfgNode, prefix: str = "") -> None:
    """Let every node know where it is in the tree; copies of it know too."""
    node.__dict__["prefix"] = prefix
    for name, value in node.items():
        if isinstance(value, CfgNode):
            give_paths(value, f"{prefix}{name}.")


def recording(found: set[str]) -> Callable[[Any], Any]:
    """Return what makes a way of reading a key remember the key, where the work is done."""
    library = Path(os2d.__file__).parent

    def recorded(read: Any) -> Any:
        def wrapper(node: CfgNode, name: str) -> Any:
            file = Path(sys._getframe(1).f_code.co_filename)
            own = str(file.relative_to(library)) if file.is_relative_to(library) else file.name
            if own == "main.py" or (file.is_relative_to(library) and own not in NOT_THE_WORK):
                found.add(node.__dict__.get("prefix", "") + str(name))
            return read(node, name)

        return wrapper

    return recorded


def run(folder: Path, data: Path, values: dict[str, Any]) -> None:
    config = default_config()
    names = {"train.dataset_name": f"custom:{data}#train", "eval.dataset_names": [f"custom:{data}#val-new-cl"]}
    changed = SMALL | values | names | {"output.path": str(folder)}
    config.merge_from_list([part for item in changed.items() for part in item])
    tasks.train.validate(config)
    give_paths(config)
    config.freeze()
    run_task(config)


@dataclass(frozen=True)
class Done:
    """Two trainings that used everything: the keys that were read, and the folder of the one with pictures."""

    read_keys: set[str]
    folder: Path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    folder = tmp_path_factory.mktemp("runs")
    data = folder / "data"
    draw_shelf(data, SMALL_GROZI)
    drawn = find_annotated(data)
    pairs = {
        f"visualization.{branch}.{kind}_for_heatmaps": [number]
        for branch, split in (("eval", "val-new-cl"), ("mining", "train"))
        for kind, number in zip(("images", "labels"), drawn[split], strict=True)
    }
    detections = {"visualization.eval.path_to_save_detections": str(folder / "detections")}
    read_keys: set[str] = set()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with pytest.MonkeyPatch.context() as patch:
        recorded = recording(read_keys)
        patch.setattr(CfgNode, "__getattr__", recorded(CfgNode.__getattr__))
        patch.setattr(CfgNode, "__getitem__", recorded(CfgNode.__getitem__), raising=False)
        run(folder / "mining", data, WITH_MINING | pairs | detections)
        run(folder / "milestones", data, WITH_MILESTONES)
    yield Done(read_keys, folder)
    root.handlers[:], root.level = handlers, level


def find_annotated(data: Path) -> dict[str, tuple[int, int]]:
    """Return an image and a class that is annotated in it, for every split."""
    with (data / "classes" / "shelf.csv").open(newline="") as file:
        return {row["split"]: (int(row["imageid"]), int(row["classid"])) for row in csv.DictReader(file)}


@pytest.mark.slow
def test_every_key_is_read_where_the_work_is_done(done: Done) -> None:
    unread = sorted(set(leaves(default_config())) - done.read_keys)
    assert not unread, "no code reads " + ", ".join(unread)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flag", "pattern"),
    [
        ("train.show_gt_boxes_dataloader", "train/step_00000000/image_*_ground_truth.png"),
        ("train.show_detections", "train/step_00000000/image_*_detections.png"),
        ("train.show_target_remapping", "train/step_00000000/image_*_class_*_targets.png"),
        ("eval.show_gt_boxes", "eval/data-val-new-cl/**/image_*_ground_truth.png"),
        ("eval.show_detections", "eval/data-val-new-cl/**/image_*_detections.png"),
        ("eval.show_class_heatmaps", "eval/data-val-new-cl/**/image_*_class_*.png"),
        ("mining.show_gt_boxes", "mining/data-train/step_00000000/image_*_ground_truth.png"),
        ("mining.show_class_heatmaps", "mining/data-train/step_00000000/image_*_class_*.png"),
        ("mining.show_mined_patches", "mining/data-train/step_00000000/image_*_patches.png"),
    ],
)
def test_every_flag_draws(done: Done, flag: str, pattern: str) -> None:
    assert list((done.folder / "mining/artifacts/pictures").glob(pattern)), flag


@pytest.mark.slow
def test_nothing_is_drawn_unasked(done: Done) -> None:
    drawn = (done.folder / "milestones/artifacts/pictures").rglob("*.png")
    assert sorted(path.name for path in drawn) == [
        "data-train-subset1-worst.png",
        "data-train-subset1.png",
        "data-val-new-cl-worst.png",
        "data-val-new-cl.png",
    ]
