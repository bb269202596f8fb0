"""Mining, alone and shared, interrupted and resumed, on drawn images with a tiny network."""

from pathlib import Path

import pytest
import torch
from torchvision.ops import nms
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.console import ConsoleRun
from os2d.data.dataset import build_dataset
from os2d.engine.detection import ClassHeads
from os2d.engine.hard_patch import HardPatches
from os2d.engine.hardest_anchors import HardestAnchors
from os2d.engine.mining import FIRST_WINDOW, _first_kept, _Geometry, _select, mine_hard_patches
from os2d.engine.mining_statistics import mining_statistics
from os2d.modeling.network import build_os2d
from os2d.structures.sizes import Size
from tests.small_case import SMALL_NETWORK, SMALL_SHELF
from tests.unit.two_processes import answers_of_two

SHARED = """
from tests.unit.test_mining import mine, mining_config, plain
answer = plain(mine(mining_config(shelf)))
"""


def mining_config(folder: Path) -> CfgNode:
    config = default_config()
    values: dict[str, object] = {
        **SMALL_NETWORK,
        "train.dataset_name": f"custom:{folder}#train",
        "train.dataset_scale": 112.0,
        "train.augment.train_patch_width": 64,
        "train.augment.train_patch_height": 64,
        "train.mining.num_hard_patches_per_image": 3,
        "train.mining.num_random_negative_classes": 2,
        "train.mining.num_random_pyramid_scales": 2,
        "runtime.num_workers": 0,
    }
    config.merge_from_list([part for item in values.items() for part in item])
    return config


def mine(
    config: CfgNode,
    mined: HardPatches | None = None,
    saved: list[list[int]] | None = None,
    seed: int = 5,
    iteration: int = 7,
) -> HardPatches:
    def save(so_far: HardPatches) -> None:
        if saved is not None:
            saved.append(list(so_far))

    dataset = build_dataset(config.train.dataset_name, Path("data"))
    with ConsoleRun(None, seed=0) as run:
        model = build_os2d(config)
        return mine_hard_patches(model, dataset, config, run, seed=seed, iteration=iteration, mined=mined, save=save)


def plain(mined: HardPatches) -> dict[int, list[dict]]:
    return {image_id: [patch.as_plain() for patch in patches] for image_id, patches in mined.items()}


def assert_equal(actual: dict[int, list[dict]], expected: dict[int, list[dict]]) -> None:
    assert list(actual) == list(expected)
    for image_id, patches in expected.items():
        assert len(actual[image_id]) == len(patches)
        for patch, other in zip(actual[image_id], patches, strict=True):
            assert patch.keys() == other.keys()
            for name, value in other.items():
                assert torch.equal(patch[name], value) if torch.is_tensor(value) else patch[name] == value, name


def test_a_resumed_pass_repeats_nothing_and_gives_the_same_patches(shelf: Path) -> None:
    config = mining_config(shelf)
    saved: list[list[int]] = []
    whole = mine(config, saved=saved)
    assert [len(so_far) for so_far in saved] == [1, 2, 3, 4, 5]
    assert any(whole.values())

    rest: list[list[int]] = []
    interrupted = HardPatches((image_id, whole[image_id]) for image_id in (saved[-1][3], saved[-1][0]))
    resumed = mine(config, interrupted, rest)

    assert [len(so_far) for so_far in rest] == [3, 4, 5]
    assert_equal(plain(resumed), plain(whole))


def test_mining_looks_for_the_first_view_of_class_images(shelf: Path) -> None:
    turned = mining_config(shelf)
    turned.eval.class_image_augmentation = "rotation90"
    turned.freeze()
    assert_equal(plain(mine(turned)), plain(mine(mining_config(shelf))))


