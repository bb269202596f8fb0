"""The stages of the benchmark, done by our code; the names are shared with :mod:`os2d.bench.original_side.stages`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle

import torch

from os2d.bench.case import Case
from os2d.bench.work import NOT_STATED, Work, correlation_work, features_work, resampling_work, transform_work
from os2d.console import ConsoleRun
from os2d.data.train_loader import build_train_loader
from os2d.engine.average_precision import evaluate_detections
from os2d.engine.evaluation import Evaluation, EvaluationSet, evaluate_dataset
from os2d.engine.hard_patch import HardPatches
from os2d.engine.mining import mine_hard_patches
from os2d.engine.optimisation import build_optimizer, trainable_parameters
from os2d.engine.training_step import training_step
from os2d.modeling.alignment import aligned_score
from os2d.modeling.correlation import correlate_cells_last, normalise
from os2d.modeling.objective import Os2dObjective
from os2d.modeling.precision import autocast
from os2d.structures.sizes import Size

Call = Callable[[], object]

FORWARDS_PER_TRAINING_STEP = 3
"""The gradient takes about twice the arithmetic of the forward pass."""


@dataclass(frozen=True)
class Prepared:
    """A stage that is ready to run.

    Args:
        call: does the work once.
        units: how many of the stage's units one call does.
        work: of one call.
    """

    call: Call
    units: int = 1
    work: Work = NOT_STATED


@dataclass(frozen=True)
class Stage:
    """A part of the program that is measured by itself.

    Args:
        title: for tables.
        unit: what a time is given for.
        prepare: returns what is measured.
        in_original: whether the published program has this part by itself.
    """

    title: str
    unit: str
    prepare: Callable[[Case], Prepared]
    in_original: bool = True


def _image_features(case: Case) -> Prepared:
    height, width = case.image.shape[2:]
    call = _without_gradients(lambda: case.model.extract_features(case.image))
    return Prepared(call, work=features_work(case.model.net_feature_maps, height, width))


def _class_features(case: Case) -> Prepared:
    call = _without_gradients(lambda: case.model.make_heads(case.class_images))
    return Prepared(call, len(case.class_images), _class_features_work(case))


def _correlation(case: Case) -> Prepared:
    features, templates = normalise(case.features), case.heads.templates
    call = _as_evaluated(case, lambda: correlate_cells_last(features, templates))
    return Prepared(call, len(case.heads), _correlation_work(case) * len(case.heads))


def _transform_net(case: Case) -> Prepared:
    regressor = case.model.os2d_head_creator.aligner.parameter_regressor
    volumes = case.volumes
    work = transform_work(regressor, Size.of_tensor(case.features)) * len(volumes)
    return Prepared(_as_evaluated(case, lambda: regressor.infer(volumes)), len(volumes), work)


def _resampling(case: Case) -> Prepared:
    head, volumes = case.model.os2d_head_creator, case.volumes
    with torch.no_grad():
        affine = head.aligner.infer(volumes)
    counted = len(range(head.template.cells)[head.template.inside]) ** 2
    work = resampling_work(counted, Size.of_tensor(case.features)) * len(volumes)
    call = _without_gradients(lambda: aligned_score(volumes.movedim(-1, -3), affine, head.template))
    return Prepared(call, len(volumes), work)


def _decode(case: Case) -> Prepared:
    matches, config, size = case.matches, case.config, Size(case.image.shape[3], case.image.shape[2])
    class_ids = torch.arange(len(case.heads))

    def call() -> object:
        return case.model.box_coder.decode_pyramid(
            [matches.loc_scores[0]],
            [matches.class_scores[0]],
            None,
            [size],
            [matches.fm_size],
            class_ids,
            config.eval.nms_score_threshold,
            config.eval.nms_iou_threshold,
            None,
            size,
        )

    return Prepared(_without_gradients(call), len(class_ids))


def _match(case: Case) -> Prepared:
    call = _without_gradients(lambda: case.model.match(case.features, case.heads))
    return Prepared(call, len(case.heads), _match_work(case, Size.of_tensor(case.features)) * len(case.heads))


def _evaluation(case: Case) -> Prepared:
    dataset, config = case.dataset, case.stage_config("evaluation")
    if case.settings.evaluated_images is not None:
        dataset = dataset.subset(case.settings.evaluated_images)
    evaluated, objective = EvaluationSet(dataset, case.dataset_scale), Os2dObjective.from_config(config)

    def call() -> Evaluation:
        with ConsoleRun(None, seed=0) as run:
            return evaluate_dataset(case.model, objective, evaluated, config, run)

    return Prepared(call, len(dataset), _evaluation_work(case, dataset.image_ids))


def _mining(case: Case) -> Prepared:
    dataset, config = case.mined_dataset(), case.stage_config("mining")

    def call() -> HardPatches:
        with ConsoleRun(None, seed=0) as run:
            return mine_hard_patches(case.model, dataset, config, run, seed=0, iteration=0)

    return Prepared(call)


def _average_precision(case: Case) -> Prepared:
    detected = case.detections
    return Prepared(lambda: evaluate_detections(detected.found, detected.truth, [0.5]))


def _training_step(case: Case) -> Prepared:
    config, model = case.stage_config("training-step"), case.fresh_model()
    optimizer = build_optimizer(trainable_parameters(model), config.train.optim)
    objective, batches = Os2dObjective.from_config(config), cycle(case.training_batches)

    def call() -> dict[str, float]:
        outcome = training_step(model, optimizer, objective, next(batches), config.train)
        return {name: float(value.double().mean()) for name, value in outcome.meters.items()}

    return Prepared(call, work=_training_work(case))


def _data_loading(case: Case) -> Prepared:
    config = case.config.clone()
    config.runtime.num_workers = case.settings.workers
    case.dataset.preload()
    starts = iter(range(0, 2**31, case.settings.batches))

    def call() -> None:
        start = next(starts)
        loader = build_train_loader(
            case.dataset, config, case.model.box_coder, seed=0, start=start, stop=start + case.settings.batches
        )
        for _ in loader:
            pass

    return Prepared(call, case.settings.batches)


STAGES: dict[str, Stage] = {
    "image-features": Stage("image features", "image", _image_features),
    "class-features": Stage("class-image features", "class", _class_features),
    "correlation": Stage("head: correlation", "class", _correlation, in_original=False),
    "transform-net": Stage("head: transform network", "class", _transform_net),
    "resampling": Stage("head: resampling", "class", _resampling),
    "decode": Stage("decode + NMS", "class", _decode),
    "match": Stage("whole class head", "class", _match),
    "evaluation": Stage("multi-scale evaluation", "image", _evaluation),
    "mining": Stage("hard patch mining", "image", _mining),
    "average-precision": Stage("VOC average precision", "data set", _average_precision),
    "training-step": Stage("training step", "step", _training_step),
    "data-loading": Stage("data loading", "batch", _data_loading),
}


def _class_features_work(case: Case) -> Work:
    shapes = [image.shape[1:] for image in case.class_images]
    return _sum(features_work(case.model.net_feature_maps, *shape) for shape in shapes)


def _correlation_work(case: Case) -> Work:
    cells = case.model.os2d_head_creator.template.cells**2
    return correlation_work(case.model.net_feature_maps.out_channels, cells, Size.of_tensor(case.features))


def _match_work(case: Case, fm_size: Size) -> Work:
    """Return the arithmetic of one class and one image."""
    model = case.model
    cells = model.os2d_head_creator.template.cells**2
    correlation = correlation_work(model.net_feature_maps.out_channels, cells, fm_size)
    return correlation + transform_work(model.os2d_head_creator.aligner.parameter_regressor, fm_size)


def _evaluation_work(case: Case, image_ids: list[int]) -> Work:
    classes, work = len(case.dataset.class_ids), Work()
    scale = case.dataset.scale_of(case.dataset_scale)
    for image_id in image_ids:
        size = case.dataset.size_of_image(image_id)
        for level in (size.scaled(scale * s) for s in case.settings.scales):
            work += features_work(case.model.net_feature_maps, level.h, level.w)
            work += _match_work(case, case.model.feature_map_size(level)) * classes
    return work


def _training_work(case: Case) -> Work:
    batch = case.training_batches[0]
    images, _, height, width = batch.images.shape
    work = features_work(case.model.net_feature_maps, height, width) * images
    work += _sum(features_work(case.model.net_feature_maps, *c.shape[1:]) for c in batch.class_images)
    work += _match_work(case, batch.fm_size) * (images * len(batch.class_images))
    return work * FORWARDS_PER_TRAINING_STEP


def _sum(parts: Iterator[Work]) -> Work:
    return sum(parts, Work())


def _without_gradients(call: Call) -> Call:
    return torch.no_grad()(call)


def _as_evaluated(case: Case, call: Call) -> Call:
    """Return a call of a part of the head in the number format that ``match`` would use."""

    def in_format() -> object:
        with torch.no_grad(), autocast("eval.precision", case.config.eval.precision, case.device.type):
            return call()

    return in_format
