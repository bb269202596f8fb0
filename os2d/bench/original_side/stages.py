"""The stages of the benchmark, done by the published program.

A stage is made from the files of a case folder (written by :mod:`os2d.bench.case`) and returns a call that does the
work once. Only the program's public functions are used; whatever is imported as ``os2d`` here is the program.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

Call = Callable[[], object]


def _program(module: str) -> Any:
    """Return a module of the published program."""
    return import_module(f"os2d.{module}")


class Case:
    """The network of the program with the given weights, and the inputs; read when they are needed first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.description = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        self.cfg = _program("config").cfg
        self.cfg.merge_from_list([item for pair in self.description["config"].items() for item in pair])
        self.cfg.init.model = str(folder / "weights.pth")
        self.device = torch.device("cuda" if self.cfg.is_cuda else "cpu")
        logging.getLogger("OS2D").setLevel(logging.WARNING)
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)

    @cached_property
    def built(self) -> tuple[Any, ...]:
        """Network, box coder, objective and normalisation, as the program makes them from its configuration."""
        build_os2d_from_config = _program("modeling.model").build_os2d_from_config

        built: tuple[Any, ...] = build_os2d_from_config(self.cfg)
        expected = torch.load(self.folder / "weights.pth", map_location="cpu")["net"]
        for name, value in built[0].state_dict().items():
            if not torch.equal(value.cpu(), expected[name]):  # it would go on with random weights
                raise RuntimeError(f"the published program did not load {name} of the weights")
        return built

    @property
    def net(self) -> Any:
        """The network."""
        return self.built[0]

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """Tensors of the case, on the device."""
        inputs: dict[str, Any] = _moved(torch.load(self.folder / "inputs.pt", map_location="cpu"), self.device)
        return inputs

    def dataset(self, count: int | None) -> Any:
        """Return the first images of the data set of the case with the classes in them."""
        frame = pd.read_csv(self.folder / "dataset.csv")
        if count is not None:
            frame = frame[frame["imageid"].isin(self.description["dataset"]["image_ids"][:count])]
        return self._dataset_of(frame, count)

    def mined_dataset(self) -> Any:
        """Return the first images of the data set of the case with all of its classes."""
        return self._dataset_of(pd.read_csv(self.folder / "dataset.csv"), self.description["dataset"]["mined"])

    def _dataset_of(self, frame: pd.DataFrame, count: int | None) -> Any:
        DatasetOneShotDetection = _program("data.dataset").DatasetOneShotDetection

        source = self.description["dataset"]
        return DatasetOneShotDetection(
            frame,
            source["class_images"],
            source["images"],
            source["name"],
            source["nominal_size"],
            source["scale"],
            cache_images=True,
            image_ids=source["image_ids"][:count],
            image_file_names=source["image_files"][:count],
        )

    def with_settings(self, stage: str) -> Any:
        """Return the configuration of a stage."""
        overrides = self.description["stage_config"].get(stage, {})
        cfg = self.cfg.clone()
        cfg.merge_from_list([item for pair in overrides.items() for item in pair])
        return cfg


def image_features(case: Case) -> Call:
    """Compute the features of one image."""
    return _without_gradients(lambda: case.net.net_feature_maps(case.inputs["image"]))


def class_features(case: Case) -> Call:
    """Make the templates of all class images."""
    return _without_gradients(lambda: _heads(case))


def match(case: Case) -> Call:
    """Match all classes with the features of the image."""
    with torch.no_grad():
        heads, features = _heads(case), case.net.net_feature_maps(case.inputs["image"])
    return _without_gradients(lambda: [case.net(class_head=head, feature_maps=features) for head in heads])


def transform_net(case: Case) -> Call:
    """Predict the parameters of the alignment from one correlation volume after the other."""
    regressor = case.net.os2d_head_creator.aligner.parameter_regressor
    return _without_gradients(lambda: [regressor(volume[None]) for volume in case.inputs["volumes"]])


