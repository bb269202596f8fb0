"""The network and the inputs of a run: the same ones for every stage and for both programs."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from yacs.config import CfgNode

from os2d.bench.detections import Detected, draw_detections
from os2d.bench.settings import Settings
from os2d.config import default_config
from os2d.data.catalog import data_root
from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.data.eval_loader import EvalImages, load_class_images
from os2d.data.shelf.parameters import ShelfParameters
from os2d.data.shelf.store import ensure_shelf
from os2d.data.train_loader import TrainBatch, TrainBatches
from os2d.device import prepare_device
from os2d.errors import DataError
from os2d.modeling.checkpoint import save_checkpoint
from os2d.modeling.correlation import correlate, correlate_cells_last, normalise
from os2d.modeling.head import Heads, Matches
from os2d.modeling.network import Os2d, build_os2d

TRAINING_BATCHES = 3
"""Different batches that the training step takes in turn."""

MINED_IMAGES = 1
"""How many images of the data set are mined."""

ALIGNMENT_SPREAD = 0.1
"""Standard deviation of the affine parameters over the image; the template spans -1 to 1."""

STAGE_CONFIG: dict[str, dict[str, Any]] = {
    # A network with random weights finds little at 0.5.
    "evaluation": {"eval.mAP_iou_thresholds": [0.3, 0.5]},
    # Small steps: the losses of both programs are compared after several of them.
    "training-step": {"train.optim.lr": 1e-5},
}
"""Stage -> keys of the configuration that differ from those of the case, for both programs."""


class Case:
    """One network with random weights and everything it is measured on; made when it is needed first.

    Args:
        settings: of the run.
        folder: for the generated data set, and for what the published program reads.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.config = _config(settings)
        self.device = prepare_device(self.config)

    @cached_property
    def model(self) -> Os2d:
        """The network, in evaluation mode."""
        model = build_os2d(self.config)
        _make_sensible(model, self._image_on_cpu, self.config.random_seed)
        return model.to(self.device)

    @cached_property
    def dataset(self) -> DatasetOneShotDetection:
        """The data set that is evaluated, mined and trained on."""
        if self.settings.dataset is not None:
            dataset = build_dataset(self.settings.dataset, data_root(self.config), cache_images=True)
            if not dataset.class_ids or not len(dataset.boxes(dataset.image_ids[0])):
                raise DataError(
                    f"data set {dataset.name!r} has no box in its first image: there is nothing to measure on"
                )
            return dataset
        return _generated(self.settings, self.folder)

    @property
    def dataset_scale(self) -> float:
        """The size at which pyramid scale 1 sees the images: the longer side of the measured image."""
        return float(max(self.settings.image_size))

    @cached_property
    def _image_on_cpu(self) -> Tensor:
        """An image of the data set at the measured size, 1 x 3 x H x W, normalised."""
        level = EvalImages(self.dataset, self.config, self.dataset_scale, [1.0])[0].levels[0][:1]
        size = self.settings.image_size
        return torch.nn.functional.interpolate(level, (size.h, size.w), mode="bilinear")

    @cached_property
    def image(self) -> Tensor:
        """The measured image, 1 x 3 x H x W, on the device."""
        return self._image_on_cpu.to(self.device)

    @cached_property
    def class_images(self) -> list[Tensor]:
        """Class images on the device, 3 x h x w each; those of the data set in turn."""
        known = [views[0] for _, views in load_class_images(self.dataset, self.config)]
        return [known[k % len(known)].to(self.device) for k in range(self.settings.classes)]

    @cached_property
    def features(self) -> Tensor:
        """Features of the image."""
        with torch.no_grad():
            return self.model.extract_features(self.image)

    @cached_property
    def heads(self) -> Heads:
        """Templates of the class images."""
        with torch.no_grad():
            return self.model.make_heads(self.class_images)

    @cached_property
    def volumes(self) -> Tensor:
        """Correlations of the image with every class, C x H x W x K."""
        with torch.no_grad():
            return correlate_cells_last(normalise(self.features), self.heads.templates)[0]

    @cached_property
    def matches(self) -> Matches:
        """What the network says about the image."""
        with torch.no_grad():
            return self.model.match(self.features, self.heads)

    @cached_property
    def training_batches(self) -> list[TrainBatch]:
        """Batches of the training step, on the device."""
        batches = TrainBatches(self.dataset, self.config, self.model.box_coder, seed=0)
        return [batches[k].to(self.device) for k in range(TRAINING_BATCHES)]

    @cached_property
    def detections(self) -> Detected:
        """Detections and ground truth of the average precision."""
        s = self.settings
        return draw_detections(s.detected_images, s.detected_classes, s.detections_per_image)

    def stage_config(self, stage: str) -> CfgNode:
        """Return the configuration of a stage."""
        config = self.config.clone()
        config.merge_from_list([item for pair in self._overrides(stage).items() for item in pair])
        return config

    def _overrides(self, stage: str) -> dict[str, Any]:
        if stage == "mining":  # everything that both programs would draw at random is fixed
            scales = list(self.settings.mining_scales)
            return {
                "eval.scales_of_image_pyramid": scales,
                "train.mining.num_random_pyramid_scales": 0,
                "train.mining.num_random_negative_classes": -1,
            }
        return STAGE_CONFIG.get(stage, {})

    def mined_dataset(self) -> DatasetOneShotDetection:
        """Return the first image with all classes of the data set, most of which are not in it.

        This is what mining works on: the published program looks for 200 random classes beside those of an image.
        """
        whole = self.dataset
        return DatasetOneShotDetection(
            gtboxframe=whole.gtboxframe,
            gt_path=whole.class_images_folder,
            image_path=whole.images_folder,
            name=whole.name,
            image_size=whole.image_size,
            eval_scale=whole.eval_scale,
            cache_images=True,
            image_ids=whole.image_ids[:MINED_IMAGES],
            image_file_names=whole.image_file_names[:MINED_IMAGES],
            annotation=whole.annotation,
        )

    def fresh_model(self) -> Os2d:
        """Return a copy of the network that may be trained."""
        return deepcopy(self.model)

    def write(self) -> None:
        """Write what the published program needs to do the same work."""
        save_checkpoint(self.folder / "weights.pth", self.model, None)
        matches = self.matches
        torch.save(
            {
                "image": self.image.cpu(),
                "class_images": [image.cpu() for image in self.class_images],
                "volumes": self.volumes.movedim(-1, 1).contiguous().cpu(),
                "loc_scores": matches.loc_scores[0].cpu(),
                "class_scores": matches.class_scores[0].cpu(),
                "class_ids": torch.arange(len(self.heads)),
            },
            self.folder / "inputs.pt",
        )
        torch.save([_plain(batch) for batch in self.training_batches], self.folder / "batches.pt")
        torch.save(self.detections.as_plain(), self.folder / "detections.pt")
        self.dataset.gtboxframe.to_csv(self.folder / "dataset.csv", index=False)
        description = json.dumps(self._description(), indent=1)
        (self.folder / "case.json").write_text(description, encoding="utf-8")

    def _description(self) -> dict[str, Any]:
        ids = self.dataset.image_ids
        return {
            "config": _shared_options(self.settings),
            "stage_config": {stage: self._overrides(stage) for stage in ("evaluation", "mining", "training-step")},
            "dataset": {
                "name": self.dataset.name,
                "images": str(self.dataset.images_folder),
                "class_images": str(self.dataset.class_images_folder),
                "image_ids": ids,
                "image_files": self.dataset.image_file_names,
                "nominal_size": self.dataset.image_size,
                "scale": self.dataset_scale,
                "evaluated": self.settings.evaluated_images,
                "mined": MINED_IMAGES,
            },
            "batches": self.settings.batches,
        }


