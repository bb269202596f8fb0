"""How the joint evaluation compares with a plain loop over crops, scales, views and classes.

``python -m baselines.detector_retrieval.joint.bench [--boxes N] [--classes C] [--architecture NAME]`` prints the
processor time of both for one image, the smallest of several takes, and how far the scores are apart. The loop does
what the published program does: every crop passes the network by itself at every scale, with its BatchNorm; every view
of every class competes for every box, class by class.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.ops import nms

from baselines.detector_retrieval.joint.evaluation import Retriever
from baselines.detector_retrieval.joint.matching import ClassDescriptors, Suppression, detections
from baselines.detector_retrieval.joint.patches import resized_to_area, whole_corners
from baselines.detector_retrieval.retrieval.descriptors import EVALUATION_SCALES
from baselines.detector_retrieval.retrieval.network import NetworkDescription, RetrievalNetwork, build_network
from baselines.detector_retrieval.retrieval.pooling import l2_normalise
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

SIZE = Size(w=1280, h=960)
VIEWS = 4
SUPPRESSION = Suppression(0.3, -float("inf"))

T = TypeVar("T")


def main() -> None:
    """Measure and print."""
    options = _parser().parse_args()
    generator = torch.Generator().manual_seed(0)
    network = build_network(NetworkDescription(options.architecture), generator)
    retriever = Retriever(network, options.image_size, multiscale=True)
    image = torch.rand(3, SIZE.h, SIZE.w, generator=generator)
    boxes = _random_boxes(options.boxes, generator)
    channels = network.description.channels
    vectors_CVD = l2_normalise_last(torch.rand(options.classes, VIEWS, channels, generator=generator))
    classes = ClassDescriptors(torch.arange(options.classes), vectors_CVD)
    takes = {
        "plain loop": lambda: plain_loop(network, options.image_size, image, boxes, classes),
        "joint evaluation": lambda: joint(retriever, image, boxes, classes),
    }
    found, seconds = {}, {}
    with torch.no_grad():
        for name, take in takes.items():
            found[name], seconds[name] = _shortest(take, options.takes)
            print(f"{name}: {seconds[name]:.3f} s of processor time, {len(found[name])} detections")
    a, b = (of.field("scores").sort().values for of in found.values())
    difference = f"{float((a - b).abs().max()):.1e}" if len(a) == len(b) else "not comparable"
    print(f"ratio {seconds['plain loop'] / seconds['joint evaluation']:.2f}, largest difference of scores {difference}")


def joint(retriever: Retriever, image: Tensor, boxes: BoxList, classes: ClassDescriptors) -> BoxList:
    """Return the detections as the evaluation finds them."""
    kept, vectors_ND = retriever.describe_boxes(image, boxes)
    return detections(kept, classes.scores(vectors_ND), classes.class_ids, SUPPRESSION)


def plain_loop(
    network: RetrievalNetwork, side: int, image: Tensor, boxes: BoxList, classes: ClassDescriptors
) -> BoxList:
    """Return the detections as a loop over crops, views and classes finds them."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (network.description.mean, network.description.std))
    vectors = []
    for left, top, right, bottom in whole_corners(boxes.boxes_xyxy, boxes.size):
        crop = (resized_to_area(image[:, top:bottom, left:right], side) - mean) / std
        vectors.append(_describe_alone(network, crop))
    scores_LN = classes.vectors_CVD.flatten(0, 1) @ torch.stack(vectors).T
    labels_L = classes.class_ids.repeat_interleave(VIEWS)
    every = BoxList(
        boxes.boxes_xyxy.repeat(len(labels_L), 1),
        boxes.size,
        {"scores": scores_LN.flatten(), "labels": labels_L.repeat_interleave(len(boxes))},
    )
    kept = []
    for class_id in classes.class_ids:
        (places,) = torch.nonzero(every.field("labels") == class_id, as_tuple=True)
        kept.append(places[nms(every.boxes_xyxy[places], every.field("scores")[places], SUPPRESSION.iou_threshold)])
    return every[torch.cat(kept)]


def l2_normalise_last(vectors: Tensor) -> Tensor:
    """Return vectors with length 1 in their last dimension."""
    return vectors / vectors.norm(dim=-1, keepdim=True)


def _describe_alone(network: RetrievalNetwork, crop_3hw: Tensor) -> Tensor:
    exponent, total = network.scale_exponent, torch.zeros(network.description.channels)
    for scale in EVALUATION_SCALES:
        height, width = (max(int(side * scale), 1) for side in crop_3hw.shape[1:])
        resized = interpolate(crop_3hw[None], size=(height, width), mode="bilinear", align_corners=False)
        total += l2_normalise(network.pool(network.features(resized)))[0].pow(exponent)
    mean = (total / len(EVALUATION_SCALES)).pow(1 / exponent)
    return mean / mean.norm()


def _shortest(take: Callable[[], T], count: int) -> tuple[T, float]:
    times, result = [], take()
    for _ in range(count):
        start = time.process_time()
        result = take()
        times.append(time.process_time() - start)
    return result, min(times)


def _random_boxes(count: int, generator: torch.Generator) -> BoxList:
    corner_N2 = torch.rand(count, 2, generator=generator) * torch.tensor([SIZE.w * 0.7, SIZE.h * 0.7])
    sides_N2 = 40 + torch.rand(count, 2, generator=generator) * 200
    return BoxList(torch.cat([corner_N2, corner_N2 + sides_N2], dim=1), SIZE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, default=100, help="proposals in the image")
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--architecture", default="resnet50")
    parser.add_argument("--image-size", type=int, default=240)
    parser.add_argument("--takes", type=int, default=3)
    return parser


if __name__ == "__main__":
    main()
