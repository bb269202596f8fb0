"""Mining, alone and shared, interrupted and resumed, on drawn images with a tiny network."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision.ops import nms
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.console import ConsoleRun
from os2d.data.dataset import build_dataset
from os2d.data.shelf.store import draw_shelf
from os2d.engine.hard_patch import HardPatches
from os2d.engine.mining import FIRST_WINDOW, _first_kept, mine_hard_patches
from os2d.engine.mining_statistics import mining_statistics
from os2d.modeling.network import build_os2d
from tests.small_case import SMALL_NETWORK, SMALL_SHELF

SHARED = """
import pickle, sys
from pathlib import Path
import torch.distributed as dist
sys.path.insert(0, sys.argv[5])
from test_mining import mine, mining_config
folder, rank = Path(sys.argv[1]), int(sys.argv[3])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[4]}", rank=rank, world_size=2)
mined = mine(mining_config(folder))
Path(sys.argv[2]).write_bytes(pickle.dumps({i: [p.as_plain() for p in patches] for i, patches in mined.items()}))
"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "small"
    draw_shelf(folder, SMALL_SHELF)
    return folder


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


def mine(config: CfgNode, mined: HardPatches | None = None, saved: list[list[int]] | None = None) -> HardPatches:
    def save(so_far: HardPatches) -> None:
        if saved is not None:
            saved.append(list(so_far))

    dataset = build_dataset(config.train.dataset_name, Path("data"))
    with ConsoleRun(None, seed=0) as run:
        model = build_os2d(config)
        return mine_hard_patches(model, dataset, config, run, seed=5, iteration=7, mined=mined, save=save)


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


def test_two_processes_mine_what_one_does(shelf: Path, tmp_path: Path) -> None:
    results = [tmp_path / f"mined_{rank}" for rank in (0, 1)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SHARED, shelf, result, str(rank), tmp_path / "meeting", Path(__file__).parent]
        )
        for rank, result in enumerate(results)
    ]
    assert [process.wait(120) for process in processes] == [0, 0]
    expected = plain(mine(mining_config(shelf)))
    for result in results:
        assert_equal(pickle.loads(result.read_bytes()), expected)


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
