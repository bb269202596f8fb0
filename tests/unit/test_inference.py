"""What the network computes without gradients: faster, and the same."""

import copy
import io
import shutil

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from yacs.config import CfgNode

from os2d.config import default_config
from os2d.modeling import fft_convolution
from os2d.modeling.backbone import Backbone, build_backbone
from os2d.modeling.correlation import correlate, correlate_cells_last, normalise
from os2d.modeling.head import Matches
from os2d.modeling.model import build_os2d_from_config
from os2d.modeling.network import Os2d, build_os2d
from os2d.structures.sizes import Size


def config_with_large_kernels(**values: object) -> CfgNode:
    """A network so wide in its TransformNet that the Fourier transform pays."""
    config = default_config()
    config.is_cuda = False
    config.model.backbone_arch = "ResNet18"
    config.model.backbone_cut = "layer1"
    config.model.template_grid = 5
    config.model.template_border = 1
    config.model.transform_net.kernel_sizes = [7, 3]
    config.model.transform_net.channels = [64]
    config.merge_from_list([item for pair in values.items() for item in pair])
    return config


def network(**values: object) -> Os2d:
    model = build_os2d(config_with_large_kernels(**values))
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_mean", "norm.bias", "linear.weight")):
            tensor.normal_(0, 0.05, generator=generator)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2, generator=generator)
    return model


@pytest.fixture
def model() -> Os2d:
    return network()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 160, 236, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def class_images() -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(3, h, w, generator=generator) for h, w in ((20, 20), (24, 30), (20, 20))]


def learning(model: Os2d, images: Tensor, class_images: list[Tensor]) -> Matches:
    """What the network says while gradients are on: no folding, no transforms."""
    matches = model(images, class_images, train_mode=True, fine_tune_features=True)
    assert matches.class_scores.requires_grad
    return matches._replace(**{n: v.detach() for n, v in matches._asdict().items() if isinstance(v, Tensor)})


def inferred(model: Os2d, images: Tensor, class_images: list[Tensor]) -> Matches:
    with torch.no_grad():
        return model(images, class_images)


def assert_same(ours: Matches, expected: Matches, tolerance: float = 2e-4) -> None:
    for name in ("class_scores", "loc_scores", "corners"):
        torch.testing.assert_close(getattr(ours, name), getattr(expected, name), atol=tolerance, rtol=tolerance)


def test_inference_says_what_training_says(
    model: Os2d, images: Tensor, class_images: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    transformed = []
    convolve = fft_convolution.convolve
    monkeypatch.setattr(fft_convolution, "convolve", lambda *args: transformed.append(1) or convolve(*args))
    expected = learning(model, images, class_images)
    assert not transformed
    assert_same(inferred(model, images, class_images), expected)
    assert transformed


def test_it_follows_the_weights_through_training_and_back(
    model: Os2d, images: Tensor, class_images: list[Tensor]
) -> None:
    before = inferred(model, images, class_images)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-2)
    for _ in range(2):
        model.train()
        model(images, class_images, train_mode=True, fine_tune_features=True).class_scores.sum().backward()
        optimiser.step()
        model.eval()
        with torch.inference_mode():
            after = model(images, class_images)
        assert not torch.allclose(after.class_scores, before.class_scores, atol=1e-3)
        assert_same(after, learning(model, images, class_images))
        before = after


def test_it_follows_loaded_weights_and_statistics(model: Os2d, images: Tensor, class_images: list[Tensor]) -> None:
    inferred(model, images, class_images)
    other = network(random_seed=7)
    model.load_state_dict(other.state_dict())
    assert_same(inferred(model, images, class_images), learning(other, images, class_images))
    model.net_feature_maps.bn1.running_mean += 0.1
    assert_same(inferred(model, images, class_images), learning(model, images, class_images))


def test_copies_pickles_and_keys_do_not_know_what_was_prepared(
    model: Os2d, images: Tensor, class_images: list[Tensor]
) -> None:
    keys, bytes_before = list(model.state_dict()), pickled_size(model)
    expected = inferred(model, images, class_images)
    assert list(model.state_dict()) == keys
    assert pickled_size(model) == bytes_before
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.net_feature_maps.conv1.weight.mul_(-1)
    assert not torch.allclose(inferred(twin, images, class_images).class_scores, expected.class_scores, atol=1e-3)
    assert torch.equal(inferred(model, images, class_images).class_scores, expected.class_scores)


def pickled_size(model: Os2d) -> int:
    file = io.BytesIO()
    torch.save(model, file)
    return len(file.getvalue())


def test_repeated_inference_is_equal_to_the_bit(model: Os2d, images: Tensor, class_images: list[Tensor]) -> None:
    first, second = (inferred(model, images, class_images) for _ in range(2))
    assert torch.equal(first.class_scores, second.class_scores)
    assert torch.equal(first.loc_scores, second.loc_scores)