def resampling(case: Case) -> Call:
    """Compute the scores from one correlation volume after the other, where the alignment looks them up."""
    aligner, head = case.net.os2d_head_creator.aligner, _heads(case)[0]
    volumes = case.inputs["volumes"][:, None, None]
    height, width = volumes.shape[-2:]
    row, column = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    centre = torch.stack([column, row], dim=-1).to(case.device)[:, :, None, None]
    extent = torch.tensor([width - 1, height - 1], device=case.device)
    with torch.no_grad():
        grids = [aligner(volume[0]) * (volume.shape[2] ** 0.5 / 2) + centre for volume in volumes]
    grids = [(grid[None] / extent * 2 - 1).clamp(-1, 1) for grid in grids]
    pairs = list(zip(volumes, grids, strict=True))
    mask = head.class_pool_mask
    return _without_gradients(
        lambda: [head.resample_of_correlation_map_fast(volume, grid, mask) for volume, grid in pairs]
    )


def decode(case: Case) -> Call:
    """Decode the detections of all classes from codes and scores."""
    FeatureMapSize = _program("structures.feature_map").FeatureMapSize

    inputs, coder, cfg = case.inputs, case.built[1], case.cfg
    size = FeatureMapSize(img=inputs["image"])
    coder._get_default_boxes(size)  # cached by the program

    def call() -> object:
        return coder.decode_pyramid(
            [inputs["loc_scores"]],
            [inputs["class_scores"]],
            [size],
            inputs["class_ids"].tolist(),
            nms_score_threshold=cfg.eval.nms_score_threshold,
            nms_iou_threshold=cfg.eval.nms_iou_threshold,
        )

    return _without_gradients(call)


def evaluation(case: Case) -> Call:
    """Evaluate the images of the case at all scales: metrics; the detections are saved."""
    build_eval_dataloaders_from_cfg = _program("data.dataloader").build_eval_dataloaders_from_cfg
    evaluate = _program("engine.evaluate").evaluate

    cfg = case.with_settings("evaluation")
    cfg.eval.dataset_names, cfg.eval.dataset_scales = [], []  # the data set is given
    cfg.visualization.eval.path_to_save_detections = str(case.folder / "original")
    net, coder, objective, normalization, _ = case.built
    dataset = case.dataset(case.description["dataset"]["evaluated"])
    (loader,) = build_eval_dataloaders_from_cfg(cfg, coder, normalization, [dataset], data_path="given")
    return lambda: dict(evaluate(loader, net, cfg, criterion=objective))


def mining(case: Case) -> Call:
    """Mine the hard patches of the first image, looking for all classes."""
    build_train_dataloader_from_config = _program("data.dataloader").build_train_dataloader_from_config
    mine_hard_patches = _program("engine.train").mine_hard_patches

    cfg = case.with_settings("mining")
    net, coder, objective, normalization, _ = case.built
    dataset = case.mined_dataset()
    loader, _ = build_train_dataloader_from_config(cfg, coder, normalization, dataset_train=dataset)
    return lambda: [
        _plain_patch(p) for of_image in mine_hard_patches(loader, net, cfg, objective).values() for p in of_image
    ]


def _plain_patch(patch: Mapping[str, Any]) -> dict[str, Any]:
    boxes = {name: patch[name].bbox_xyxy[0].tolist() for name in ("crop_position_xyxy", "anchor_position_xyxy")}
    names = ("image_id", "role", "label_global", "pyramid_level", "anchor_index", "loss", "loss_loc", "score")
    return {**{name: patch[name] for name in names}, **boxes}


