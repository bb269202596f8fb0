"""How much faster the joint evaluation is than a plain loop: ``oneshot bench joint``.

The loop does what the published program does: every crop passes the network by itself at every scale, with its
BatchNorm; every view of every class competes for every box, class by class. Both find the same. They take turns, and
their CPU times are compared, which other work on the machine disturbs least.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
import typer
from torch import Tensor
from torch.nn.functional import interpolate, normalize
from torchvision.ops import nms

from baselines.detector_retrieval.joint.evaluation import Retriever
from baselines.detector_retrieval.joint.matching import ClassDescriptors, Suppression, detections
from baselines.detector_retrieval.joint.patches import resized_to_area, whole_corners
from baselines.detector_retrieval.retrieval.descriptors import EVALUATION_SCALES
from baselines.detector_retrieval.retrieval.network import NetworkDescription, RetrievalNetwork, build_network
from baselines.detector_retrieval.retrieval.pooling import l2_normalise
from os2d.bench.clock import least_cpu_seconds
from os2d.structures.boxes import BoxList
from os2d.structures.sizes import Size

SIZE = Size(w=1280, h=960)
VIEWS = 4
SUPPRESSION = Suppression(0.3, -float("inf"))

app = typer.Typer(help="Measure how much faster detector + retrieval is evaluated than by a plain loop.")


@app.callback()
def bench() -> None:
    """Measure how much faster detector + retrieval is evaluated than by a plain loop."""


@app.command("joint")
def measure(
    boxes: Annotated[int, typer.Option(min=1, help="proposals in the image")] = 100,
    classes: Annotated[int, typer.Option(min=1, help="each with several class images")] = 50,
    architecture: Annotated[str, typer.Option(help="resnet18, resnet34, resnet50 or resnet101")] = "resnet50",
    image_size: Annotated[int, typer.Option(min=1, help="crops have the area of this number squared")] = 240,
    repeat: Annotated[int, typer.Option(min=1, help="timed repetitions; the fastest counts")] = 3,
) -> None:
    """Let a plain loop and ours tell apart what is in one image, on the CPU.

    The image is noise and the weights are random: neither changes how long it takes.
    """
    for line in compare(architecture, image_size, boxes, classes, repeat):
        print(line)


@torch.no_grad()
def compare(architecture: str, image_size: int, num_boxes: int, num_classes: int, repetitions: int) -> list[str]:
    """Return what was measured, in lines."""
    generator = torch.Generator().manual_seed(0)
    network = build_network(NetworkDescription(architecture), generator)
    retriever = Retriever(network, image_size, multiscale=True)
    image = torch.rand(3, SIZE.h, SIZE.w, generator=generator)
    boxes = _random_boxes(num_boxes, generator)
    vectors_CVD = normalize(torch.rand(num_classes, VIEWS, network.description.channels, generator=generator), dim=-1)
    classes = ClassDescriptors(torch.arange(num_classes), vectors_CVD)
    programs: dict[str, Callable[[], BoxList]] = {
        "plain loop": lambda: plain_loop(network, image_size, image, boxes, classes),
        "here": lambda: joint(retriever, image, boxes, classes),
    }
    scores = [program().field("scores").sort().values for program in programs.values()]  # also warms up
    best = least_cpu_seconds(programs, repetitions, torch.device("cpu"))
    of_image = f"{num_boxes} boxes, {num_classes} classes in {VIEWS} views, crops of {image_size} x {image_size}"
    what = f"{architecture}, {of_image}, {torch.get_num_threads()} threads, minimum of {repetitions}"
    apart = (
        f"{float((scores[0] - scores[1]).abs().max()):.1e}" if len(scores[0]) == len(scores[1]) else "not comparable"
    )
    per_image = [f"{name}: {seconds:.3f} CPU seconds per image" for name, seconds in best.items()]
    faster = f"times faster: {best['plain loop'] / best['here']:.2f}"
    return [what, *per_image, faster, f"largest difference of scores: {apart}"]


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


def _describe_alone(network: RetrievalNetwork, crop_3hw: Tensor) -> Tensor:
    exponent, total = network.scale_exponent, torch.zeros(network.description.channels)
    for scale in EVALUATION_SCALES:
        height, width = (max(int(side * scale), 1) for side in crop_3hw.shape[1:])
        resized = interpolate(crop_3hw[None], size=(height, width), mode="bilinear", align_corners=False)
        total += l2_normalise(network.pool(network.features(resized)))[0].pow(exponent)
    mean = (total / len(EVALUATION_SCALES)).pow(1 / exponent)
    length: Tensor = mean.norm()
    return mean / length


def _random_boxes(count: int, generator: torch.Generator) -> BoxList:
    corner_N2 = torch.rand(count, 2, generator=generator) * torch.tensor([SIZE.w * 0.7, SIZE.h * 0.7])
    sides_N2 = 40 + torch.rand(count, 2, generator=generator) * 200
    return BoxList(torch.cat([corner_N2, corner_N2 + sides_N2], dim=1), SIZE)
