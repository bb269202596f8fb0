import pytest
import torch
from golden_cases import Golden

from os2d.config import default_config
from os2d.modeling.conversion import weakalign
from os2d.modeling.network import build_os2d

VARIANTS = [
    pytest.param(name, marks=pytest.mark.reads(f"os2d/state_dict_keys_{name}.json"))
    for name in ("v1_resnet101", "v2_resnet50", "v2_resnet50_group_norm", "v2_resnet50_separate_branches")
]


@pytest.mark.parametrize("name", VARIANTS)
def test_names_shapes_and_order_are_those_of_published_checkpoints(name: str, golden: Golden) -> None:
    expected = golden.json(f"os2d/state_dict_keys_{name}.json")
    config = default_config()
    for key, value in expected["config"].items():
        config.merge_from_list([key, value])

    model = build_os2d(config)

    keys = {k: [list(t.shape), str(t.dtype).removeprefix("torch.")] for k, t in model.state_dict().items()}
    assert list(keys.items()) == list(expected["keys"].items())
    assert [name for name, _ in model.named_parameters()] == expected["trainable_parameters"]


@pytest.mark.reads("os2d/weakalign_key_mapping.json")
def test_weakalign_keys(golden: Golden) -> None:
    mapping = golden.json("os2d/weakalign_key_mapping.json")
    config = default_config()
    config.model.backbone_arch = "ResNet101"
    model = build_os2d(config)
    weights = {theirs: torch.zeros(shape) for _, theirs, shape in mapping["backbone"] + mapping["affine_regressor"]}

    backbone = weakalign.backbone_weights(weights)
    regressor = weakalign.regressor_weights(weights, kernel_size=5)

    parts = {"backbone": backbone, "affine_regressor": regressor}
    modules = {
        "backbone": model.net_feature_maps,
        "affine_regressor": model.os2d_head_creator.aligner.parameter_regressor,
    }
    for part, ours in parts.items():
        state = {k: t for k, t in modules[part].state_dict().items() if not k.endswith("num_batches_tracked")}
        assert {k: t.shape for k, t in ours.items()} == {k: t.shape for k, t in state.items()}
        assert set(ours) == {own for own, _, _ in mapping[part]}
    for own, theirs, _ in mapping["backbone"]:
        assert backbone[own] is weights[theirs]
