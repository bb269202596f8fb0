"""The stages of OneNet's benchmark: what happens between an image and its detections, and in a step of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from yacs.config import CfgNode

from baselines.onenet.engine.optimisation import build_optimizer
from baselines.onenet.engine.training_step import TrainingStep
from baselines.onenet.evaluation.speed import noise_images
from baselines.onenet.modeling.batch_targets import join_targets
from baselines.onenet.modeling.inference import detect
from baselines.onenet.modeling.losses import Criterion
from baselines.onenet.modeling.model import OneNet, build_model
from baselines.onenet.modeling.predictions import Predictions
from baselines.onenet.structures import HeadOutput, Targets
from os2d.engine.training_step import build_scaler
from os2d.structures.sizes import Size

OBJECTS_PER_IMAGE = 7
"""As in COCO's training images, on average."""

FORWARDS_PER_TRAINING_STEP = 3
"""The gradient takes about twice the arithmetic of the forward pass."""

MATCHING, TRAINING_STEP = "matching", "training-step"
AS_PUBLISHED, INFERENCE = "inference-as-published", "inference"

Call = Callable[[], object]


@dataclass(frozen=True)
class Stage:
    """What is measured.

    Args:
        name: for programs; with the number of images where several are measured.
        title: for tables.
        images: that one call works on.
        call: does the work once.
        flops: of one call; 0: not stated.
    """

    name: str
    title: str
    images: int
    call: Call
    flops: int = 0


@dataclass(frozen=True)
class Work:
    """What is worked on: noise at the size of published inputs.

    Args:
        config: of the network.
        device: where.
        image_size: of every image, before padding.
        precision: of training; that of inference is the configuration's.
    """

    config: CfgNode
    device: torch.device
    image_size: Size
    precision: str

    def images(self, count: int) -> list[Tensor]:
        """Return images on the device."""
        return noise_images(count, self.image_size, self.device)

    def targets(self, count: int) -> list[Targets]:
        """Return objects anywhere in the images."""
        generator = torch.Generator().manual_seed(count)
        corners = torch.rand(count, OBJECTS_PER_IMAGE, 2, 2, generator=generator) * torch.tensor(self.image_size)
        boxes = torch.cat([corners.amin(2), corners.amax(2) + 1], 2)
        classes = torch.randint(self.config.MODEL.OneNet.NUM_CLASSES, (count, OBJECTS_PER_IMAGE), generator=generator)
        return [Targets(c, b).to(self.device) for c, b in zip(classes, boxes, strict=True)]


def inference_stages(work: Work, batches: list[int]) -> Iterator[Stage]:
    """Yield the parts of an inference of one image, then whole inferences of several batch sizes."""
    model = build_model(work.config).to(work.device).eval()
    images = work.images(1)
    with torch.no_grad():
        batch_B3HW = model.batch(images)
        output = model.raw(images)
    flops = _flops(lambda: model.predict(batch_B3HW))

    def on_one(call: Call) -> Call:
        return torch.no_grad()(call)

    yield Stage("preparation", "normalise and pad", 1, on_one(lambda: model.batch(images)))
    yield Stage("network", "backbone, neck and head", 1, on_one(lambda: model.dense(batch_B3HW)), flops)
    yield Stage("selection", "best boxes", 1, on_one(lambda: detect(output, output.image_sizes, model.selection)))
    yield Stage(AS_PUBLISHED, "inference, norms not folded", 1, _as_published(model, images), flops)
    for count in batches:
        of_batch = work.images(count)
        yield Stage(
            f"{INFERENCE}-{count}", f"inference, batch {count}", count, _inference(model, of_batch), flops * count
        )


def training_stages(work: Work, batch: int) -> Iterator[Stage]:
    """Yield the parts of a step of training, then a whole one."""
    model = build_model(work.config).to(work.device).train()
    images, targets = work.images(batch), work.targets(batch)
    criterion, solver = Criterion(work.config), work.config.SOLVER
    step = TrainingStep(
        model, criterion, build_optimizer(model, solver), solver, build_scaler(work.precision, work.device)
    )
    output = _without_graph(model.raw(images))
    joined = join_targets(targets, output.image_sizes, work.device)
    flops = FORWARDS_PER_TRAINING_STEP * _flops(lambda: model.predict(model.batch(images)))
    title = f"batch {batch}"
    yield Stage(
        MATCHING, f"cost and assignment, {title}", batch,
        lambda: criterion.match(criterion.cost(output, joined), joined),
    )  # fmt: skip
    yield Stage("losses", f"losses and their gradients, {title}", batch, lambda: _learn(criterion, output, targets))
    yield Stage(TRAINING_STEP, f"step of training, {title}", batch, lambda: step(images, targets), flops)


def _inference(model: OneNet, images: list[Tensor]) -> Call:
    return torch.no_grad()(lambda: model(images))


def _as_published(model: OneNet, images: list[Tensor]) -> Call:
    """Return an inference as the published program does it: norms apart, rows of channels, single precision."""
    plain = deepcopy(model).to(memory_format=torch.contiguous_format).float()
    plain.layout = torch.contiguous_format

    def call() -> object:
        predictions: Predictions = plain.predict(plain.batch(images))
        sizes = tuple(Size.of_tensor(image) for image in images)
        return detect(HeadOutput(*predictions, sizes), sizes, plain.selection)

    return torch.no_grad()(call)


def _learn(criterion: Criterion, output: HeadOutput, targets: list[Targets]) -> None:
    logits_BKL, boxes_B4L = (tensor.detach().requires_grad_() for tensor in (output.logits_BKL, output.boxes_B4L))
    losses = criterion(replace(output, logits_BKL=logits_BKL, boxes_B4L=boxes_B4L), targets)
    sum(losses.values(), torch.zeros((), device=logits_BKL.device)).backward()


def _without_graph(output: HeadOutput) -> HeadOutput:
    return replace(output, logits_BKL=output.logits_BKL.detach(), boxes_B4L=output.boxes_B4L.detach())


def _flops(call: Call) -> int:
    """Return multiplications and additions of a call; those of deformable convolutions are not counted."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        call()
    return int(counter.get_total_flops())
