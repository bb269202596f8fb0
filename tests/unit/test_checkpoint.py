import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from yacs.config import CfgNode

from os2d.config import NEUTRAL_KEYS, default_config
from os2d.console import ConsoleRun
from os2d.engine.initial_weights import MODEL_INPUT, load_start_weights
from os2d.errors import CheckpointError
from os2d.modeling.checkpoint import (
    load_init_model,
    load_init_transform,
    load_initial_weights,
    load_weights,
    save_checkpoint,
)
from os2d.modeling.conversion.weakalign import BACKBONE_PREFIXES
from os2d.modeling.network import Os2d, build_os2d
from os2d.modeling.network_keys import TRANSFORM_LINEAR
from tests.small_os2d import small_config, small_model
from tests.unit.weights_files import saved


def states_equal(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


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


def v1_checkpoint(path: Path) -> tuple[Path, Os2d]:
    source = small_model(seed=1, use_simplified_affine_model=True)
    save_checkpoint(path, source, {"state": {}, "param_groups": []})
    return path, source


def test_only_another_last_layer_is_explained_by_the_keys_that_help(unchanged: Os2d, tmp_path: Path) -> None:
    path, _ = v1_checkpoint(tmp_path / "v1.pth")
    with pytest.raises(
        CheckpointError, match=r"model\.use_simplified_affine_model True; or set init\.skip_transform_linear"
    ):
        load_init_model(unchanged, path)


def test_v1_is_evaluated_as_v2_without_its_last_layer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, source = v1_checkpoint(tmp_path / "v1.pth")
    config = small_config()
    config.init.model, config.init.skip_transform_linear = str(path), True
    model = build_os2d(config)

    with caplog.at_level("WARNING"):
        optimizer_state = load_initial_weights(model, config.init)

    assert optimizer_state is None
    loaded, given, fresh = model.state_dict(), source.state_dict(), small_model().state_dict()
    for key, tensor in loaded.items():
        assert torch.equal(tensor, (fresh if key in TRANSFORM_LINEAR else given)[key]), key
    assert loaded[TRANSFORM_LINEAR[1]].tolist() == [1, 0, 0, 0, 1, 0] and not loaded[TRANSFORM_LINEAR[0]].any()
    (record,) = caplog.records
    assert "v1.pth: loaded without the last layer" in record.getMessage()


def test_only_the_last_layer_may_be_left_out(tmp_path: Path) -> None:
    config, path = small_config(), tmp_path / "deeper.pth"
    save_checkpoint(path, small_model(backbone_arch="ResNet34", use_simplified_affine_model=True), None)
    config.init.model, config.init.skip_transform_linear = str(path), True
    model = build_os2d(config)
    with pytest.raises(CheckpointError, match=r"this file needs model\.backbone_arch ResNet34\. ") as e:
        load_initial_weights(model, config.init)
    assert "linear" not in str(e.value)
    assert states_equal(model, small_model())


def test_a_fitting_last_layer_is_left_out_too(checkpoint: Path) -> None:
    config = small_config()
    config.init.model, config.init.skip_transform_linear = str(checkpoint), True
    content = load_weights(checkpoint)
    content["net"] = {k: torch.ones_like(t) if k in TRANSFORM_LINEAR else t for k, t in content["net"].items()}
    torch.save(content, checkpoint)
    model = build_os2d(config)
    load_initial_weights(model, config.init)
    assert states_equal(model, small_model(seed=1))  # whose last layer is the identity


def test_a_transformation_of_weakalign_may_keep_the_identity(tmp_path: Path) -> None:
    source = small_model(seed=1)
    torch.nn.init.normal_(source.os2d_head_creator.aligner.parameter_regressor.linear.weight)
    config = small_config()
    config.init.transform, config.init.skip_transform_linear = str(weakalign_file(tmp_path / "w.pth.tar", source)), True
    model = build_os2d(config)
    load_initial_weights(model, config.init)
    regressor = model.os2d_head_creator.aligner.parameter_regressor
    assert torch.equal(regressor.conv[0].weight, source.os2d_head_creator.aligner.parameter_regressor.conv[0].weight)
    assert not regressor.linear.weight.any()


def test_the_choice_is_part_of_what_makes_an_experiment() -> None:
    assert not any("init.skip_transform_linear".startswith(key) for key in NEUTRAL_KEYS)
    assert default_config().init.skip_transform_linear is False


@pytest.mark.parametrize(
    ("model_keys", "needed"),
    [
        ({"backbone_arch": "ResNet34"}, "model.backbone_arch ResNet34"),
        ({"use_group_norm": True}, "model.use_group_norm True"),
        ({"backbone_cut": "layer1", "template_grid": 15}, "model.backbone_cut layer1"),
        (
            {"transform_net": CfgNode({"kernel_sizes": [3, 3], "channels": [8]})},
            r"model.transform_net.kernel_sizes \[3, 3\]",
        ),
    ],
)
def test_a_checkpoint_of_another_network_says_which_keys_it_needs(
    model_keys: dict[str, object], needed: str, unchanged: Os2d, tmp_path: Path
) -> None:
    path = tmp_path / "other.pth"
    save_checkpoint(path, small_model(**model_keys), None)
    with pytest.raises(CheckpointError, match=rf"other\.pth: does not fit the network; this file needs .*{needed}"):
        load_init_model(unchanged, path)


def test_a_backbone_alone_in_a_checkpoint_initialises_both_branches(tmp_path: Path) -> None:
    source, model = small_model(seed=1), small_model(merge_branch_parameters=False)
    path = saved(tmp_path / "backbone.pth", {"net": source.net_feature_maps.state_dict(), "epoch": 3, "loss": 0.5})
    assert load_init_model(model, path) is None
    for branch in (model.net_feature_maps, model.net_label_features.net_class_features):
        assert states_equal(branch, source.net_feature_maps)


def test_a_classifier_trained_on_several_gpus_initialises_the_backbone(tmp_path: Path) -> None:
    resnet = torchvision.models.resnet18(weights=None)
    wrapped = {f"module.{key}": tensor for key, tensor in resnet.state_dict().items()}
    model = small_model()
    load_init_model(model, saved(tmp_path / "model_best.pth.tar", {"state_dict": wrapped, "epoch": 90}))
    assert torch.equal(model.net_feature_maps.layer2[1].conv2.weight, resnet.layer2[1].conv2.weight)


def test_weights_of_another_project_say_how_to_convert_them(unchanged: Os2d, tmp_path: Path) -> None:
    path = saved(tmp_path / "caffe2.pth", {"0.weight": torch.ones(1), "4.0.conv1.weight": torch.ones(1)})
    with pytest.raises(CheckpointError, match=rf"convert it first: oneshot models convert {path}"):
        load_init_model(unchanged, path)
    onenet = {"backbone.stem.conv1.weight": torch.ones(1), "backbone.res2.0.conv1.weight": torch.ones(1)}
    path = saved(tmp_path / "onenet.pth", {"model": onenet})
    with pytest.raises(CheckpointError, match="holds a backbone or a detector under the names of detectron2"):
        load_init_model(unchanged, path)


def test_weights_under_unknown_names_are_listed(unchanged: Os2d, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", {"foo.weight": torch.ones(1)})
    with pytest.raises(CheckpointError, match=r"50 missing: conv1\.weight.*; 1 unexpected: foo\.weight"):
        load_init_model(unchanged, path)


def test_an_evaluation_of_a_needed_training_obeys_the_choice_too(tmp_path: Path) -> None:
    v1_checkpoint(tmp_path / "checkpoint_iter_0.pth")
    config = small_config()
    with ConsoleRun(None, 0, inputs={MODEL_INPUT: tmp_path}) as run:
        with pytest.raises(CheckpointError, match=r"init\.skip_transform_linear"):
            load_start_weights(build_os2d(config), config, run)
        config.init.skip_transform_linear = True
        model = build_os2d(config)
        load_start_weights(model, config, run)
    assert torch.equal(model.net_feature_maps.conv1.weight, small_model(seed=1).net_feature_maps.conv1.weight)
