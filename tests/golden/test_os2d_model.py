from functools import cache

import numpy as np
import pytest
import torch
from golden_cases import Case, Golden
from os2d_inputs import fill_os2d, make_image

from os2d.config import default_config
from os2d.modeling.correlation import correlate, normalise
from os2d.modeling.network import Os2d, build_os2d

FORWARD = "os2d/model_forward.npz"
INPUTS = "os2d/model_forward_inputs.npz"
READS = pytest.mark.reads(FORWARD, INPUTS)
VARIANTS = [
    "inverse0_simplified0",
    "inverse0_simplified1",
    "inverse1_simplified0",
    "inverse1_simplified1",
    "inverse1_simplified0_separate_branches",
]
WITH_GRADIENTS = ["inverse1_simplified0", "inverse1_simplified1"]
TOLERANCES = {
    "loc_scores": 2e-4,
    "class_scores": 2e-5,
    "class_scores_transform_detached": 2e-5,
    "transform_corners": 0.02,
}


@cache
def model_of(backbone: str, variant: str) -> Os2d:
    config = default_config()
    config.model.backbone_arch = backbone
    config.model.use_inverse_geom_model = "inverse1" in variant
    config.model.use_simplified_affine_model = "simplified1" in variant
    config.model.merge_branch_parameters = "separate_branches" not in variant
    model = build_os2d(config)
    fill_os2d(model, merged=config.model.merge_branch_parameters)
    return model


def inputs_of(case: Case, meta: dict) -> tuple[torch.Tensor, list[torch.Tensor]]:
    images = torch.from_numpy(case["images"]).float()
    class_images = [torch.from_numpy(case[f"class_image_{i}"]).float() for i in range(len(meta["class_hw"]))]
    for seed, image in zip(meta["image_seeds"] + meta["class_image_seeds"], [*images, *class_images], strict=True):
        np.testing.assert_array_equal(image.numpy(), make_image(seed, *image.shape[1:]))
    return images, class_images


def assert_relative(values: torch.Tensor, expected: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(values.numpy(), expected, rtol=0, atol=tolerance * np.abs(expected).max())


@READS
def test_every_variant_is_compared(golden: Golden) -> None:
    golden(INPUTS)
    assert set(golden(FORWARD).meta["variants"]) <= set(VARIANTS)


@READS
@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_boxes_and_corners(variant: str, golden: Golden) -> None:
    case = golden(FORWARD)
    images, class_images = inputs_of(golden(INPUTS), case.meta)

    with torch.no_grad():
        matches = model_of(case.meta["backbone"], variant)(images, class_images)

    assert list(matches.fm_size) == case[f"{variant}/fm_size_wh"].tolist()
    assert matches.class_scores_detached is matches.class_scores
    computed = (matches.loc_scores, matches.class_scores, matches.class_scores_detached, matches.corners)
    for (name, tolerance), values in zip(TOLERANCES.items(), computed, strict=True):
        expected = case[f"{variant}/{name}"]
        np.testing.assert_allclose(values.numpy(), expected, rtol=0, atol=tolerance, err_msg=name)


@READS
@pytest.mark.parametrize("variant", WITH_GRADIENTS)
@pytest.mark.parametrize(("kind", "scores"), [("scores", "class_scores"), ("detached", "class_scores_detached")])
def test_gradients(variant: str, kind: str, scores: str, golden: Golden) -> None:
    case = golden(FORWARD)
    images, class_images = inputs_of(golden(INPUTS), case.meta)
    model = model_of(case.meta["backbone"], variant)
    with torch.no_grad():
        features, heads = model.extract_features(images), model.make_heads(class_images)
    features.requires_grad_()
    values = getattr(model(features=features, heads=heads), scores)
    weights = np.random.default_rng(case.meta["score_weight_seed"]).standard_normal(tuple(values.shape))

    bias = model.os2d_head_creator.aligner.parameter_regressor.linear.bias
    loss = (values * torch.from_numpy(weights.astype(np.float32))).sum()
    feature_gradient, bias_gradient = torch.autograd.grad(loss, [features, bias], allow_unused=True)

    expected = case[f"{variant}/grad_{kind}_wrt_features_every_32nd_channel"]
    assert_relative(feature_gradient[:, ::32], expected, 1e-3)
    expected = case[f"{variant}/grad_{kind}_wrt_linear_bias"]
    if expected.any():
        assert_relative(bias_gradient, expected, 1e-3)
    else:
        assert bias_gradient is None or not bias_gradient.any()


@READS
def test_intermediate_tensors(golden: Golden) -> None:
    case = golden(FORWARD)
    images, class_images = inputs_of(golden(INPUTS), case.meta)
    model = model_of(case.meta["backbone"], "inverse1_simplified0")
    head = model.os2d_head_creator

    with torch.no_grad():
        heads = model.make_heads(class_images)
        correlation = correlate(normalise(model.extract_features(images)), heads.templates)
        parameters = head.aligner.parameter_regressor(correlation)

    inside = head.template.inside
    for mask in case["intermediate/class_pool_mask"][:, 0]:
        assert np.count_nonzero(mask) == np.count_nonzero(mask[inside, inside]) == mask[inside, inside].size
        np.testing.assert_allclose(mask[inside, inside], 1 / mask[inside, inside].size, rtol=1e-6)
    expected = case["intermediate/class_features_every_32nd_channel"]
    np.testing.assert_allclose(heads.templates[:, ::32].numpy(), expected, atol=2e-5)
    expected = case["intermediate/correlation_every_9th_channel"]
    np.testing.assert_allclose(correlation[:, ::9].numpy(), expected, atol=2e-5)
    np.testing.assert_allclose(parameters.numpy(), case["intermediate/transform_parameters"], atol=1e-4)
