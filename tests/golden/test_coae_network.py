import json

import numpy as np
import pytest
import torch
from coae_inputs import filled, filled_network, matched_share, normalised
from golden_cases import Golden

from baselines.coae.config import default_config
from baselines.coae.modeling.co_attention import CoAttention
from baselines.coae.modeling.model import CoAE, TrainBatch, TrainKeys, build_coae
from baselines.coae.modeling.overlaps import overlaps
from baselines.coae.modeling.resnet import STRIDE
from baselines.coae.modeling.rpn import CODER, ProposalLimits, Rpn, clip_to_sizes, propose, propose_among
from baselines.coae.modeling.sampling import RegionKeys
from baselines.legacy_anchors import cell_anchors, grid_anchors
from os2d.structures.sizes import Size

SCALES, RATIOS = [4.0, 8.0, 16.0, 32.0], [0.5, 1.0, 2.0]
TEST, TRAIN = ProposalLimits(6000, 300, 0.7), ProposalLimits(12000, 2000, 0.7)


def close(actual: torch.Tensor, expected: np.ndarray, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=rtol, atol=atol)


def with_scores(boxes: torch.Tensor, scores: torch.Tensor | None = None) -> np.ndarray:
    scores = torch.zeros(len(boxes)) if scores is None else scores
    return torch.cat([boxes, scores[:, None]], dim=1).detach().numpy()


@pytest.mark.reads("baselines/coae_res50_state_dict.json")
def test_names_shapes_and_order_are_those_of_published_checkpoints(golden: Golden) -> None:
    expected = golden.json("baselines/coae_res50_state_dict.json")
    state = build_coae(default_config()).state_dict()
    assert [(name, list(tensor.shape)) for name, tensor in state.items()] == list(expected.items())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.reads(f"baselines/{name}.npz"))
        for name in ("coae_coattention_c64", "coae_coattention_c1024", "coae_coattention_c64_train")
    ],
)
def test_co_attention(name: str, golden: Golden) -> None:
    case = golden(f"baselines/{name}.npz")
    detect, aim = torch.from_numpy(case["detect"]), torch.from_numpy(case["aim"])
    block = filled(case, "match_net.", CoAttention(detect.shape[1])).train(name.endswith("_train"))

    attended = block(detect, aim)

    for quantity, expected in zip(attended, ("non_det", "act_det", "act_aim", "c_weight"), strict=True):
        close(quantity, case[expected])
    for key in (key for key in case if key.startswith("after_")):
        close(block.state_dict()[key.removeprefix("after_")], case[key])


@pytest.mark.reads("baselines/coae_anchors.npz")
def test_anchors(golden: Golden) -> None:
    case = golden("baselines/coae_anchors.npz")
    height, width = case["feat_hw"].tolist()
    base = cell_anchors(STRIDE, case["scales"].tolist(), case["ratios"].tolist())
    close(base, case["base_anchors"], atol=1e-4)
    close(grid_anchors(base, Size(w=width, h=height), STRIDE), case["all_anchors"], atol=1e-4)


@pytest.mark.reads("baselines/coae_box_transform.npz")
def test_box_codes(golden: Golden) -> None:
    case = golden("baselines/coae_box_transform.npz")
    boxes, truth, deltas = (torch.from_numpy(case[name]) for name in ("boxes", "gt", "deltas"))
    decoded = CODER.decode(deltas, boxes)
    close(CODER.encode(truth, boxes), case["encoded"])
    close(decoded, case["decoded"])
    close(clip_to_sizes(decoded, torch.from_numpy(case["im_info"][:, :2])), case["decoded_clipped"])


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        pytest.param("coae_rpn_eval", TEST, marks=pytest.mark.reads("baselines/coae_rpn_eval.npz")),
        pytest.param("coae_rpn_train_limits", TRAIN, marks=pytest.mark.reads("baselines/coae_rpn_train_limits.npz")),
    ],
)
def test_proposals_of_a_feature_map(name: str, limits: ProposalLimits, golden: Golden) -> None:
    case = golden(f"baselines/{name}.npz")
    features = torch.from_numpy(case["feat"])
    rpn = filled(case, "RCNN_rpn.", Rpn(features.shape[1], SCALES, RATIOS)).eval()

    output = rpn(features)

    expected = rpn.arrange(torch.from_numpy(case["cls_prob"]), torch.from_numpy(case["bbox_pred"]))
    close(output.logits_BN2.softmax(2), expected.logits_BN2.numpy())
    close(output.deltas_BN4, expected.deltas_BN4.numpy())
    proposals = propose(output, torch.from_numpy(case["im_info"][:, :2]), limits)
    assert proposals.shape[1] == limits.after
    for found, rows, count in zip(proposals, case["rois"], case["num_proposals"], strict=True):
        assert int((found != 0).any(dim=1).sum()) == count
        wanted = np.concatenate([rows[:, 1:], np.zeros((len(rows), 1))], axis=1)
        assert matched_share(with_scores(found), wanted) >= 0.98