def test_the_budget_decides_how_many_classes_are_matched_at_once(
    model: Os2d, images: Tensor, class_images: list[Tensor]
) -> None:
    expected = inferred(model, images, class_images)
    per_class = 512 / model.classes_per_chunk(expected.fm_size, len(images), 512)
    model.head_memory_mb = 2.5 * per_class
    assert model.classes_per_chunk(expected.fm_size, len(images)) == 2
    assert_same(inferred(model, images, class_images), expected)
    assert model.classes_per_chunk(Size(118, 80), 1, 512) < model.classes_per_chunk(expected.fm_size, 1, 512)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(("arch", "group_norm"), [("ResNet18", False), ("ResNet50", False), ("ResNet18", True)])
def test_folded_norms_and_layouts_give_the_same_features(
    arch: str, group_norm: bool, channels_last: bool, images: Tensor
) -> None:
    backbone = build_backbone(arch, group_norm, "layer2", torch.Generator().manual_seed(0)).eval()
    backbone.channels_last = channels_last
    disturb_norms(backbone)
    with torch.no_grad():
        features = backbone(images)
        alone = backbone(images[1:])
    expected = backbone(images)
    scale = expected.detach().abs().max()
    torch.testing.assert_close(features / scale, expected.detach() / scale, atol=1e-5, rtol=0)
    torch.testing.assert_close(alone / scale, features[1:] / scale, atol=1e-5, rtol=0)
    assert features.is_contiguous(memory_format=torch.channels_last) == channels_last


def disturb_norms(backbone: Backbone) -> None:
    generator = torch.Generator().manual_seed(3)
    for name, tensor in backbone.state_dict().items():
        if "bn" in name and tensor.is_floating_point():
            tensor.add_(torch.rand(tensor.shape, generator=generator) * 0.2)


def test_norms_that_gather_statistics_are_not_folded(images: Tensor) -> None:
    backbone = build_backbone("ResNet18", False, "layer1", torch.Generator().manual_seed(0)).train()
    with torch.no_grad():
        backbone(images)
    assert backbone.bn1.num_batches_tracked == 1


def test_cells_last_is_another_layout_of_the_same_correlation() -> None:
    features, templates = torch.randn(2, 6, 3, 4), torch.randn(5, 6, 3, 3)
    cells_last = correlate_cells_last(features, templates)
    torch.testing.assert_close(cells_last.movedim(-1, 2).flatten(0, 1), correlate(features, templates))


def test_features_without_length_are_similar_to_nothing() -> None:
    assert normalise(torch.zeros(1, 3, 2, 2)).eq(0).all()


def test_lengths_are_measured_in_float32() -> None:
    features = torch.full((1, 4096, 1, 1), 0.25, dtype=torch.bfloat16)
    assert normalise(features).dtype is torch.float32
    torch.testing.assert_close(normalise(features), torch.full((1, 4096, 1, 1), 1 / 64), atol=1e-7, rtol=1e-5)


def test_low_precision_changes_scores_little_and_geometry_stays_float32(
    model: Os2d, images: Tensor, class_images: list[Tensor]
) -> None:
    expected = inferred(model, images, class_images)
    low = network(**{"eval.precision": "bf16"})
    matches = inferred(low, images, class_images)
    assert {matches.class_scores.dtype, matches.loc_scores.dtype, matches.corners.dtype} == {torch.float32}
    assert 1e-6 < (matches.class_scores - expected.class_scores).abs().max() < 0.02
    assert (matches.corners - expected.corners).abs().mean() < 1
    assert_same(learning(low, images, class_images), learning(model, images, class_images))


class FailsOnHostReads(TorchDispatchMode):
    """Fails on operators whose result the host has to wait for on a GPU."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique", "item")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.name().removeprefix("aten::").partition(".")[0]
        boolean_index = name == "index" and any(i is not None and i.dtype is torch.bool for i in args[1])
        if name.startswith(self.WAITING) or boolean_index:
            raise AssertionError(f"the host waits for {name}")
        return func(*args, **(kwargs or {}))


def test_matching_never_waits_for_a_value(model: Os2d, images: Tensor, class_images: list[Tensor]) -> None:
    with torch.no_grad():
        features, heads = model.extract_features(images), model.make_heads(class_images)
        model.head_memory_mb = 0
        with FailsOnHostReads():
            model.match(features, heads)
            with pytest.raises(AssertionError, match="the host waits"):
                features.max().item()


def test_the_published_builder_returns_the_published_tuple() -> None:
    cfg = config_with_large_kernels()
    net, box_coder, criterion, img_normalization, optimizer_state = build_os2d_from_config(cfg)
    assert not net.training
    assert box_coder is net.box_coder
    assert criterion.neg_margin == cfg.train.objective.neg_margin
    assert img_normalization == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    assert optimizer_state is None
    expected = build_os2d(cfg).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in net.state_dict().items())


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_says_the_same_under_the_same_names(
    model: Os2d, images: Tensor, class_images: list[Tensor]
) -> None:
    compiled = network(**{"runtime.compile": True})
    assert list(compiled.state_dict()) == list(model.state_dict())
    assert_same(inferred(compiled, images, class_images), inferred(model, images, class_images))
    with torch.no_grad():
        for each in (compiled, model):
            each.net_feature_maps.conv1.weight.mul_(0.5)
    assert_same(inferred(compiled, images, class_images), inferred(model, images, class_images))
    twin = copy.deepcopy(compiled)
    assert_same(inferred(twin, images, class_images), inferred(model, images, class_images))