def average_precision(case: Case) -> Call:
    """Run the VOC protocol on detections of many images."""
    do_voc_evaluation = _program("data.voc_eval").do_voc_evaluation
    BoxList = _program("structures.bounding_box").BoxList
    FeatureMapSize = _program("structures.feature_map").FeatureMapSize

    images = torch.load(case.folder / "detections.pt")
    size = FeatureMapSize(w=images["size"][0], h=images["size"][1])

    def box_list(boxes: Any, **fields: Any) -> Any:
        made = BoxList(boxes, size, mode="xyxy")
        for name, values in fields.items():
            made.add_field(name, values)
        return made

    found = [box_list(boxes, labels=labels, scores=scores) for boxes, labels, scores in images["found"]]
    truth = [box_list(boxes, labels=labels, difficult=difficult) for boxes, labels, difficult in images["truth"]]

    def call() -> object:
        result = do_voc_evaluation(found, truth, iou_thresh=0.5)
        names = {"mAP": "map", "mAPw": "map_weighted", "recall": "recall", "AP_joint_classes": "ap_joint_classes"}
        return {ours: float(result[theirs]) for ours, theirs in names.items()}

    return call


def training_step(case: Case) -> Call:
    """Take a training step, each on the next of the given batches: losses."""
    create_optimizer = _program("engine.optimization").create_optimizer
    train_one_batch = _program("engine.train").train_one_batch
    BoxList = _program("structures.bounding_box").BoxList
    FeatureMapSize = _program("structures.feature_map").FeatureMapSize
    get_trainable_parameters = _program("utils").get_trainable_parameters

    class Loader:
        box_coder = case.built[1]

    def as_batch(given: Mapping[str, Any]) -> tuple[Any, ...]:
        size = FeatureMapSize(img=given["images"])
        boxes = []
        for xyxy, labels, difficult in given["boxes"]:
            boxes.append(BoxList(xyxy, size, mode="xyxy"))
            boxes[-1].add_field("labels", labels)
            boxes[-1].add_field("difficult", difficult)
        images = given["class_images"]
        sizes = [FeatureMapSize(img=image) for image in images]
        targets = given["loc_targets"], given["cls_targets"]
        return given["images"], images, *targets, given["class_ids"], sizes, None, boxes, [size] * len(boxes)

    net, cfg = case.net, case.with_settings("training-step")
    optimizer = create_optimizer(list(get_trainable_parameters(net)), cfg.train.optim)
    batches = [as_batch(given) for given in torch.load(case.folder / "batches.pt")]
    logger, step = logging.getLogger("OS2D.train"), iter(range(2**31))

    def call() -> object:
        batch = batches[next(step) % len(batches)]
        meters = train_one_batch(batch, net, cfg, case.built[2], optimizer, Loader, logger)
        return {name: float(value) for name, value in meters.items() if "time" not in name}

    return call


def data_loading(case: Case) -> Call:
    """Prepare some training batches of images that are decoded already."""
    build_train_dataloader_from_config = _program("data.dataloader").build_train_dataloader_from_config

    cfg = case.with_settings("data-loading")
    _, coder, _, normalization, _ = case.built
    loader, _ = build_train_dataloader_from_config(cfg, coder, normalization, dataset_train=case.dataset(None))
    batches = range(case.description["batches"])
    return lambda: [loader.get_batch(number % len(loader)) for number in batches] and None


def _heads(case: Case) -> list[Any]:
    """Return one head per class, as the program's evaluation makes them."""
    creator, net = case.net.os2d_head_creator, case.net
    return [creator.create_os2d_head(net.net_label_features([image])) for image in case.inputs["class_images"]]


def _without_gradients(call: Call) -> Call:
    return torch.no_grad()(call)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, list):
        return [_moved(item, device) for item in value]
    return {key: _moved(item, device) for key, item in value.items()} if isinstance(value, dict) else value


STAGES: dict[str, Callable[[Case], Call]] = {
    "image-features": image_features,
    "class-features": class_features,
    "transform-net": transform_net,
    "resampling": resampling,
    "decode": decode,
    "match": match,
    "evaluation": evaluation,
    "mining": mining,
    "average-precision": average_precision,
    "training-step": training_step,
    "data-loading": data_loading,
}