def test_scales_and_classes_are_drawn_anew_for_every_seed_and_iteration(shelf: Path) -> None:
    config = mining_config(shelf)
    first, *others = (
        [
            patch.crop_position_xyxy.boxes_xyxy.tolist()
            for patches in mine(config, **drawn).values()
            for patch in patches
        ]
        for drawn in ({}, {"seed": 6}, {"iteration": 8})
    )
    assert all(crops != first for crops in others)
    assert others[0] != others[1]


def test_of_equal_losses_the_lower_level_and_then_the_lower_class_comes_first(shelf: Path) -> None:
    hardest, anchors = HardestAnchors(), torch.arange(3)
    zeros = torch.zeros(3)
    details = {"label": torch.tensor([1, 0, 0]), "loss": zeros, "loss_loc": zeros, "score": zeros}
    hardest.take(torch.ones(3), {**details, "transform_corners": torch.zeros(3, 8)})
    apart = 100 * anchors[:, None] + torch.tensor([0.0, 0.0, 10.0, 10.0])
    geometry = _Geometry(level=torch.tensor([0, 0, 1]), anchor=anchors, crops=apart, boxes=apart)
    classes = ClassHeads([10, 20], 1, heads=None)  # type: ignore[arg-type]
    patches = _select(hardest, "neg", 1, geometry, classes, Size(300, 300), mining_config(shelf))
    assert [(patch.pyramid_level, patch.label_global) for patch in patches] == [(0, 10), (0, 20), (1, 10)]


def test_random_classes_are_looked_for_beside_those_of_the_image(shelf: Path) -> None:
    mined = {}
    for count in (0, SMALL_SHELF.train_classes, -1):
        config = mining_config(shelf)
        config.train.mining.num_random_negative_classes = count
        mined[count] = mine(config)
    assert_equal(plain(mined[SMALL_SHELF.train_classes]), plain(mined[-1]))  # all of them, drawn or not

    dataset = build_dataset(f"custom:{shelf}#train", Path("data"))
    strangers = {
        count: [p for i, patches in found.items() for p in patches if p.label_global not in dataset.class_ids_of([i])]
        for count, found in mined.items()
    }
    assert not strangers[0]
    assert strangers[-1]


def test_two_processes_mine_what_one_does(shelf: Path, tmp_path: Path) -> None:
    expected = plain(mine(mining_config(shelf)))
    for answer in answers_of_two(SHARED, shelf, tmp_path):
        assert_equal(answer, expected)


def test_statistics_tell_how_hard_the_patches_of_each_role_are(shelf: Path) -> None:
    mined = mine(mining_config(shelf))
    metrics = mining_statistics(mined, seconds=2.5)
    found = [patch for patches in mined.values() for patch in patches]
    assert (metrics["mining_patches"], metrics["mining_time"]) == (len(found), 2.5)
    roles = {patch.role for patch in found}
    assert "neg" in roles
    for role in roles:
        kind = "loss_loc" if role == "pos_loc" else "loss"
        losses = torch.tensor([getattr(patch, kind) for patch in found if patch.role == role], dtype=torch.float64)
        assert metrics[f"mining_{role}_loss_mean"] == pytest.approx(float(losses.mean()))
        assert metrics[f"mining_{role}_loss_p90"] == pytest.approx(float(losses.quantile(0.9)))


def test_a_role_without_patches_has_no_statistics() -> None:
    assert mining_statistics(HardPatches(), 0.0) == {"mining_patches": 0.0, "mining_time": 0.0}


@pytest.mark.parametrize("side", [3.0, 400.0])
def test_suppression_in_windows_equals_suppression_of_all(side: float) -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(3 * FIRST_WINDOW, 2, generator=generator) * 200
    boxes = torch.cat([corner, corner + side], dim=1)
    scores = -torch.arange(len(boxes), dtype=torch.float32)
    torch.testing.assert_close(_first_kept(boxes, 0.5, 2500), nms(boxes, scores, 0.5)[:2500])
    torch.testing.assert_close(_first_kept(boxes, 0.5, 3), nms(boxes, scores, 0.5)[:3])
