import json

import numpy as np
import pytest
import torch
from fill import fill_state_dict
from golden_cases import Case, Golden
from torch import Tensor

from baselines.detector_retrieval.retrieval.descriptors import (
    EVALUATION_SCALES,
    ONE_SCALE,
    TRAINING_SCALES,
    by_factor,
    describe,
    to_whole_size,
)
from baselines.detector_retrieval.retrieval.losses import contrastive_loss, triplet_loss
from baselines.detector_retrieval.retrieval.network import NetworkDescription, RetrievalNetwork, build_network
from baselines.detector_retrieval.retrieval.pooling import (
    generalised_mean,
    l2_normalise,
    maximum,
    mean,
    regional_maximum,
)
from baselines.detector_retrieval.retrieval.whitening import learn_pca_whitening, learn_whitening


def filled_network(case: Case, description: NetworkDescription) -> RetrievalNetwork:
    network = build_network(description)
    fill_state_dict(network)
    scales = json.loads(str(case["param_scales"]))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in scales:
                parameter.mul_(scales[name])
        network.pool.p.fill_(float(case["gem_p"]))
    return network


@pytest.mark.reads("baselines/retrieval_pooling.npz")
def test_pooling(golden: Golden) -> None:
    case = golden("baselines/retrieval_pooling.npz")
    features = torch.from_numpy(case["x"])

    for name, pooled in (
        ("mac", maximum(features)),
        ("spoc", mean(features)),
        ("rmac", regional_maximum(features.abs())),
    ):
        np.testing.assert_allclose(pooled, case[name][:, :, 0, 0], rtol=1e-4, atol=1e-5, err_msg=name)
    for k, value in enumerate(case["p_values"]):
        x, p = features.clone().requires_grad_(), torch.tensor([float(value)], requires_grad=True)
        pooled = generalised_mean(x, p)
        pooled.backward(torch.linspace(-1, 1, pooled.numel()).view_as(pooled))
        np.testing.assert_allclose(pooled.detach(), case[f"gem_{k}"][:, :, 0, 0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(p.grad, case[f"gem_grad_p_{k}"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(x.grad, case[f"gem_grad_x_{k}"], rtol=1e-4, atol=1e-5)
        normalised = l2_normalise(pooled.detach())
        np.testing.assert_allclose(normalised, case[f"gem_l2n_{k}"][:, :, 0, 0], rtol=1e-4, atol=1e-5)
    zeros = case["l2n_zero"][:, :, 0, 0]
    np.testing.assert_array_equal(l2_normalise(torch.zeros(zeros.shape)), zeros)


@pytest.mark.reads("baselines/retrieval_net_resnet50.npz")
def test_network_at_one_and_at_several_scales(golden: Golden) -> None:
    case = golden("baselines/retrieval_net_resnet50.npz")
    ways = {
        "ss": (ONE_SCALE, by_factor),
        "ss_joint_eval": (ONE_SCALE, to_whole_size),
        "ms_training_code": (TRAINING_SCALES, by_factor),
        "ms_joint_eval": (EVALUATION_SCALES, to_whole_size),
    }
    description = NetworkDescription("resnet50", whitening=True)
    network = filled_network(case, description)
    pixels = torch.from_numpy(case["image_u8"]).permute(2, 0, 1).float() / 255
    image = (pixels - torch.tensor(description.mean)[:, None, None]) / torch.tensor(description.std)[:, None, None]
    with torch.enable_grad():
        features = network.features(image[None]).detach()[:, ::128]
    np.testing.assert_allclose(features, case["feature_map_16ch"], rtol=1e-3, atol=1e-4)
    for ending in ("whiten", "plain"):
        if ending == "plain":
            network.whiten = None
        for name, (scales, resize) in ways.items():
            with torch.no_grad():
                found = describe(network, image[None], scales, resize)[0]
            expected = case[f"{name}_{ending}"]
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5, err_msg=f"{name} {ending}")


@pytest.mark.reads("baselines/retrieval_losses.npz")
def test_losses_and_their_gradients(golden: Golden) -> None:
    case = golden("baselines/retrieval_losses.npz")
    per_tuple = len(case["label"]) // int((case["label"] == -1).sum())
    for name, loss, margin in (
        ("contrastive", contrastive_loss, float(case["margin"])),
        ("triplet", triplet_loss, float(case["triplet_margin"])),
    ):
        columns = torch.from_numpy(case["x"]).requires_grad_()
        value = loss(columns.T.reshape(-1, per_tuple, len(columns)), margin)
        value.backward()
        np.testing.assert_allclose(value.detach(), case[name], rtol=1e-4)
        np.testing.assert_allclose(columns.grad, case[f"{name}_grad"], rtol=1e-4, atol=1e-5)


def gram(vectors_ND: Tensor) -> np.ndarray:
    return (vectors_ND[:40] @ vectors_ND[:40].T).numpy()


@pytest.mark.reads("baselines/retrieval_whitening.npz")
def test_whitening(golden: Golden) -> None:
    case = golden("baselines/retrieval_whitening.npz")
    pairs = torch.from_numpy(case["qidxs"]), torch.from_numpy(case["pidxs"])
    vectors = torch.from_numpy(case["X"]).T.double()
    learned = learn_whitening(vectors, *pairs)
    projection = learned.projection_KD.numpy()

    np.testing.assert_allclose(learned.mean_D, case["f64_m"][:, 0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(projection.T @ projection, case["f64_PtP"], rtol=1e-6, atol=1e-6)
    signs = np.sign(projection[np.arange(len(projection)), np.abs(projection).argmax(axis=1)])
    np.testing.assert_allclose(projection * signs[:, None], case["f64_P_canonical"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gram(learned(vectors)), case["f64_whitened_gram"], atol=1e-5)
    np.testing.assert_allclose(gram(learned(vectors, 8)), case["f64_whitened_dim8_gram"], atol=1e-5)
    in_single = learned(vectors.float())
    np.testing.assert_allclose(gram(in_single), case["joint_eval_whitened_gram"], atol=1e-3)

    pca = learn_pca_whitening(vectors)
    np.testing.assert_allclose(pca.mean_D, case["f64_pca_m"][:, 0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(pca.projection_KD.T @ pca.projection_KD, case["f64_pca_PtP"], rtol=1e-6, atol=1e-6)
