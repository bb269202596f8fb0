import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import conv2d

from os2d.modeling.fft_convolution import convolve, kernel_spectra, pays, peak_floats

LARGE_MAP = (60, 80)


def random_layer(seed: int, kernel: int, channels: tuple[int, int], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, channels[0], *size, generator=generator)
    return maps, torch.randn(channels[1], channels[0], kernel, kernel, generator=generator)


def transformed(maps_NCHW: Tensor, weight_OCkk: Tensor) -> Tensor:
    return convolve(maps_NCHW.permute(0, 2, 3, 1), kernel_spectra(weight_OCkk)).permute(0, 3, 1, 2)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 1000), st.sampled_from([1, 3, 5, 7, 11]), st.tuples(*[st.integers(1, 4)] * 2),
    st.tuples(*[st.integers(1, 45)] * 2),
)  # fmt: skip
def test_it_is_a_convolution(seed: int, kernel: int, channels: tuple[int, int], size: tuple[int, int]) -> None:
    maps, weight = random_layer(seed, kernel, channels, size)
    exact = conv2d(maps.double(), weight.double(), padding=kernel // 2)
    torch.testing.assert_close(transformed(maps.double(), weight.double()), exact, atol=1e-12, rtol=1e-12)
    scale = exact.abs().max().item() + 1
    torch.testing.assert_close(transformed(maps, weight).double(), exact, atol=3e-6 * scale, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 33), (33, 1), (2, 3), (20, 20), (21, 19), (40, 41)])
def test_maps_of_one_row_smaller_than_the_kernel_or_as_large_as_tiles(size: tuple[int, int]) -> None:
    maps, weight = random_layer(0, 7, (3, 2), size)
    torch.testing.assert_close(transformed(maps, weight), conv2d(maps, weight, padding=3), atol=1e-4, rtol=0)


def test_leading_dimensions_of_any_strides_are_kept() -> None:
    maps, weight = random_layer(0, 5, (6, 2), (9, 22))
    maps_23HWC = torch.stack([maps, maps + 1, -maps]).permute(1, 3, 4, 0, 2).contiguous().permute(0, 3, 1, 2, 4)
    outputs = convolve(maps_23HWC, kernel_spectra(weight))
    assert outputs.shape == (2, 3, 9, 22, 2)
    torch.testing.assert_close(outputs[:, 2].permute(0, 3, 1, 2), conv2d(-maps, weight, padding=2), atol=2e-5, rtol=0)


def test_large_kernels_over_many_channels_on_large_maps_pay() -> None:
    large = torch.empty(128, 225, 7, 7)
    assert pays(4, *LARGE_MAP, large)
    assert pays(4, *LARGE_MAP, torch.empty(64, 128, 5, 5))


@pytest.mark.parametrize(
    ("num_maps", "size", "weight"),
    [
        (4, (5, 5), torch.empty(128, 225, 7, 7)),
        (1, (20, 20), torch.empty(128, 225, 7, 7)),
        (4, LARGE_MAP, torch.empty(6, 64, 5, 5)),
        (4, LARGE_MAP, torch.empty(64, 128, 1, 1)),
        (4, LARGE_MAP, torch.empty(128, 225, 7, 7, dtype=torch.bfloat16)),
        (4, LARGE_MAP, torch.empty(128, 225, 7, 7, device="meta")),
    ],
    ids=["small map", "too little work to read the spectra", "few outputs", "small kernel", "low precision", "device"],
)
def test_other_convolutions_stay_direct(num_maps: int, size: tuple[int, int], weight: Tensor) -> None:
    assert not pays(num_maps, *size, weight)


def test_memory_grows_with_the_tiles() -> None:
    assert peak_floats(20, 20, 7, 225, 128) == peak_floats(1, 1, 7, 225, 128)
    assert peak_floats(40, 60, 7, 225, 128) == 6 * peak_floats(20, 20, 7, 225, 128)
