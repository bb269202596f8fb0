import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.errors import CheckpointError
from os2d.modeling.checkpoint import (
    load_init_model,
    load_init_transform,
    load_initial_weights,
    load_weights,
    save_checkpoint,
)
from os2d.modeling.conversion.weakalign import BACKBONE_PREFIXES
from os2d.modeling.model import Os2d, build_os2d


def small_config(seed: int = 0) -> CfgNode:
    config = default_config()
    config.random_seed = seed
    config.model.backbone_arch = "ResNet18"
    config.model.backbone_cut = "layer2"
    config.model.template_grid = 7
    config.model.transform_net.kernel_sizes = [3, 3, 3]
    config.model.transform_net.channels = [8, 8]
    return config


def small_model(seed: int = 0, **model_keys: object) -> Os2d:
    config = small_config(seed)
    config.model.update(model_keys)
    return build_os2d(config)


def states_equal(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.pth"
    save_checkpoint(path, small_model(seed=1), {"state": {}}, criterion_value=np.float64(0.5))
    return path


@pytest.fixture
def unchanged() -> Iterator[Os2d]:
    """A model that no failing load may change."""
    model = small_model()
    yield model
    assert states_equal(model, small_model())


def test_a_saved_checkpoint_loads_completely_and_returns_the_optimiser(checkpoint: Path) -> None:
    model = small_model()
    assert load_init_model(model, checkpoint) == {"state": {}}
    assert states_equal(model, small_model(seed=1))


def test_extra_values_come_back_even_numpy_scalars(checkpoint: Path) -> None:
    assert load_weights(checkpoint)["criterion_value"] == 0.5


def test_shared_branches_are_stored_once(checkpoint: Path, tmp_path: Path) -> None:
    separate = tmp_path / "separate.pth"
    save_checkpoint(separate, small_model(merge_branch_parameters=False), None)
    assert checkpoint.stat().st_size < 0.6 * separate.stat().st_size


def test_nothing_but_the_checkpoint_remains_in_the_folder(checkpoint: Path) -> None:
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_a_full_disk_leaves_the_old_checkpoint_and_no_rest(checkpoint: Path) -> None:
    before = checkpoint.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"checkpoint\.pth: cannot write"):
            save_checkpoint(checkpoint, small_model(), None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(checkpoint.parent.iterdir()) == [checkpoint]
    assert checkpoint.read_bytes() == before


def test_a_missing_file_is_named(unchanged: Os2d, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.pth: no such"):
        load_init_model(unchanged, tmp_path / "absent.pth")


@pytest.mark.parametrize(
    "damage",
    [lambda raw: raw[: len(raw) // 2], lambda raw: b"", lambda raw: b"not a checkpoint at all"],
    ids=["truncated", "empty", "text"],
)
def test_a_damaged_file_is_named(damage: Callable[[bytes], bytes], unchanged: Os2d, checkpoint: Path) -> None:
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(CheckpointError, match=r"checkpoint\.pth: not a readable"):
        load_init_model(unchanged, checkpoint)


class RunsCode:
    """Its pickle would create a file when read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_code_in_a_file_is_not_run(unchanged: Os2d, tmp_path: Path) -> None:
    path = saved(tmp_path / "evil.pth", {"net": RunsCode(tmp_path / "ran")})
    with pytest.raises(CheckpointError, match="not a readable"):
        load_init_model(unchanged, path)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_transformation_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "v1.pth"
    save_checkpoint(path, small_model(seed=1, use_simplified_affine_model=True), None)
    model = small_model()
    with pytest.raises(
        CheckpointError, match=r"v1\.pth.*2 of another shape: .*linear\.weight \(4, 8, 3, 3\) instead of"
    ):
        load_init_model(model, path)
    assert states_equal(model, small_model())


def test_a_checkpoint_of_another_backbone_lists_some_keys_and_counts_the_rest(unchanged: Os2d, tmp_path: Path) -> None:
    path = tmp_path / "deeper.pth"
    save_checkpoint(path, small_model(backbone_arch="ResNet34"), None)
    with pytest.raises(CheckpointError, match=r"72 unexpected: net_feature_maps\.layer1\.2\.\S+.* and \d+ more"):
        load_init_model(unchanged, path)


def test_separate_branches_do_not_load_into_a_merged_model(unchanged: Os2d, tmp_path: Path) -> None:
    separate = small_model(merge_branch_parameters=False)
    torch.nn.init.zeros_(separate.net_label_features.net_class_features.conv1.weight)
    path = tmp_path / "separate.pth"
    save_checkpoint(path, separate, None)
    with pytest.raises(CheckpointError, match="merge_branch_parameters"):
        load_init_model(unchanged, path)
    other = small_model(merge_branch_parameters=False)
    load_init_model(other, path)
    assert states_equal(other, separate)


@pytest.mark.parametrize("merged", [True, False])
def test_a_torchvision_classifier_initialises_both_branches(merged: bool, tmp_path: Path) -> None:
    resnet = torchvision.models.resnet18(weights=None)
    old_style = {k: t for k, t in resnet.state_dict().items() if not k.endswith("num_batches_tracked")}
    model = small_model(merge_branch_parameters=merged)
    assert load_init_model(model, saved(tmp_path / "resnet18.pth", old_style)) is None
    for branch in (model.net_feature_maps, model.net_label_features.net_class_features):
        assert torch.equal(branch.layer2[1].conv2.weight, resnet.layer2[1].conv2.weight)


def test_a_classifier_of_another_depth_is_refused(unchanged: Os2d, tmp_path: Path) -> None:
    path = saved(tmp_path / "resnet34.pth", torchvision.models.resnet34(weights=None).state_dict())
    with pytest.raises(CheckpointError, match=r"resnet34\.pth.*unexpected"):
        load_init_model(unchanged, path)


def test_a_file_of_other_things_is_refused(unchanged: Os2d, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected weights by name"):
        load_init_model(unchanged, saved(tmp_path / "log.pth", {"epoch": 3}))
    with pytest.raises(CheckpointError, match="expected a dictionary"):
        load_init_model(unchanged, saved(tmp_path / "list.pth", [1, 2]))


def weakalign_file(path: Path, model: Os2d) -> Path:
    """A weakalign checkpoint whose backbone and regressor are those of the model."""
    weights = {
        BACKBONE_PREFIXES[f"{part}."] + rest: tensor
        for (part, _, rest), tensor in (
            (key.partition("."), tensor) for key, tensor in model.net_feature_maps.state_dict().items()
        )
    }
    for key, tensor in model.os2d_head_creator.aligner.parameter_regressor.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            weights[f"FeatureRegression.{key}"] = tensor.flatten(1) if key == "linear.weight" else tensor
            weights[f"FeatureRegression2.{key}"] = tensor
    return saved(path, {"epoch": 1, "state_dict": weights})


def test_weakalign_initialises_backbone_and_transformation(tmp_path: Path) -> None:
    source = small_model(seed=1)
    torch.nn.init.normal_(source.os2d_head_creator.aligner.parameter_regressor.linear.weight)
    config, path = small_config(), weakalign_file(tmp_path / "weakalign.pth.tar", source)
    config.init.model = config.init.transform = str(path)
    model = build_os2d(config)
    assert load_initial_weights(model, config.init) is None
    assert states_equal(model, source)


def test_a_transformation_of_another_kind_is_refused(unchanged: Os2d, tmp_path: Path) -> None:
    path = weakalign_file(tmp_path / "weakalign.pth.tar", small_model(use_simplified_affine_model=True))
    with pytest.raises(CheckpointError, match=r"weakalign\.pth\.tar.*linear\.bias \(4,\) instead of \(6,\)"):
        load_init_transform(unchanged, path)


def test_a_transformation_needs_a_weakalign_file(unchanged: Os2d, checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a weakalign checkpoint"):
        load_init_transform(unchanged, checkpoint)
