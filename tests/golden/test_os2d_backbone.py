import numpy as np
import pytest
import torch
from fill import fill_state_dict
from golden_cases import Golden
from os2d_inputs import make_image

from os2d.modeling.backbone import build_backbone
from os2d.structures.sizes import Size

CASES = [
    pytest.param(name, marks=pytest.mark.reads(f"os2d/{name}.npz"))
    for name in ("feature_extractor_resnet50_bn", "feature_extractor_resnet50_gn", "feature_extractor_resnet101_bn")
]


@pytest.mark.parametrize("name", CASES)
def test_features(name: str, golden: Golden) -> None:
    case = golden(f"os2d/{name}.npz")
    meta = case.meta
    image = case["image"].astype(np.float32)
    np.testing.assert_array_equal(make_image(meta["image_seed"], *meta["hw"]), image)
    backbone = build_backbone(meta["arch"], meta["group_norm"], "layer3").eval()
    fill_state_dict(backbone)

    with torch.no_grad():
        features = backbone(torch.from_numpy(image)[None])[0]

    assert list(features.shape) == case["shape"].tolist()
    assert backbone.feature_map_size(Size.of_tensor(torch.from_numpy(image))) == Size.of_tensor(features)
    computed = {
        "features_every_16th_channel": features[:: meta["channel_stride"]],
        "mean": features.mean(),
        "std": features.std(),
        "channel_mean": features.mean(dim=(1, 2)),
        "per_pixel_norm": features.norm(dim=0),
    }
    for quantity, values in computed.items():
        expected = case[quantity]
        tolerance = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(values.numpy(), expected, rtol=0, atol=tolerance, err_msg=quantity)
