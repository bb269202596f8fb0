import pytest
import torch

from os2d.errors import ConfigError
from os2d.modeling.head import Heads, Matches
from os2d.modeling.network import Os2d, build_os2d
from os2d.structures.sizes import Size
from tests.small_os2d import small_config


@pytest.fixture
def model() -> Os2d:
    model = build_os2d(small_config())
    linear = model.os2d_head_creator.aligner.parameter_regressor.linear
    torch.nn.init.normal_(linear.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return model


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 80, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def class_images() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(3, h, w, generator=generator) for h, w in ((56, 56), (40, 70), (56, 56), (33, 64), (56, 56))]


def assert_same(ours: Matches, expected: Matches) -> None:
    assert ours.fm_size == expected.fm_size
    for name, value in ours._asdict().items():
        if name != "fm_size":
            torch.testing.assert_close(
                value, getattr(expected, name), atol=1e-4, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_shapes_and_ranges(model: Os2d, images: torch.Tensor, class_images: list[torch.Tensor]) -> None:
    with torch.no_grad():
        matches = model(images, class_images)
    assert matches.fm_size == model.feature_map_size(Size(80, 64)) == Size(10, 8)
    assert matches.loc_scores.shape == (2, 5, 4, 80)
    assert matches.class_scores.shape == (2, 5, 80)
    assert matches.corners.shape == (2, 5, 8, 80)
    assert matches.class_scores.abs().max() <= 1 + 1e-5
    assert (model.stride, model.anchor_side) == (8, 56)


def test_a_fresh_model_slides_the_class_image_over_the_image(images: torch.Tensor) -> None:
    model = build_os2d(small_config())
    with torch.no_grad():
        matches = model(images, [images[0, :, :56, :56]])
    assert not matches.loc_scores.abs().max() > 1e-4
    anchors = model.box_coder.anchors(matches.fm_size)
    torch.testing.assert_close(matches.corners[0, 0, [0, 1, 6, 7]].T, anchors, atol=1e-3, rtol=0)


def test_classes_in_chunks_give_what_they_give_at_once(
    model: Os2d, images: torch.Tensor, class_images: list[torch.Tensor]
) -> None:
    with torch.no_grad():
        at_once = model(images, class_images)
        model.head_memory_mb = 0
        assert model.classes_per_chunk(at_once.fm_size, len(images)) == 1
        assert_same(model(images, class_images), at_once)


def test_images_and_classes_do_not_depend_on_their_companions(
    model: Os2d, images: torch.Tensor, class_images: list[torch.Tensor]
) -> None:
    with torch.no_grad():
        together = model(images, class_images)
        alone = model(images[1:], class_images[3:4])
    for name in ("loc_scores", "class_scores", "corners"):
        torch.testing.assert_close(getattr(together, name)[1:, 3:4], getattr(alone, name), atol=1e-4, rtol=1e-4)


def test_heads_select_classes(model: Os2d, images: torch.Tensor, class_images: list[torch.Tensor]) -> None:
    with torch.no_grad():
        heads = model.make_heads(class_images)
        chosen = model(images, heads=heads[torch.tensor([4, 1])])
        expected = model(images, [class_images[4], class_images[1]])
    assert_same(chosen, expected)
    assert len(Heads.cat([heads[:2], heads[2:]])) == len(heads) == 5


@pytest.mark.parametrize("size", [(8, 80), (64, 5), (3, 3)])
def test_feature_maps_one_cell_wide_give_numbers(
    size: tuple[int, int], model: Os2d, class_images: list[torch.Tensor]
) -> None:
    images = torch.randn(1, 3, *size, requires_grad=True)
    matches = model(images, [*class_images, class_images[0][:, :4, :4]], train_mode=True, fine_tune_features=True)
    assert matches.class_scores.isfinite().all()
    assert matches.loc_scores.isfinite().all()
    (matches.class_scores.sum() + matches.loc_scores.sum()).backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()


@pytest.mark.parametrize(("train_mode", "fine_tune"), [(True, False), (False, True), (True, True)])
def test_the_backbone_learns_only_with_both_flags(
    train_mode: bool, fine_tune: bool, model: Os2d, images: torch.Tensor, class_images: list[torch.Tensor]
) -> None:
    matches = model(images, class_images, train_mode=train_mode, fine_tune_features=fine_tune)
    matches.class_scores.sum().backward()
    assert (model.net_feature_maps.conv1.weight.grad is not None) == (train_mode and fine_tune)
    assert model.os2d_head_creator.aligner.parameter_regressor.linear.weight.grad is not None


def test_detached_scores_are_equal_and_do_not_train_the_alignment(
    model: Os2d, images: torch.Tensor, class_images: list[torch.Tensor]
) -> None:
    matches = model(images, class_images, train_mode=True, fine_tune_features=True)
    torch.testing.assert_close(matches.class_scores_detached, matches.class_scores)
    matches.class_scores_detached.sum().backward()
    assert model.os2d_head_creator.aligner.parameter_regressor.linear.weight.grad is None
    assert model.net_feature_maps.conv1.weight.grad is not None
    assert not matches.corners.requires_grad


def test_without_gradient_both_scores_are_one_tensor(
    model: Os2d, images: torch.Tensor, class_images: list[torch.Tensor]
) -> None:
    with torch.no_grad():
        matches = model(images, class_images)
    assert matches.class_scores_detached is matches.class_scores


def test_a_model_used_in_inference_mode_can_be_trained_afterwards(
    model: Os2d, images: torch.Tensor, class_images: list[torch.Tensor]
) -> None:
    with torch.inference_mode():
        model(images, class_images)
    model(images, class_images, train_mode=True, fine_tune_features=True).class_scores.sum().backward()


def test_batch_statistics_keep_class_images_apart(model: Os2d, class_images: list[torch.Tensor]) -> None:
    model.train()
    with torch.no_grad():
        together = model.make_heads(class_images).templates
        alone = torch.cat([model.make_heads([image]).templates for image in class_images])
    torch.testing.assert_close(together, alone)


def test_modes_of_a_training_step(model: Os2d) -> None:
    transform_net = model.os2d_head_creator.aligner.parameter_regressor
    assert not model.training
    model.train(freeze_bn_in_extractor=True, freeze_bn_transform=True)
    assert not model.net_feature_maps.uses_batch_statistics()
    assert not transform_net.training
    assert transform_net.linear.weight.requires_grad
    model.train(freeze_transform_params=True)
    assert model.net_feature_maps.uses_batch_statistics()
    assert not transform_net.training
    assert not any(p.requires_grad for p in transform_net.parameters())
    model.eval()
    assert not any(p.requires_grad for p in transform_net.parameters())


def test_the_seed_decides_the_weights_and_the_global_generator_is_untouched() -> None:
    before = torch.get_rng_state()
    config = small_config()
    first, second = build_os2d(config), build_os2d(config)
    config.random_seed += 1
    other = build_os2d(config)
    assert torch.equal(before, torch.get_rng_state())
    key = "os2d_head_creator.aligner.parameter_regressor.conv.0.weight"
    assert torch.equal(first.state_dict()[key], second.state_dict()[key])
    assert not torch.equal(first.state_dict()[key], other.state_dict()[key])


def test_merged_branches_share_parameters_and_separate_ones_start_equal() -> None:
    config = small_config()
    merged = build_os2d(config)
    config.model.merge_branch_parameters = False
    separate = build_os2d(config)
    assert merged.merged
    assert not separate.merged
    assert len(list(separate.parameters())) > len(list(merged.parameters()))
    ours, theirs = separate.net_feature_maps, separate.net_label_features.net_class_features
    assert torch.equal(ours.conv1.weight, theirs.conv1.weight)
    assert ours.conv1.weight is not theirs.conv1.weight


def test_the_configuration_freezes_blocks_and_the_transformation() -> None:
    config = small_config()
    config.train.model.num_frozen_extractor_blocks = 1
    config.train.model.freeze_transform = True
    frozen = {name.split(".")[0:2][-1] for name, p in build_os2d(config).named_parameters() if not p.requires_grad}
    assert frozen == {"conv1", "bn1", "aligner"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.backbone_arch", "ResNet5", r"did you mean ResNet50\?"),
        ("model.backbone_cut", "layer5", "layer1, layer2, layer3"),
        ("model.template_grid", 1, "at least 2"),
        ("model.template_border", 4, "expected 0 to 3"),
        ("model.transform_net.kernel_sizes", [3, 3], "expected 3 values"),
        ("model.transform_net.kernel_sizes", [3, 3, 4], "odd"),
        ("model.transform_net.channels", [8, 0], "positive"),
        ("train.model.num_frozen_extractor_blocks", 6, "expected 0 to 5"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_its_key(key: str, value: object, message: str) -> None:
    config = small_config()
    config.merge_from_list([key, value])
    with pytest.raises(ConfigError, match=message) as caught:
        build_os2d(config)
    assert key in str(caught.value)
    assert repr(value) in str(caught.value)


def test_missing_inputs_are_named(model: Os2d, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="images or features"):
        model(class_images=[images[0]])
    with pytest.raises(ValueError, match="class_images or heads"):
        model(images)
    with pytest.raises(ValueError, match="at least one class image"):
        model(images, [])
