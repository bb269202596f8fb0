import os
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.data.batch_loader import BatchLoader
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.data.eval_loader import EvalImages, build_eval_loader, load_class_images
from os2d.errors import ConfigError
from os2d.structures.sizes import Size

TINY = Path(__file__).parents[1] / "data" / "golden" / "os2d" / "tiny_dataset"


@pytest.fixture
def dataset() -> DatasetOneShotDetection:
    named = build_dataset("grozi-val-new-cl", TINY)
    images = {"image_ids": named.image_ids, "image_file_names": named.image_file_names}
    folders = (named.class_images_folder, named.images_folder)
    return DatasetOneShotDetection(named.gtboxframe, *folders, named.name, 320, **images)


@pytest.fixture
def config() -> CfgNode:
    config = default_config()
    config.is_cuda = False
    config.runtime.num_workers = 0
    config.eval.scales_of_image_pyramid = [0.5, 1]
    config.model.class_image_size = 32
    return config


def test_a_bucket_holds_one_size(dataset: DatasetOneShotDetection) -> None:
    assert dataset.split_images_into_buckets_by_size() == [[501, 503, 505], [502], [504]]


def test_a_batch_never_mixes_sizes(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    config.eval.batch_size = 2
    batches = list(build_eval_loader(dataset, config, 160.0))
    assert [b.image_ids for b in batches] == [[501, 503], [505], [502], [504]]
    assert batches[0].levels[1].shape == (2, 3, 120, 160)


def test_levels_map_back_to_the_loaded_image(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    batch = EvalImages(dataset, config, 160.0)[0]
    assert batch.loaded_size == Size(320, 240)
    assert batch.level_sizes == [Size(80, 60), Size(160, 120)]
    corner = torch.tensor([[0.0, 0.0, 80.0, 60.0]])
    assert batch.to_original[0].apply(corner).tolist() == [[0, 0, 320, 240]]


def test_boxes_keep_the_ids_of_the_classes(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    batch = EvalImages(dataset, config, 160.0)[0]
    assert batch.boxes[0].field("labels").tolist() == [11, 23]
    assert batch.boxes[0].size == batch.loaded_size


def test_other_scales_replace_those_of_the_configuration(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    assert EvalImages(dataset, config, 320.0, pyramid_scales=[0.25])[0].level_sizes == [Size(80, 60)]


def test_workers_give_the_same_batches(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    alone = list(build_eval_loader(dataset, config, 160.0))
    config.runtime.num_workers = 2
    for one, other in zip(alone, build_eval_loader(dataset, config, 160.0), strict=True):
        assert one.image_ids == other.image_ids
        for first, second in zip(one.levels, other.levels, strict=True):
            torch.testing.assert_close(first, second, atol=0, rtol=0)


class Signals:
    """Batches that tell how a worker answers to being asked to stop."""

    def __getitem__(self, number: int) -> tuple[bool, int]:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGUSR2)
        return True, torch.get_num_threads()


def test_workers_leave_stopping_to_the_trainer_and_use_one_thread() -> None:
    assert list(BatchLoader(Signals(), range(2), 2, pin_memory=False, prefetch=1)) == [(True, 1), (True, 1)]


@pytest.mark.parametrize(
    ("kind", "corners"),
    [
        ("", ["tl"]),
        ("rotation90", ["tl", "bl", "br", "tr"]),
        ("horflip", ["tl", "tr"]),
        ("horflip_rotation90", ["tl", "bl", "br", "tr", "tr", "br", "bl", "tl"]),
    ],
)
def test_views_turn_counter_clockwise_and_then_mirror(
    tmp_path: Path, dataset: DatasetOneShotDetection, config: CfgNode, kind: str, corners: list[str]
) -> None:
    image = Image.new("RGB", (32, 32))
    image.paste((255, 255, 255), (0, 0, 8, 8))
    for class_id in dataset.class_ids:
        image.save(tmp_path / f"{class_id}.png")
    marked = DatasetOneShotDetection(dataset.gtboxframe, tmp_path, dataset.images_folder, "marked", 320)
    config.eval.class_image_augmentation = kind
    class_ids, views = zip(*load_class_images(marked, config), strict=True)
    assert class_ids == (11, 23, 42)
    assert [brightest_corner(view) for view in views[0]] == corners


def brightest_corner(view: torch.Tensor) -> str:
    values = {"tl": view[0, 0, 0], "tr": view[0, 0, -1], "bl": view[0, -1, 0], "br": view[0, -1, -1]}
    return max(values, key=lambda corner: values[corner].item())


def test_class_images_have_the_wanted_area(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    for _, (view,) in load_class_images(dataset, config):
        assert abs(view.shape[1] * view.shape[2] - 32**2) < 80


def test_an_unknown_augmentation_is_refused(dataset: DatasetOneShotDetection, config: CfgNode) -> None:
    config.eval.class_image_augmentation = "mirror"
    with pytest.raises(ConfigError, match=r"eval\.class_image_augmentation: expected one of .* got 'mirror'"):
        load_class_images(dataset, config)
