"""Every picture of `visualization`, drawn from a real batch, a real network and real files."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from yacs.config import CfgNode

from os2d import tasks
from os2d.config import default_config
from os2d.console import ConsoleRun
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.data.eval_loader import EvalImages
from os2d.data.shelf.store import draw_shelf
from os2d.data.train_loader import TrainBatches
from os2d.engine.hard_patch import MinedPatch
from os2d.engine.pictures import PICTURED_BATCHES, PICTURED_IMAGES, Pictures
from os2d.errors import ConfigError
from os2d.modeling.network import Os2d, build_os2d
from os2d.modeling.objective import Os2dObjective
from os2d.structures.boxes import BoxList
from tests.small_case import SMALL_SHELF

MakeConfig = Callable[..., CfgNode]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "small"
    parameters = replace(
        SMALL_SHELF, train_images=4, image_size=160, class_image_size=64, objects=(3, 4), product_px=(36.0, 54.0)
    )
    draw_shelf(folder, parameters)
    return folder


@pytest.fixture(scope="module")
def make_config(shelf: Path) -> MakeConfig:
    values: dict[str, object] = {
        "is_cuda": False,
        "model.backbone_arch": "ResNet18",
        "model.backbone_cut": "layer2",
        "model.template_grid": 7,
        "model.template_border": 1,
        "model.class_image_size": 64,
        "model.transform_net.kernel_sizes": [3, 3, 3],
        "model.transform_net.channels": [8, 8],
        "train.dataset_name": f"custom:{shelf}#train",
        "train.dataset_scale": 160.0,
        "train.batch_size": 2,
        "train.class_batch_size": 3,
        "train.augment.train_patch_width": 96,
        "train.augment.train_patch_height": 96,
        "train.mining.do_mining": True,
        "train.mining.num_hard_patches_per_image": 3,
        "train.mining.mine_hard_patches_iter": 100,
        "train.optim.max_iter": 1,
        "eval.dataset_names": [f"custom:{shelf}#val-new-cl"],
        "eval.dataset_scales": [160.0],
        "eval.scales_of_image_pyramid": [0.8, 1.0],
        "output.save_iter": 0,
        "runtime.num_workers": 0,
    }

    def make(*switched_on: str, **overrides: object) -> CfgNode:
        config = default_config()
        flags = {f"visualization.{name}": True for name in switched_on}
        changed = {**values, **flags, **{name.replace("__", "."): value for name, value in overrides.items()}}
        config.merge_from_list([part for item in changed.items() for part in item])
        tasks.train.validate(config)
        config.freeze()
        return config

    return make


@pytest.fixture
def run(tmp_path: Path) -> Iterator[ConsoleRun]:
    with ConsoleRun(tmp_path, seed=0) as run:
        yield run


def drawn(run: ConsoleRun) -> list[str]:
    """Return the names of the pictures; every one can be opened and shows more than one colour."""
    folder = run.dir / "artifacts" / "pictures"
    paths = sorted(folder.rglob("*.png"))
    for path in paths:
        assert np.asarray(Image.open(path).convert("L")).std() > 1, path
    return [str(path.relative_to(folder)) for path in paths]


def colour_share(path: Path, rgb: tuple[int, int, int]) -> float:
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return float((np.abs(pixels - rgb).max(axis=2) < 40).mean())


def a_network(config: CfgNode) -> tuple[Os2d, DatasetOneShotDetection, TrainBatches]:
    model = build_os2d(config)
    dataset = build_dataset(config.train.dataset_name, Path())
    return model, dataset, TrainBatches(dataset, config, model.box_coder, seed=0)


def draw_training(config: CfgNode, run: ConsoleRun, iteration: int = 0) -> None:
    model, _, batches = a_network(config)
    batch = batches[0]
    pictures = Pictures(config, run)
    pictures.training_batch(batch, iteration)
    model.train(freeze_bn_in_extractor=True, freeze_bn_transform=True)
    matches = model(images=batch.images, class_images=batch.class_images, train_mode=True, fine_tune_features=True)
    remapped = model.box_coder.remap_targets(matches.loc_scores, batch.boxes, matches.fm_size)
    losses = Os2dObjective.from_config(config)(
        matches.loc_scores,
        batch.loc_targets,
        matches.class_scores,
        batch.cls_targets,
        cls_targets_remapped=remapped.targets,
        cls_preds_for_neg=matches.class_scores_detached,
    )
    pictures.keep_gradients(matches, iteration)
    losses["loss"].backward()
    per_element = losses["class_loss_per_element_detached_cpu"]
    pictures.target_remapping(batch, matches, remapped, per_element, iteration)
    pictures.training_detections(batch, matches, model.box_coder, iteration)


TRAINING_FLAGS = ("train.show_gt_boxes_dataloader", "train.show_detections", "train.show_target_remapping")


def test_pictures_of_a_training_step_tell_step_and_image(make_config: MakeConfig, run: ConsoleRun) -> None:
    draw_training(make_config(*TRAINING_FLAGS), run)
    names = drawn(run)
    assert {name.split("/")[1] for name in names} == {"step_00000000"}
    kinds = [name.rpartition("_")[2] for name in names]
    assert kinds.count("truth.png") == kinds.count("detections.png") == 2
    assert kinds.count("targets.png") >= 2


@pytest.mark.parametrize("flag", TRAINING_FLAGS)
def test_a_flag_of_training_draws_its_own_pictures_alone(make_config: MakeConfig, run: ConsoleRun, flag: str) -> None:
    draw_training(make_config(flag), run)
    ends = {"train.show_gt_boxes_dataloader": "truth", "train.show_detections": "detections"}
    assert {name.rpartition("_")[2] for name in drawn(run)} == {f"{ends.get(flag, 'targets')}.png"}


def test_only_some_batches_are_drawn(make_config: MakeConfig, run: ConsoleRun) -> None:
    draw_training(make_config(*TRAINING_FLAGS, eval__iter=100), run, iteration=PICTURED_BATCHES)
    assert not drawn(run)
    draw_training(make_config(*TRAINING_FLAGS, eval__iter=100), run, iteration=200)
    assert drawn(run)


def test_nothing_is_drawn_without_a_flag(make_config: MakeConfig, run: ConsoleRun) -> None:
    config = make_config()
    draw_training(config, run)
    _, dataset, _ = a_network(config)
    image_id = dataset.image_ids[0]
    Pictures(config, run).evaluated_image(dataset, image_id, dataset.boxes(image_id), found_in(dataset, image_id))
    Pictures(config, run).mined_patches(dataset, image_id, [])
    assert not drawn(run)


def found_in(dataset: DatasetOneShotDetection, image_id: int) -> BoxList:
    """Return every box of the image as a detection, the first one best."""
    truth = dataset.boxes(image_id)
    x1, y1, x2, y2 = truth.boxes_xyxy.unbind(1)
    fields = {
        "labels": truth.field("labels"),
        "scores": torch.linspace(0.9, 0.1, len(truth)),
        "default_boxes": truth.boxes_xyxy + 4,
        "transform_corners": torch.stack([x1, y1 + 3, x2, y1 - 3, x1, y2 + 3, x2, y2 - 3], dim=1),
    }
    return BoxList(truth.boxes_xyxy, truth.size, fields)


def test_detections_show_box_anchor_and_alignment(make_config: MakeConfig, run: ConsoleRun) -> None:
    config = make_config("eval.show_detections")
    _, dataset, _ = a_network(config)
    image_id = dataset.image_ids[0]
    Pictures(config, run, iteration=7).evaluated_image(
        dataset, image_id, dataset.boxes(image_id), found_in(dataset, image_id)
    )
    assert drawn(run) == [f"eval/{dataset.name}/step_00000007/image_{image_id}_detections.png"]
    path = run.dir / "artifacts" / "pictures" / drawn(run)[0]
    for colour in [(255, 255, 0), (0, 255, 255), (255, 0, 0)]:
        assert colour_share(path, colour) > 0.0003


@pytest.mark.parametrize(
    ("key", "value"), [("visualization.eval.max_detections", 0), ("visualization.eval.score_threshold", 0.95)]
)
def test_detections_are_limited(make_config: MakeConfig, run: ConsoleRun, key: str, value: float) -> None:
    config = make_config("eval.show_detections", **{key: value})
    _, dataset, _ = a_network(config)
    image_id = dataset.image_ids[0]
    Pictures(config, run).evaluated_image(dataset, image_id, dataset.boxes(image_id), found_in(dataset, image_id))
    path = run.dir / "artifacts" / "pictures" / drawn(run)[0]
    assert colour_share(path, (0, 255, 255)) == 0


def test_listed_images_are_drawn_in_place_of_the_first(make_config: MakeConfig, run: ConsoleRun) -> None:
    _, dataset, _ = a_network(make_config())
    last = dataset.image_ids[-1]
    listed = {"visualization.eval.images_for_heatmaps": [last], "visualization.eval.labels_for_heatmaps": [0]}
    pictures = Pictures(make_config("eval.show_gt_boxes", **listed), run)
    assert [pictures.draws_image(dataset, i, "eval") for i in dataset.image_ids] == [False] * 3 + [True]
    pictures = Pictures(make_config("eval.show_gt_boxes"), run)
    assert PICTURED_IMAGES >= 4 and all(pictures.draws_image(dataset, i, "eval") for i in dataset.image_ids)


@pytest.mark.parametrize(("branch", "views"), [("eval", 1), ("eval", 8), ("mining", 1)])
def test_heat_maps_of_every_level_and_view(make_config: MakeConfig, run: ConsoleRun, branch: str, views: int) -> None:
    _, dataset, _ = a_network(make_config())
    image_id = dataset.image_ids[1]
    class_id = int(dataset.boxes(image_id).field("labels")[0])
    listed = {
        f"visualization.{branch}.images_for_heatmaps": [image_id, image_id + 1],
        f"visualization.{branch}.labels_for_heatmaps": [class_id, class_id],
    }
    config = make_config(f"{branch}.show_class_heatmaps", **listed)
    model, _, _ = a_network(config)
    images = EvalImages(dataset, config, config.train.dataset_scale)
    number = next(n for n in range(len(images)) if image_id in images[n].image_ids)
    batch = images[number]
    pictures = Pictures(config, run)
    assert pictures.wants_heatmap(image_id, branch) == [class_id]
    rows = [torch.rand(3, 64, 64)] * views
    with torch.no_grad():
        heads = model.make_heads(rows)
        matches = [model.match(model.extract_features(level), heads) for level in batch.levels]
    targets = [torch.randint(-1, 2, match.class_scores.shape[1:]) for match in matches]
    pictures.class_heatmaps(dataset, image_id, batch, 0, matches, [class_id] * views, targets, branch)
    stem = f"{branch}/{dataset.name}/image_{image_id}_class_{class_id}"
    assert drawn(run) == ([f"{stem}.png"] if views == 1 else [f"{stem}_view_{v}.png" for v in range(views)])


def test_mined_patches_show_crop_anchor_and_role(make_config: MakeConfig, run: ConsoleRun) -> None:
    config = make_config("mining.show_mined_patches", "mining.show_gt_boxes")
    _, dataset, _ = a_network(config)
    image_id = dataset.image_ids[0]
    frame = dataset.boxes(image_id).size

    def box(*values: float) -> BoxList:
        return BoxList(torch.tensor([values], dtype=torch.float32), frame)

    patches = [
        MinedPatch(
            image_id=image_id,
            role=role,
            label_global=4,
            label_local=1,
            pyramid_level=0,
            anchor_index=3,
            loss=0.2,
            loss_loc=0.1,
            score=0.5,
            crop_position_xyxy=box(10 + shift, 5, 90 + shift, 85),
            anchor_position_xyxy=box(30 + shift, 20, 60 + shift, 50),
            transform_corners=torch.tensor([30.0, 25, 60, 20, 30, 55, 60, 50]) + shift,
        )
        for role, shift in (("neg", 0), ("pos", 20), ("pos_loc", 40))
    ]
    Pictures(config, run, iteration=5).mined_patches(dataset, image_id, patches)
    stem = f"mining/{dataset.name}/step_00000005/image_{image_id}"
    assert drawn(run) == [f"{stem}_ground_truth.png", f"{stem}_patches.png"]
    path = run.dir / "artifacts" / "pictures" / f"{stem}_patches.png"
    for colour in [(255, 165, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255)]:
        assert colour_share(path, colour) > 0.0003


def test_flags_that_draw_nothing_are_named(
    make_config: MakeConfig, run: ConsoleRun, caplog: pytest.LogCaptureFixture
) -> None:
    Pictures(make_config("eval.show_class_heatmaps", "eval.show_gt_boxes"), run)
    expected = "visualization.eval.show_class_heatmaps: draws nothing without visualization.eval.images_for_heatmaps"
    assert caplog.messages == [expected]


@pytest.mark.parametrize("branch", ["eval", "mining"])
def test_images_and_classes_of_heat_maps_belong_together(make_config: MakeConfig, branch: str) -> None:
    with pytest.raises(ConfigError, match=rf"visualization\.{branch}\.images_for_heatmaps: .* got 2 and 0"):
        make_config(**{f"visualization.{branch}.images_for_heatmaps": [1, 2]})
