"""Boxes that count pixels: sides, overlap, codes and suppression."""

import torch

from baselines.legacy_boxes import LegacyBoxCoder, area, clip, iou, sides, suppress_legacy
from os2d.structures.sizes import Size


def boxes_of(seed: int, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 90
    return torch.cat([corner, corner + 2 + torch.rand(count, 2, generator=generator) * 30], dim=1)


def test_a_box_of_one_pixel_has_an_area() -> None:
    pixel = torch.tensor([[3.0, 4.0, 3.0, 4.0]])
    assert sides(pixel).tolist() == [[1, 1]]
    assert area(pixel).tolist() == [1]


def test_boxes_that_share_a_column_overlap() -> None:
    left, right = torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([[4.0, 0.0, 8.0, 4.0], [5.0, 0.0, 9.0, 4.0]])
    torch.testing.assert_close(iou(left, right), torch.tensor([[5 / 45, 0.0]]))


def test_overlap_of_a_batch_is_that_of_its_images() -> None:
    boxes, others = boxes_of(0, 12).view(3, 4, 4), boxes_of(1, 15).view(3, 5, 4)
    assert torch.equal(iou(boxes, others), torch.stack([iou(*pair) for pair in zip(boxes, others, strict=True)]))


def test_boxes_are_clipped_to_the_last_pixel() -> None:
    assert clip(torch.tensor([[-3.0, 2.0, 99.0, 99.0]]), Size(w=20, h=10)).tolist() == [[0, 2, 19, 9]]


def test_decoding_inverts_encoding_when_the_last_pixel_is_taken_off() -> None:
    boxes, references = boxes_of(2, 20), boxes_of(3, 20)
    for weights in [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)]:
        coder = LegacyBoxCoder(weights)
        torch.testing.assert_close(coder.decode(coder.encode(boxes, references), references), boxes)


def test_without_it_a_decoded_box_is_a_pixel_longer() -> None:
    boxes, references = boxes_of(4, 20), boxes_of(5, 20)
    coder = LegacyBoxCoder(last_pixel=0.0)
    longer = boxes + torch.tensor([0.0, 0.0, 1.0, 1.0])
    torch.testing.assert_close(coder.decode(coder.encode(boxes, references), references), longer)


def test_a_side_stops_growing_at_the_limit() -> None:
    reference, codes = torch.tensor([[10.0, 10.0, 19.0, 19.0]]), torch.tensor([[0.0, 0.0, 80.0, 1.0]])
    decoded = LegacyBoxCoder(largest_log_scale=2.0).decode(codes, reference)
    torch.testing.assert_close(sides(decoded), 10 * torch.exp(torch.tensor([[2.0, 1.0]])))


def test_suppression_is_by_overlap_of_counted_pixels() -> None:
    boxes, scores = boxes_of(6, 300), torch.rand(300, generator=torch.Generator().manual_seed(7))
    overlaps = iou(boxes, boxes)
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        if not any(overlaps[index, other] > 0.4 for other in kept):
            kept.append(index)
    assert suppress_legacy(boxes, scores, 0.4).tolist() == kept
