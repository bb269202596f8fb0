"""Pictures of different sizes that pass a network together get the descriptors that each gets alone."""

import pytest
import torch
from torch import nn

from baselines.detector_retrieval.retrieval.descriptors import (
    EVALUATION_SCALES,
    describe,
    describe_by_size,
    to_whole_size,
)
from baselines.detector_retrieval.retrieval.network import NetworkDescription, RetrievalNetwork, build_network
from baselines.detector_retrieval.retrieval.ragged_resnet import RaggedResNet

SIZES = ((33, 70), (1, 1), (64, 64), (97, 5), (16, 130), (1, 40))


@pytest.fixture(scope="module")
def network() -> RetrievalNetwork:
    generator = torch.Generator().manual_seed(3)
    network = build_network(NetworkDescription("resnet50"), generator)
    for module in network.features.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            for values in (module.bias.data, module.running_mean):
                values.normal_(0, 0.3, generator=generator)
    return network


@pytest.fixture(scope="module")
def pictures() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(3, *size, generator=generator) for size in SIZES]


@torch.no_grad()
def test_features_are_those_of_the_plain_network(network: RetrievalNetwork, pictures: list[torch.Tensor]) -> None:
    ragged = RaggedResNet(network._folded)
    ragged(pictures[::-1])  # leaves other values behind in memory that is used again
    for found, picture in zip(ragged(pictures), pictures, strict=True):
        expected = network.features(picture[None])
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.max()))


def test_descriptors_over_scales_are_those_of_each_picture_alone(
    network: RetrievalNetwork, pictures: list[torch.Tensor]
) -> None:
    alone = torch.cat([describe(network, picture[None], EVALUATION_SCALES, to_whole_size) for picture in pictures])
    found = describe_by_size(network, pictures, EVALUATION_SCALES, to_whole_size)
    torch.testing.assert_close(found, alone.detach(), rtol=0, atol=1e-6)


def test_new_weights_are_seen(pictures: list[torch.Tensor]) -> None:
    network = build_network(NetworkDescription("resnet50", "mac"), torch.Generator().manual_seed(5))
    before = describe_by_size(network, pictures[:1])
    with torch.no_grad():
        next(network.features.get_submodule("7.2.conv3").parameters()).neg_()
    after = describe_by_size(network, pictures[:1])
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, network(pictures[0][None]).detach(), rtol=0, atol=1e-6)


def test_memory_made_in_inference_mode_serves_outside_of_it(pictures: list[torch.Tensor]) -> None:
    network = build_network(NetworkDescription("resnet50"), torch.Generator().manual_seed(6))
    with torch.inference_mode():
        inside = describe_by_size(network, pictures[:2])
    torch.testing.assert_close(describe_by_size(network, pictures[:2]), inside.clone())


@torch.no_grad()
def test_networks_without_bottlenecks_or_that_learn_take_one_size() -> None:
    assert not build_network(NetworkDescription("resnet18")).takes_any_sizes
    network = build_network(NetworkDescription("resnet50"))
    assert network.takes_any_sizes
    with torch.enable_grad():
        assert not network.takes_any_sizes