def _config(settings: Settings) -> CfgNode:
    config = default_config()
    own = {
        "model.backbone_cut": settings.backbone_cut,
        "model.template_grid": settings.template_grid,
        "model.template_border": min(2, (settings.template_grid - 1) // 2),
        "train.precision": settings.precision,
        "eval.precision": settings.precision,
        "runtime.num_threads": settings.threads,
        "runtime.num_workers": 0,
        "runtime.data_root": str(settings.data_root or ""),
    }
    for key, value in {**_shared_options(settings), **own}.items():
        config.merge_from_list([key, value])
    return config


def _shared_options(settings: Settings) -> dict[str, Any]:
    """Return the keys that both programs know."""
    return {
        "is_cuda": settings.device == "cuda",
        "random_seed": 0,
        "model.backbone_arch": settings.backbone,
        "train.batch_size": settings.batch,
        "train.class_batch_size": settings.batch_classes,
        "train.augment.train_patch_width": settings.patch,
        "train.augment.train_patch_height": settings.patch,
        "train.dataset_scale": float(max(settings.image_size)),
        "eval.dataset_scales": [float(max(settings.image_size))],
        "eval.scales_of_image_pyramid": list(settings.scales),
        # A network with random weights aligns nothing well: with these some of its anchors are positive all the same.
        "train.objective.positive_iou_threshold": 0.3,
        "train.objective.remap_classification_targets_iou_pos": 0.4,
        "train.objective.remap_classification_targets_iou_neg": 0.2,
    }


def _generated(settings: Settings, folder: Path) -> DatasetOneShotDetection:
    """Return a small generated data set whose longer image side is that of the measured image."""
    longer = max(settings.image_size)
    parameters = ShelfParameters(
        train_classes=settings.classes,
        unseen_classes=1,
        distractors=2,
        train_images=max(4, settings.classes // 2),  # so many that nearly every class is in one of them
        val_images=1,
        image_size=longer,
        class_image_size=min(longer, 240),
        objects=(3, 6),
        product_px=(min(160, longer / 4), min(320, longer / 2)),  # about the size of an anchor: some are positive
    )
    shelf = ensure_shelf(folder, parameters)
    return build_dataset(f"custom:{shelf}#train", folder, cache_images=True)


@torch.no_grad()
def _make_sensible(model: Os2d, image: Tensor, seed: int) -> None:
    """Give the network the statistics of an image and an alignment that differs from place to place.

    With untouched statistics features grow from block to block, and with an untouched last layer nothing is aligned.
    """
    backbone = model.net_feature_maps
    norms = [m for m in backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum, norm.training = 1.0, True
    torch.nn.Sequential.forward(backbone, image)  # type: ignore[no-untyped-call]  # torch's
    for norm in norms:
        norm.momentum = 0.1
    backbone.eval()
    if not model.merged:
        model.net_label_features.net_class_features.load_state_dict(backbone.state_dict())
    regressor = model.os2d_head_creator.aligner.parameter_regressor
    generator = torch.Generator().manual_seed(seed)
    linear = regressor.linear
    assert linear.bias is not None
    linear.weight.normal_(generator=generator)
    features = normalise(model.extract_features(image))
    crop = image[0, :, : min(240, image.shape[2]), : min(240, image.shape[3])]
    parameters = regressor(correlate(features, model.make_heads([crop]).templates))
    spread = (parameters - linear.bias[:, None, None]).std()
    linear.weight.mul_(ALIGNMENT_SPREAD / spread)


def _plain(batch: TrainBatch) -> dict[str, Any]:
    return {
        "images": batch.images.cpu(),
        "class_images": [image.cpu() for image in batch.class_images],
        "loc_targets": batch.loc_targets.cpu(),
        "cls_targets": batch.cls_targets.cpu(),
        "class_ids": batch.class_ids.tolist(),
        "boxes": [
            (boxes.boxes_xyxy.cpu(), boxes.field("labels").cpu(), boxes.field("difficult").cpu())
            for boxes in batch.boxes
        ],
    }
