"""The published way to bring own data sets: builders of loaders, a training loop, an evaluation."""

import json
from pathlib import Path

import pytest
import torch
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.data.dataloader import build_eval_dataloaders_from_cfg, build_train_dataloader_from_config
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.data.shelf.parameters import ShelfParameters
from os2d.data.shelf.store import draw_shelf
from os2d.engine.evaluate import evaluate
from os2d.engine.train import trainval_loop
from os2d.errors import ConfigError
from os2d.modeling.network import build_os2d
from os2d.modeling.objective import Os2dObjective
from tests.small_case import SMALL_NETWORK

NORMALIZATION = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of named data sets that holds `grozi`, small."""
    folder = tmp_path_factory.mktemp("data")
    parameters = ShelfParameters(
        train_classes=4,
        unseen_classes=2,
        distractors=2,
        train_images=3,
        val_images=2,
        image_size=112,
        class_image_size=48,
        objects=(2, 3),
        product_px=(24.0, 36.0),
    )
    draw_shelf(folder / "grozi", parameters)
    (folder / "grozi/classes/shelf.csv").rename(folder / "grozi/classes/grozi.csv")
    (folder / "grozi/src/112").rename(folder / "grozi/src/3264")
    return folder


@pytest.fixture
def config() -> CfgNode:
    config = default_config()
    values = {
        **SMALL_NETWORK,
        "train.batch_size": 2,
        "train.class_batch_size": 3,
        "train.dataset_scale": 100.0,
        "train.augment.train_patch_width": 64,
        "train.augment.train_patch_height": 64,
        "train.optim.max_iter": 2,
        "eval.iter": 2,
        "eval.dataset_names": ["grozi-val-new-cl"],
        "eval.dataset_scales": [100.0],
        "eval.scales_of_image_pyramid": [1.0],
        "output.save_iter": 0,
        "runtime.num_workers": 0,
    }
    config.merge_from_list([part for item in values.items() for part in item])
    return config


def own(root: Path, split: str, eval_scale: float | None = 112.0) -> DatasetOneShotDetection:
    folder = root / "grozi"
    table = build_dataset(f"grozi-{split}", root).gtboxframe
    return DatasetOneShotDetection(
        table, folder / "classes/images", folder / "src/3264", f"own-{split}", 112, eval_scale
    )


def test_an_own_training_set_is_seen_at_its_scale(root: Path, config: CfgNode) -> None:
    config.eval.train_subset_for_eval_size = 2
    loader, subsets = build_train_dataloader_from_config(
        config, build_os2d(config).box_coder, NORMALIZATION, dataset_train=own(root, "train")
    )
    assert (loader.get_name(), loader.get_eval_scale(), len(loader)) == ("own-train", 112.0, 2)
    assert [(s.name, s.eval_scale, len(s)) for s in subsets] == [("own-train-subset2", 112.0, 2)]
    batches = list(loader)
    assert sorted(len(batch.image_ids) for batch in batches) == [1, 2]
    assert torch.equal(batches[0].images, loader.get_batch(0).images)
    assert config.train.dataset_scale == 100.0, "the caller's configuration is left alone"


def test_a_named_training_set_is_seen_at_the_scale_of_the_configuration(root: Path, config: CfgNode) -> None:
    loader, subsets = build_train_dataloader_from_config(
        config, build_os2d(config).box_coder, NORMALIZATION, data_path=root
    )
    assert (loader.get_name(), loader.get_eval_scale(), subsets) == ("grozi-train", 100.0, [])


def test_the_given_normalisation_wins(root: Path, config: CfgNode) -> None:
    coder, dataset = build_os2d(config).box_coder, own(root, "train")
    ours, _ = build_train_dataloader_from_config(config, coder, NORMALIZATION, dataset)
    other = {"mean": config.model.normalization_mean, "std": config.model.normalization_std}
    theirs, _ = build_train_dataloader_from_config(config, coder, other, dataset)

    def pixels(images: torch.Tensor, normalization: dict[str, list[float]]) -> torch.Tensor:
        mean, std = (torch.tensor(normalization[name]).view(3, 1, 1) for name in ("mean", "std"))
        return images * std + mean

    torch.testing.assert_close(
        pixels(ours.get_batch(0).images, NORMALIZATION), pixels(theirs.get_batch(0).images, other)
    )


def test_named_and_own_data_sets_are_evaluated(root: Path, config: CfgNode) -> None:
    loaders = build_eval_dataloaders_from_cfg(
        config,
        build_os2d(config).box_coder,
        NORMALIZATION,
        datasets_for_eval=[own(root, "val-old-cl", eval_scale=112.0), own(root, "train", eval_scale=None)],
        data_path=root,
    )
    assert [(loader.get_name(), loader.get_eval_scale()) for loader in loaders] == [
        ("grozi-val-new-cl", 100.0),
        ("own-val-old-cl", 112.0),
        ("own-train", 100.0),
    ]
    assert sum(len(batch.image_ids) for batch in loaders[0]) == 4


def test_own_data_sets_are_enough(root: Path, config: CfgNode) -> None:
    loaders = build_eval_dataloaders_from_cfg(
        config, build_os2d(config).box_coder, NORMALIZATION, datasets_for_eval=[own(root, "val-old-cl")]
    )
    assert [loader.get_name() for loader in loaders] == ["own-val-old-cl"]


def test_what_cannot_be_built_says_why(root: Path, config: CfgNode) -> None:
    coder = build_os2d(config).box_coder
    with pytest.raises(ConfigError, match="expected dataset_train or data_path"):
        build_train_dataloader_from_config(config, coder, NORMALIZATION)
    twice = [own(root, "train"), own(root, "train")]
    with pytest.raises(ConfigError, match="'own-train' twice"):
        build_eval_dataloaders_from_cfg(config, coder, NORMALIZATION, datasets_for_eval=twice)
    config.eval.dataset_scales = [100.0, 112.0]
    with pytest.raises(ConfigError, match="'own-train': expected eval_scale"):
        build_eval_dataloaders_from_cfg(config, coder, NORMALIZATION, datasets_for_eval=[own(root, "train", None)])


@pytest.mark.parametrize("max_iter", [0, 2])
def test_the_loop_trains_in_place_and_evaluates(root: Path, config: CfgNode, tmp_path: Path, max_iter: int) -> None:
    config.train.optim.max_iter = max_iter
    config.output.path = str(tmp_path / "out")
    config.output.best_model.do_get_best_model = True
    config.output.best_model.dataset = "own-val-old-cl"
    net = build_os2d(config)
    before = {name: values.clone() for name, values in net.state_dict().items()}
    loader, _ = build_train_dataloader_from_config(config, net.box_coder, NORMALIZATION, own(root, "train"))
    loaders = build_eval_dataloaders_from_cfg(
        config, net.box_coder, NORMALIZATION, datasets_for_eval=[own(root, "val-old-cl")]
    )
    metrics = trainval_loop(loader, net, config, Os2dObjective.from_config(config), dataloaders_eval=loaders)
    assert "mAP@0.50_own-val-old-cl" in metrics
    changed = any(not torch.equal(values, before[name]) for name, values in net.state_dict().items())
    assert changed == (max_iter > 0)
    assert (tmp_path / "out/artifacts/pictures/own-val-old-cl.png").exists()
    if max_iter:
        steps = [json.loads(line)["step"] for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
        assert set(steps) == {0, 1, 2}
        again = evaluate(loaders[0], net, config, print_per_class_results=True)
        assert again["mAP@0.50"] == pytest.approx(metrics["mAP@0.50_own-val-old-cl"])
        assert again["eval_time"] > 0


def test_the_best_model_is_looked_for_where_something_is_evaluated(root: Path, config: CfgNode) -> None:
    config.output.best_model.do_get_best_model = True
    net = build_os2d(config)
    loader, _ = build_train_dataloader_from_config(config, net.box_coder, NORMALIZATION, own(root, "train"))
    loaders = build_eval_dataloaders_from_cfg(
        config, net.box_coder, NORMALIZATION, datasets_for_eval=[own(root, "val-old-cl")]
    )
    with pytest.raises(ConfigError, match=r"output\.best_model\.dataset: .*own-val-old-cl.*'grozi-val-new-cl'"):
        trainval_loop(loader, net, config, dataloaders_eval=loaders)
