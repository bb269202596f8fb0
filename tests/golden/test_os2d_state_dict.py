import pytest
from golden_cases import Golden

from os2d.config import default_config
from os2d.modeling.model import build_os2d

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