@pytest.mark.reads("baselines/coae_proposal_layer.npz")
def test_proposal_limits(golden: Golden) -> None:
    case = golden("baselines/coae_proposal_layer.npz")
    given = Rpn(8, SCALES, RATIOS).arrange(torch.from_numpy(case["cls_prob"]), torch.from_numpy(case["bbox_pred"]))
    limits = ProposalLimits(int(case["pre_nms_top_n"]), int(case["post_nms_top_n"]), float(case["nms_thresh"]))

    found = propose_among(
        given.logits_BN2[:, :, 1], given.deltas_BN4, given.anchors_N4, torch.from_numpy(case["im_info"][:, :2]), limits
    )

    close(found, case["rois"][:, :, 1:], atol=1e-3)


@pytest.mark.reads("baselines/coae_e2e_eval.npz")
def test_the_whole_network(golden: Golden) -> None:
    case = golden("baselines/coae_e2e_eval.npz")
    model = filled_network(case).eval()
    image, query = normalised(case["image_u8"]), normalised(case["query_u8"])
    channels = case["channels"].tolist()

    with torch.no_grad():
        detect, aim = model.RCNN_base(image), model.RCNN_base(query)
        attended = model.match_net(detect, aim)
        found = model(image, query, torch.from_numpy(case["im_info"][:, :2]))

    for features, name in (
        (detect, "detect_feat"),
        (aim, "query_feat"),
        (attended.image_BCHW, "rpn_feat"),
        (attended.gated_image_BCHW, "act_feat"),
        (attended.gated_query_BCHW, "act_query"),
    ):
        close(features[:, channels], case[name], rtol=1e-3, atol=1e-4)
    close(found.gate_BC11, case["c_weight"], rtol=1e-3, atol=1e-4)
    height, width = attended.image_BCHW.shape[2:]
    assert CoAE.cells_of(*image.shape[2:]) == (height, width)
    wanted = np.concatenate([case["rois"][0, :, 1:], case["scores"][0]], axis=1)
    assert matched_share(with_scores(found.regions_BP4[0], found.scores_BP[0]), wanted) >= 0.98
    if np.allclose(found.regions_BP4[0].numpy(), case["rois"][0, :, 1:], atol=1e-2):  # then the order is the same
        close(found.deltas_BP4, case["deltas"], rtol=1e-3, atol=1e-3)


def keys_of_draws(draws: list[np.ndarray], chosen: list[torch.Tensor], count: int) -> torch.Tensor:
    """Return keys that rank the chosen candidates of every image as the permutations did."""
    keys = torch.zeros(len(chosen), count)
    for row, mask, permutation in zip(keys, chosen, draws, strict=True):
        row[mask.nonzero()[:, 0][torch.from_numpy(permutation)]] = torch.arange(len(permutation)).float()
    return keys


@pytest.mark.reads("baselines/coae_e2e_train.npz")
def test_a_training_step(golden: Golden) -> None:
    case = golden("baselines/coae_e2e_train.npz")
    model = filled_network(case).train()
    truth = torch.from_numpy(case["gt_boxes"])
    batch = TrainBatch(
        normalised(case["images_u8"]),
        normalised(case["queries_u8"]),
        torch.from_numpy(case["im_info"][:, :2]),
        truth[:, :, :4],
        truth[:, :, 4],
    )
    expected_rois = torch.from_numpy(case["rois"][:, :, 1:])

    # The draws choose among the foreground; which candidates those are is known once the proposals are.
    drawn = model.draw_keys(np.random.default_rng(0), batch)
    shares = np.zeros(drawn.regions.filling_BS.shape)
    for image in range(len(truth)):
        shares[image, : len(case[f"f64_rand_{image}"])] = case[f"f64_rand_{image}"]
    buffers = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        attended = model.match_net(model.RCNN_base(batch.images_B3HW), model.RCNN_base(batch.queries_B3hw))
        proposals = propose(model.RCNN_rpn(attended.image_BCHW), batch.sizes_B2, model.rules.train_limits)
        overlap = overlaps(torch.cat([proposals, batch.truth_BG4], 1), batch.truth_BG4).amax(2)
    model.load_state_dict(buffers)
    foreground = list(overlap >= model.rules.regions.foreground_iou)
    permutations = [case[f"permutation_{image}"] for image in range(len(truth))]
    assert [int(mask.sum()) for mask in foreground] == [len(p) for p in permutations]
    keys = RegionKeys(keys_of_draws(permutations, foreground, overlap.shape[1]), torch.from_numpy(shares))

    losses, targets = model.losses(batch, TrainKeys(drawn.anchors, keys))
    losses.total.backward()

    np.testing.assert_array_equal(targets.labels_BS.flatten().numpy(), case["rois_label"])
    close(targets.regions_BS4, expected_rois.numpy(), rtol=1e-3, atol=1e-2)
    names = ("rpn_loss_cls", "rpn_loss_box", "cls_loss", "margin_loss", "box_loss")
    for loss, name in zip(losses, names, strict=True):
        close(loss, case[name], rtol=1e-3, atol=1e-4)
    parameters = dict(model.named_parameters())
    trainable = sorted(name for name, parameter in parameters.items() if parameter.requires_grad)
    assert trainable == sorted(json.loads(str(case["trainable_names"])))
    for name, norm in zip(json.loads(str(case["grad_norm_names"])), case["grad_norms"], strict=True):
        np.testing.assert_allclose(parameters[name].grad.norm().item(), norm, rtol=1e-2, err_msg=name)
