import pytest
import torch
from torch import nn

from os2d.errors import ConfigError
from os2d.modeling.backbone import ARCHITECTURES, build_backbone
from os2d.structures.sizes import Size


@pytest.mark.parametrize("cut", ["layer1", "layer2", "layer3"])
@pytest.mark.parametrize("arch", ["ResNet18", "ResNet50"])
def test_stride_and_channels_are_those_of_the_output(arch: str, cut: str) -> None:
    backbone = build_backbone(arch, group_norm=False, cut=cut).eval()
    for size in (Size(33, 47), Size(64, 65), Size(1, 17)):
        with torch.no_grad():
            features = backbone(torch.zeros(1, 3, size.h, size.w))
        assert Size.of_tensor(features) == backbone.feature_map_size(size)
        assert features.shape[1] == backbone.out_channels


@pytest.mark.parametrize(("arch", "count"), [("ResNet18", 7), ("ResNet34", 14), ("ResNet50", 14), ("ResNet101", 31)])
def test_blocks_are_the_stem_and_every_residual_block(arch: str, count: int) -> None:
    assert len(build_backbone(arch, group_norm=False).blocks()) == count


def test_freezing_blocks_freezes_the_first_ones() -> None:
    backbone = build_backbone("resnet18", group_norm=False)
    backbone.freeze_blocks(2)
    frozen = {name for name, p in backbone.named_parameters() if not p.requires_grad}
    assert frozen == {n for n, _ in backbone.named_parameters() if n.startswith(("conv1.", "bn1.", "layer1.0."))}


def test_frozen_batch_norm_uses_stored_statistics_and_still_learns() -> None:
    backbone = build_backbone("resnet18", group_norm=False, cut="layer1").train()
    assert backbone.uses_batch_statistics()
    backbone.freeze_bn()
    assert not backbone.uses_batch_statistics()
    assert backbone.bn1.weight.requires_grad


def test_group_norm_replaces_every_batch_norm() -> None:
    modules = list(build_backbone("ResNet50", group_norm=True).modules())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in modules)
    assert {m.num_groups for m in modules if isinstance(m, nn.GroupNorm)} == {32}


def test_a_generator_decides_the_weights_and_the_global_one_is_untouched() -> None:
    before = torch.get_rng_state()
    first, second, other = (
        build_backbone("resnet18", False, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.layer3[1].conv2.weight, second.layer3[1].conv2.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_every_parameter_is_set() -> None:
    state = build_backbone("resnet18", group_norm=False).state_dict()
    assert all(t.isfinite().all() for t in state.values())
    assert state["layer2.0.bn1.weight"].unique().tolist() == [1.0]
    assert state["layer2.0.bn1.running_var"].unique().tolist() == [1.0]
    assert state["layer2.0.bn1.num_batches_tracked"] == 0
    assert state["layer2.0.conv1.weight"].std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.05)


def test_an_unknown_architecture_names_the_close_one() -> None:
    with pytest.raises(ConfigError, match=r"model\.backbone_arch: .*'Resnet5'; did you mean ResNet50\?"):
        build_backbone("Resnet5", group_norm=False)
    with pytest.raises(ConfigError, match=r"model\.backbone_arch: expected one of " + ", ".join(ARCHITECTURES)):
        build_backbone("", group_norm=False)
    with pytest.raises(ConfigError, match=r"model\.backbone_cut"):
        build_backbone("ResNet18", group_norm=False, cut="layer4")
