from collections.abc import Iterable

import numpy as np
import pytest
import torch
from fill import fill_state_dict
from golden_cases import Case, Golden
from onenet_inputs import filled_model, sliced

from baselines.onenet.modeling.neck import DeformableStage, PlainStage
from baselines.onenet.structures import HeadOutput
from os2d.structures.sizes import Size

README_MODELS = ("r18_dcn", "r18_nodcn", "r50_dcn", "r50_nodcn")


def cases(names: Iterable[str], *kinds: str):
    """Return test parameters: a name, and the kinds of case that are read for it."""
    return [
        pytest.param(name, marks=pytest.mark.reads(*(f"onenet/{kind}_{name}.npz" for kind in kinds))) for name in names
    ]


def assert_close(computed: torch.Tensor, expected: np.ndarray, tolerance: float, name: str) -> None:
    """Compare relative to the largest value of the tensor."""
    np.testing.assert_allclose(
        computed.detach().numpy(), expected, rtol=0, atol=tolerance * np.abs(expected).max(), err_msg=name
    )


def statistics(tensor: torch.Tensor) -> torch.Tensor:
    return torch.stack((tensor.mean(), tensor.std(), tensor.abs().max()))


@pytest.mark.parametrize("name", cases(README_MODELS, "backbone_neck", "e2e_eval"))
def test_features_and_detections(name: str, golden: Golden) -> None:
    check_features(golden(f"onenet/backbone_neck_{name}.npz"))
    check_detections(golden(f"onenet/e2e_eval_{name}.npz"))


@pytest.mark.parametrize("name", cases(("fcos", "retinanet"), "e2e_eval"))
def test_detections_of_pyramids(name: str, golden: Golden) -> None:
    check_detections(golden(f"onenet/e2e_eval_{name}.npz"))


def check_detections(case: Case) -> None:
    model, meta = filled_model(case.meta), case.meta

    with torch.no_grad():
        (found,) = model([torch.from_numpy(case["image"])], output_sizes=[Size(meta["width"], meta["height"])])

    np.testing.assert_allclose(found.scores_N, case["scores"], rtol=0, atol=1e-5)
    # Where scores are almost equal, rounding decides their order.
    group = np.concatenate([[0], np.cumsum(-np.diff(case["scores"]) > 1e-5)])
    rank = np.lexsort((found.boxes_N4[:, 0], found.classes_N, group))
    expected_rank = np.lexsort((case["boxes"][:, 0], case["classes"], group))
    np.testing.assert_array_equal(found.classes_N[rank], case["classes"][expected_rank])
    np.testing.assert_allclose(found.boxes_N4[rank], case["boxes"][expected_rank], rtol=0, atol=2e-3)


def check_features(case: Case) -> None:
    model = filled_model(case.meta)
    neck = model.head.deconv
    computed: dict[str, torch.Tensor] = {}

    def keep(part: str):
        return lambda module, inputs, output: computed.__setitem__(part, output)

    parts = {part: getattr(neck, part) for number in (1, 2, 3) for part in (f"deconv{number}", f"lateral_conv{number}")}
    if isinstance(neck.deconv1, DeformableStage):
        parts |= {"dcn_offset1": neck.deconv1.dcn_offset, "dcn_out1": neck.deconv1.dcn}
    handles = [module.register_forward_hook(keep(part)) for part, module in parts.items()]

    with torch.no_grad():
        features = model.backbone(model.batch([torch.from_numpy(case["image"])]))
        computed |= {**features, "neck": neck(*features.values())}
    for handle in handles:
        handle.remove()

    recorded = {key for key in case if not key.endswith("_stat")} - {"meta", "image"}
    assert recorded == computed.keys()
    for part in recorded:
        slices = next(text for start, text in case.meta["slices"].items() if part.startswith(start))
        assert_close(sliced(computed[part], slices), case[part], 1e-4, part)
        if f"{part}_stat" in case:
            assert_close(statistics(computed[part]), case[f"{part}_stat"], 1e-4, f"{part}_stat")


@pytest.mark.parametrize("name", cases(("dcn_v2", "dcn_v1", "conv"), "deconv_layer"))
def test_stage_of_the_neck(name: str, golden: Golden) -> None:
    case = golden(f"onenet/deconv_layer_{name}.npz")
    x = torch.from_numpy(case["x"]).requires_grad_()
    inside, outside = x.shape[1], case["out_eval"].shape[1]
    stage = (
        PlainStage(inside, outside, kernel=4)
        if name == "conv"
        else DeformableStage(inside, outside, kernel=4, modulated=name == "dcn_v2")
    )
    fill_state_dict(stage)

    with torch.no_grad():
        in_evaluation = stage.eval()(x)
    in_training = stage.train()(x)
    (in_training * torch.from_numpy(case["weight_for_grad"])).sum().backward()

    assert_close(in_evaluation, case["out_eval"], 1e-5, "out_eval")
    assert_close(in_training, case["out_train"], 1e-5, "out_train")
    gradients = {"grad_x": x.grad} | {f"grad__{key}": value.grad for key, value in stage.named_parameters()}
    assert {key for key in case if key.startswith("grad_")} == gradients.keys()
    for key in gradients.keys() - {"grad__conv.bias"}:  # a norm follows: rounding is all there is
        gradient, expected = gradients[key].flatten(), case[key].reshape(-1)
        assert_close(gradient[::4] if gradient.numel() >= 3000 else gradient, expected, 1e-4, key)
    for statistic in ("running_mean", "running_var"):
        assert_close(getattr(stage.up_bn, statistic), case[f"up_bn_{statistic}_after"], 1e-5, statistic)


@pytest.mark.parametrize("name", cases(("centernet_dcn", "centernet_nodcn", "fcos", "retinanet"), "head"))
def test_head(name: str, golden: Golden) -> None:
    case = golden(f"onenet/head_{name}.npz")
    model = filled_model(case.meta)
    features = [torch.from_numpy(case[key].astype(np.float32)) for key in model.in_features]

    with torch.no_grad():
        output = HeadOutput(*model.head(features), image_sizes=())

    check_head(output, case)


def check_head(output: HeadOutput, case: Case) -> None:
    slices = case.meta["slices"]["logits"]
    logits_BKL, boxes_B4L = output.logits_BKL, output.boxes_B4L
    np.testing.assert_allclose(
        sliced(logits_BKL, slices), case["logits"].reshape(*case["logits"].shape[:2], -1), rtol=0, atol=1e-4
    )
    np.testing.assert_allclose(statistics(logits_BKL), case["logits_stat"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(boxes_B4L, case["boxes"].reshape(boxes_B4L.shape), rtol=0, atol=1e-3)
    priors = case["anchors"] if "anchors" in case else case["locations"]
    np.testing.assert_allclose(output.priors_PL, priors[0].reshape(output.priors_PL.shape), rtol=0, atol=1e-3)
    if "levels" in case:
        np.testing.assert_array_equal(output.levels_L, case["levels"].reshape(-1))
