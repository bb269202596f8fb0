import pickle
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import Golden
from onenet_inputs import configuration

from baselines.onenet.modeling.model import build_model, lay_out_model
from baselines.onenet.modeling.weights import load_init_model
from os2d.modeling.conversion.convert_file import convert_file

CONFIG_OF = {
    "r18_dcn": "onenet.res18.dcn",
    "r18_nodcn": "onenet.res18.nodcn",
    "r50_dcn": "onenet.res50.dcn",
    "fcos_r50": "onenet.fcos.res50",
    "retinanet_r50": "onenet.retinanet.res50",
}


def cases(kind: str, names: Iterable[str]):
    return [pytest.param(name, marks=pytest.mark.reads(f"onenet/{kind}_{name}.json")) for name in names]


def described(tensors: dict[str, torch.Tensor]) -> dict[str, list[object]]:
    return {name: [list(tensor.shape), str(tensor.dtype).removeprefix("torch.")] for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    "name",
    cases(
        "state_dict",
        [
            *("r18_dcn", "r18_nodcn", "r50_dcn", "r50_nodcn", "fcos_r50", "retinanet_r50"),
            *("fcos_r50_crowdhuman", "retinanet_r50_crowdhuman"),
        ],
    ),
)
def test_names_shapes_and_order_are_those_of_published_checkpoints(name: str, golden: Golden) -> None:
    expected = golden.json(f"onenet/state_dict_{name}.json")

    model = lay_out_model(configuration(expected["config"]))

    assert list(described(model.state_dict()).items()) == list(expected["state_dict"].items())
    assert sum(parameter.numel() for parameter in model.parameters()) == expected["parameters"]
    assert (
        sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) == expected["trainable"]
    )


@pytest.mark.parametrize("name", cases("torchvision_pkl", ["r18", "r50"]))
def test_a_converted_resnet_has_the_published_names_and_fills_the_backbone(
    name: str, golden: Golden, tmp_path: Path
) -> None:
    expected = golden.json(f"onenet/torchvision_pkl_{name}.json")
    names = expected["torchvision_to_pkl"]
    weights = {
        theirs: torch.full(shape, number % 97 + 0.5).to(getattr(torch, dtype))
        for number, (theirs, (_, shape, dtype)) in enumerate(names.items())
    }
    torch.save(weights, tmp_path / "torchvision.pth")

    convert_file(tmp_path / "torchvision.pth", target="detectron2", output=tmp_path / "converted.pkl")
    content = pickle.loads((tmp_path / "converted.pkl").read_bytes())

    assert content.keys() == {"model", *expected["pickle_keys"]}
    assert (content["__author__"], content["matching_heuristics"]) == (expected["author"], True)
    assert all(type(array) is np.ndarray for array in content["model"].values())
    assert {key: [list(array.shape), str(array.dtype)] for key, array in content["model"].items()} == {
        ours: [shape, dtype] for ours, shape, dtype in names.values()
    }
    for theirs, (ours, _, _) in names.items():
        np.testing.assert_array_equal(content["model"][ours], weights[theirs], err_msg=ours)
    check_loading(expected, content["model"], tmp_path)


def check_loading(expected: dict, converted: dict[str, np.ndarray], folder: Path) -> None:
    """Load the converted file and the one it was made from: both fill the same names, and leave the same ones."""
    sources = expected["loaded_into"]["model_key_from_pkl_key"]
    config = configuration(expected["loaded_into"]["config"])
    for file in ("converted.pkl", "torchvision.pth"):
        model = build_model(config)
        before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        load_init_model(model, folder / file)
        changed = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
        assert changed <= set(sources)
        for key, source in sources.items():
            np.testing.assert_array_equal(model.state_dict()[key], converted[source], err_msg=key)
        left = [key for key in before if key not in sources and not key.endswith("num_batches_tracked")]
        assert len(before) - len(sources) == expected["model_keys_not_loaded_count"], left
    assert sorted(set(converted) - set(sources.values())) == sorted(expected["pkl_keys_unused"])


@pytest.mark.reads("onenet/init_stats.json")
def test_fresh_weights_are_distributed_as_published(golden: Golden) -> None:
    expected = golden.json("onenet/init_stats.json")["stats"]
    for name, parameters in expected.items():
        state = build_model(configuration(CONFIG_OF[name])).state_dict()
        for key, (shape, mean, deviation, largest) in parameters.items():
            values = state[key]
            assert list(values.shape) == shape, key
            if deviation < 1e-6:  # a constant
                assert values.max() == values.min(), key
                assert values.mean().item() == pytest.approx(mean, abs=1e-4), key
                continue
            count = values.numel()
            # Two draws of one distribution: their moments differ by a few standard errors, the bound of a uniform one
            # by less than its spacing; the largest of a normal one by a tenth.
            assert values.std().item() == pytest.approx(deviation, rel=8 / count**0.5), key
            assert values.mean().item() == pytest.approx(mean, abs=8 * deviation / count**0.5), key
            assert values.abs().max().item() == pytest.approx(largest, rel=0.25 if count > 100 else 1.0), key
