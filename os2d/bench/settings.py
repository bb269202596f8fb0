"""What is measured, and on which work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from os2d.structures.sizes import Size

PUBLISHED_SIZE = Size(1280, 960)


@dataclass(frozen=True)
class Settings:
    """Options of a run; the defaults are the work that the targets are stated for.

    Args:
        device: ``cpu`` or ``cuda``.
        threads: of torch on the CPU; 0: torch's own choice.
        precision: ``fp32``, ``bf16`` or ``fp16``, of our network in evaluation and training.
        image_size: of the image whose features and matches are measured.
        classes: class images that are matched with it.
        backbone: a ResNet.
        backbone_cut: last stage kept.
        template_grid: cells per side of a class template.
        repetitions: timed calls per stage, after one that is not timed.
        scales: of the image pyramid of an evaluation.
        mining_scales: of the image pyramid of mining.
        patch: side of a training patch, in pixels.
        batch: patches of a training step.
        batch_classes: class images of a training step.
        batches: that one measurement of data loading prepares.
        workers: processes that prepare them.
        detected_images: images of the average precision.
        detected_classes: classes of the average precision.
        detections_per_image: boxes per image of the average precision.
        dataset: a data set to evaluate and train on instead of a generated one.
        data_root: folder of the named data sets; None: as everywhere.
        evaluated_images: images of an evaluation; None: all.
        quick: less work everywhere, for a first impression.
    """

    device: str = "cpu"
    threads: int = 0
    precision: str = "fp32"
    image_size: Size = PUBLISHED_SIZE
    classes: int = 8
    backbone: str = "ResNet50"
    backbone_cut: str = "layer3"
    template_grid: int = 15
    repetitions: int = 5
    scales: tuple[float, ...] = (0.5, 0.625, 0.8, 1.0, 1.2, 1.4, 1.6)
    mining_scales: tuple[float, ...] = (0.8, 1.2)
    patch: int = 600
    batch: int = 2
    batch_classes: int = 5
    batches: int = 8
    workers: int = 2
    detected_images: int = 84
    detected_classes: int = 185
    detections_per_image: int = 20_000
    dataset: str | None = None
    data_root: Path | None = None
    evaluated_images: int | None = 1
    quick: bool = False

    def quicker(self) -> Settings:
        """Return settings with the same stages and a fraction of the work."""
        return replace(
            self,
            image_size=Size(min(self.image_size.w, 320), min(self.image_size.h, 240)),
            classes=min(self.classes, 3),
            repetitions=min(self.repetitions, 2),
            scales=(0.8, 1.0),
            mining_scales=(1.0,),
            patch=min(self.patch, 192),
            batch_classes=min(self.batch_classes, 2),
            batches=4,
            detected_images=20,
            detected_classes=40,
            detections_per_image=2_000,
            quick=True,
        )
