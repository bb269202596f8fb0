"""Batches for scripts that bring their own data sets, by the names of the published program.

Build a :class:`~os2d.data.dataset.DatasetOneShotDetection`, pass it to the two functions below, and give what they
return to :func:`os2d.engine.train.trainval_loop` and :func:`os2d.engine.evaluate.evaluate`. The script
``docs/examples/own_dataset.py`` does all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from yacs.config import CfgNode

from os2d.data.dataset import DatasetOneShotDetection, build_dataset
from os2d.data.eval_loader import EvalBatch, EvalImages, build_eval_loader
from os2d.data.train_loader import TrainBatch, TrainBatches, build_train_loader
from os2d.errors import ConfigError, DataError
from os2d.modeling.box_coder import BoxCoder

Normalization = Mapping[str, Sequence[float]]
"""``mean`` and ``std``, three numbers each."""


@dataclass(frozen=True)
class TrainDataloader:
    """The training batches of a data set; iterating yields those of the first epoch.

    Args:
        dataset: at least one image with a box.
        config: the whole configuration tree.
        box_coder: computes the targets.
    """

    dataset: DatasetOneShotDetection
    config: CfgNode
    box_coder: BoxCoder

    def __len__(self) -> int:
        return self._batches().batches_per_epoch

    def __iter__(self) -> Iterator[TrainBatch]:
        seed = self.config.random_seed
        return iter(build_train_loader(self.dataset, self.config, self.box_coder, seed=seed, start=0, stop=len(self)))

    def get_batch(self, index: int) -> TrainBatch:
        """Return the batch of an iteration, which may lie beyond the first epoch."""
        return self._batches()[index]

    def get_name(self) -> str:
        """Return the name of the data set."""
        return self.dataset.name

    def get_eval_scale(self) -> float:
        """Return the image size at which crops are taken."""
        return float(self.config.train.dataset_scale)

    def configured(self, cfg: CfgNode) -> CfgNode:
        """Return a configuration with the scale and the normalisation of these batches, frozen."""
        cfg = _with_normalization(cfg, _normalization_of(self.config))
        cfg.train.dataset_scale = self.config.train.dataset_scale
        cfg.freeze()
        return cfg

    def _batches(self) -> TrainBatches:
        return TrainBatches(self.dataset, self.config, self.box_coder, self.config.random_seed)


@dataclass(frozen=True)
class EvalDataloader:
    """All images of a data set at every scale of the pyramid.

    Args:
        dataset: at least one annotated class.
        config: the whole configuration tree.
        dataset_scale: image size at which pyramid scale 1 sees the images.
        box_coder: of the network.
    """

    dataset: DatasetOneShotDetection
    config: CfgNode
    dataset_scale: float
    box_coder: BoxCoder

    def __len__(self) -> int:
        return len(EvalImages(self.dataset, self.config, self.dataset_scale))

    def __iter__(self) -> Iterator[EvalBatch]:
        return iter(build_eval_loader(self.dataset, self.config, self.dataset_scale))

    def get_name(self) -> str:
        """Return the name of the data set."""
        return self.dataset.name

    def get_eval_scale(self) -> float:
        """Return the image size at which pyramid scale 1 sees the images."""
        return self.dataset_scale

    def configured(self, cfg: CfgNode) -> CfgNode:
        """Return a configuration with the normalisation of these batches, frozen."""
        cfg = _with_normalization(cfg, _normalization_of(self.config))
        cfg.freeze()
        return cfg


def build_train_dataloader_from_config(
    cfg: CfgNode,
    box_coder: BoxCoder,
    img_normalization: Normalization,
    dataset_train: DatasetOneShotDetection | None = None,
    data_path: str | Path = "",
    logger_prefix: str = "OS2D.train",
) -> tuple[TrainDataloader, list[DatasetOneShotDetection]]:
    """Return the batches to train on, and the first training images for evaluation if ``eval`` asks for some.

    Args:
        cfg: the whole configuration tree; all of ``train`` counts.
        box_coder: of the network, as :func:`~os2d.modeling.model.build_os2d_from_config` returns it.
        img_normalization: ``mean`` and ``std``; they win over ``cfg.model``.
        dataset_train: the data set; None: ``train.dataset_name`` below ``data_path``. Crops are taken at its
            ``eval_scale``, or at ``train.dataset_scale`` where it has none.
        data_path: folder of the named data sets.
        logger_prefix: of the logger that tells what is built.

    Raises:
        ConfigError: neither a data set nor a folder is given.
        DataError: there is nothing to train on.
    """
    cfg = _with_normalization(cfg, img_normalization)
    if dataset_train is None:
        if not data_path:
            raise ConfigError("build_train_dataloader_from_config: expected dataset_train or data_path, got neither")
        dataset_train = build_dataset(
            cfg.train.dataset_name, Path(data_path), cache_images=cfg.train.cache_images and cfg.train.do_training
        )
    if dataset_train.eval_scale is not None:
        cfg.train.dataset_scale = float(dataset_train.eval_scale)
    cfg.freeze()
    if not dataset_train.class_ids:
        raise DataError(f"data set {dataset_train.name!r} has no boxes to train on")
    logging.getLogger(f"{logger_prefix}.dataloader").info(
        "training on %s: %d images, %d classes, scale %g",
        *(dataset_train.name, len(dataset_train), len(dataset_train.class_ids), cfg.train.dataset_scale),
    )
    subsets = []
    if cfg.eval.train_subset_for_eval_size > 0:
        subsets = [dataset_train.subset(cfg.eval.train_subset_for_eval_size)]
        subsets[0].eval_scale = cfg.train.dataset_scale
    return TrainDataloader(dataset_train, cfg, box_coder), subsets


def build_eval_dataloaders_from_cfg(
    cfg: CfgNode,
    box_coder: BoxCoder,
    img_normalization: Normalization,
    datasets_for_eval: Sequence[DatasetOneShotDetection] = (),
    data_path: str | Path = "",
    logger_prefix: str = "OS2D.eval",
) -> list[EvalDataloader]:
    """Return the data sets to evaluate on: those of ``eval.dataset_names``, then the given ones.

    Args:
        cfg: the whole configuration tree; all of ``eval`` counts.
        box_coder: of the network.
        img_normalization: ``mean`` and ``std``; they win over ``cfg.model``.
        datasets_for_eval: own data sets, and subsets of the training set; each is seen at its ``eval_scale``, or at the
            only one of ``eval.dataset_scales`` where it has none.
        data_path: folder of the named data sets; empty: the names of the configuration are left out.
        logger_prefix: of the logger that tells what is built.

    Raises:
        ConfigError: a data set has no scale, or two have the same name.
        DataError: anything wrong with the files.
    """
    cfg = _with_normalization(cfg, img_normalization)
    cfg.freeze()
    scales, names = list(cfg.eval.dataset_scales), list(cfg.eval.dataset_names)
    parts: list[tuple[DatasetOneShotDetection, float]] = []
    if data_path:
        if len(scales) not in (1, len(names)):
            raise ConfigError(
                f"eval.dataset_scales: expected one scale, or one for each of the {len(names)} names of "
                f"eval.dataset_names, got {len(scales)}"
            )
        pairs = zip(names, scales * len(names) if len(scales) == 1 else scales, strict=True)
        parts = [
            (build_dataset(name, Path(data_path), cache_images=cfg.eval.cache_images), scale)
            for name, scale in pairs
            if name
        ]
    parts += [(dataset, _scale_of(dataset, scales)) for dataset in datasets_for_eval]
    found = [dataset.name for dataset, _ in parts]
    repeated = next((name for name in found if found.count(name) > 1), None)
    if repeated:
        raise ConfigError(f"data sets to evaluate on: expected different names, got {repeated!r} twice")
    log = logging.getLogger(f"{logger_prefix}.dataloader")
    for dataset, scale in parts:
        log.info("evaluating on %s: %d images, scale %g", dataset.name, len(dataset), scale)
    return [EvalDataloader(dataset, cfg, scale, box_coder) for dataset, scale in parts]


def _scale_of(dataset: DatasetOneShotDetection, scales: Sequence[float]) -> float:
    if dataset.eval_scale is not None:
        return float(dataset.eval_scale)
    if len(scales) == 1:
        return float(scales[0])
    raise ConfigError(
        f"data set {dataset.name!r}: expected eval_scale, the image size at which evaluation sees its objects at the "
        f"right size, because eval.dataset_scales has {len(scales)} values"
    )


def _with_normalization(cfg: CfgNode, img_normalization: Normalization) -> CfgNode:
    """Return an unfrozen copy of the tree with this normalisation."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.model.normalization_mean = list(img_normalization["mean"])
    cfg.model.normalization_std = list(img_normalization["std"])
    return cfg


def _normalization_of(cfg: CfgNode) -> Normalization:
    return {"mean": cfg.model.normalization_mean, "std": cfg.model.normalization_std}
