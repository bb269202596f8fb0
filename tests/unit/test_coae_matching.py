"""What evaluation computes once equals what the whole network computes for every image and class."""

import re

import pytest
import torch
from torchvision.ops import roi_align
from typer.testing import CliRunner

from baselines.coae.bench import app
from baselines.coae.config import default_config
from baselines.coae.modeling.matching import Matcher
from baselines.coae.modeling.model import CoAE, build_coae
from baselines.coae.modeling.region_pooling import pool_regions


def network(net: str, *, group_norm: bool) -> CoAE:
    config = default_config()
    config.merge_from_list(["model.net", net, "model.group_norm", group_norm, "eval.proposals.after_nms", 6])
    generator = torch.Generator().manual_seed(0)
    model = build_coae(config, generator).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if "bn3.weight" in name or "bn2.weight" in name or "downsample.1.weight" in name:
                tensor.fill_(0.3)  # otherwise activations of random weights double from block to block
            elif name.endswith("running_mean"):
                tensor.normal_(std=0.1, generator=generator)
            elif name.startswith(("match_net.Q.1", "match_net.W.1")) and name.endswith(("weight", "bias")):
                tensor.normal_(std=0.3, generator=generator)
            elif name.startswith("RCNN_rpn") and name.endswith("weight"):
                tensor.mul_(5)
    return model


@pytest.mark.parametrize(("net", "group_norm"), [("res50", False), ("res50", True), ("res18", True)])
def test_an_image_with_several_queries(net: str, group_norm: bool) -> None:
    model = network(net, group_norm=group_norm)
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(1, 3, 72, 100, generator=generator)
    queries = torch.randn(2, 3, 40, 40, generator=generator)
    sizes = torch.tensor([[72.0, 100.0]])

    matcher = Matcher(model)
    found = matcher.match(matcher.see(image[0]), matcher.learn(queries))

    for k in range(2):
        expected = model(image, queries[k : k + 1], sizes)
        torch.testing.assert_close(found.regions_BP4[k], expected.regions_BP4[0], rtol=1e-3, atol=1e-2)
        torch.testing.assert_close(found.scores_BP[k], expected.scores_BP[0], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found.deltas_BP4[k], expected.deltas_BP4[0], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found.gate_BC11[k], expected.gate_BC11[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("cells", [range(7), (0, 2, 4, 6)])
def test_pooling_of_some_cells_equals_roi_align(cells: range | tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(1, 5, 19, 23, generator=generator)
    corners = torch.rand(60, 2, 2, generator=generator).sort(dim=1).values * torch.tensor([367.0, 303.0])
    regions = torch.cat(
        [corners.flatten(1), torch.zeros(1, 4), torch.tensor([[0.0, 0, 367, 303], [360, 300, 367, 303]])]
    )
    expected = roi_align(features, [regions], 7, 1 / 16, sampling_ratio=-1, aligned=False)
    index = torch.tensor(list(cells))
    found = pool_regions(features[0].permute(1, 2, 0), regions, list(cells), 7).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, expected[:, :, index][:, :, :, index], rtol=1e-4, atol=1e-5)


def test_the_benchmark_compares_both_loops() -> None:
    sizes = ["--net", "res18", "--side", "64", "--query", "32", "--classes", "1", "--repeat", "1"]
    result = CliRunner().invoke(app, ["coae", *sizes])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("res18, image 85 x 64, 1 classes of 32 x 32")
    assert re.search(r"^times faster: \d+\.\d\d$", result.output, re.MULTILINE)
