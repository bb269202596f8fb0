"""Train and evaluate OS2D on a data set of your own, in less than a minute on a CPU.

    python docs/examples/own_dataset.py [--folder FOLDER] [--steps N]

The pictures are drawn here, so that the script runs as it is: signs of six kinds, four of them to learn from, two that
the network sees for the first time when it is evaluated. With your own photos, replace ``draw_data``: all that the rest
needs is a table with one row per box, and two folders with the files it names.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from os2d.config import cfg
from os2d.data.dataloader import build_eval_dataloaders_from_cfg, build_train_dataloader_from_config
from os2d.data.dataset import DatasetOneShotDetection
from os2d.engine.evaluate import evaluate
from os2d.engine.train import trainval_loop
from os2d.modeling.model import build_os2d_from_config

COLOURS = ["crimson", "royalblue", "gold", "seagreen", "darkorange", "purple"]
IMAGE_SIZE, SIGN_PX = 192, 48

SMALL_NETWORK = {
    "is_cuda": False,
    "model.backbone_arch": "ResNet18",
    "model.backbone_cut": "layer2",
    "model.use_group_norm": True,
    "model.template_grid": 7,
    "model.template_border": 1,
    "model.class_image_size": SIGN_PX,
    "model.transform_net.kernel_sizes": [3, 3, 3],
    "model.transform_net.channels": [16, 16],
    "train.batch_size": 2,
    "train.class_batch_size": 4,
    "train.augment.train_patch_width": 128,
    "train.augment.train_patch_height": 128,
    "train.optim.optim_method": "adamw",
    "train.optim.lr": 1e-3,
    "eval.scales_of_image_pyramid": [1.0],
    "output.print_iter": 5,
    "runtime.num_workers": 0,
}
"""Without pretrained weights a small network learns sooner; leave this out for the published one."""


def main() -> None:
    """Draw the data, train, evaluate, and print what was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="for data, checkpoints and pictures; default: a temporary one")
    parser.add_argument("--steps", type=int, default=60, help="training steps; default: %(default)s")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="own-dataset-"))

    cfg.merge_from_list([part for item in SMALL_NETWORK.items() for part in item])
    cfg.train.optim.max_iter = options.steps
    cfg.eval.iter = options.steps
    cfg.output.path = str(folder / "output")
    cfg.visualization.eval.show_detections = True
    cfg.freeze()

    train = own_dataset("signs-train", folder, classes=range(4), num_images=12)
    unseen = own_dataset("signs-unseen", folder, classes=range(4, 6), num_images=4)

    net, box_coder, criterion, img_normalization, _ = build_os2d_from_config(cfg)
    dataloader_train, _ = build_train_dataloader_from_config(cfg, box_coder, img_normalization, dataset_train=train)
    dataloaders_eval = build_eval_dataloaders_from_cfg(cfg, box_coder, img_normalization, datasets_for_eval=[unseen])

    trainval_loop(dataloader_train, net, cfg, criterion, dataloaders_eval=dataloaders_eval)
    metrics = evaluate(dataloaders_eval[0], net, cfg, criterion, print_per_class_results=True)
    print(f"mAP on kinds of signs never seen in training: {metrics['mAP@0.50']:.3f}; everything is in {folder}")


def own_dataset(name: str, folder: Path, classes: range, num_images: int) -> DatasetOneShotDetection:
    """Return a data set of the kind you would build from your own table."""
    boxes = draw_data(folder / name, classes, num_images)
    return DatasetOneShotDetection(
        gtboxframe=boxes,
        gt_path=folder / name / "classes",
        image_path=folder / name / "images",
        name=name,
        image_size=IMAGE_SIZE,
        eval_scale=IMAGE_SIZE,
        cache_images=True,
    )


def draw_data(folder: Path, classes: range, num_images: int) -> pd.DataFrame:
    """Write images and class images, and return the table of boxes: one row each, relative to the image."""
    rng = np.random.default_rng(classes.start)
    (folder / "classes").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    for class_id in classes:
        draw_sign(class_id, SIGN_PX).save(folder / "classes" / f"{class_id}.png")
    rows = []
    for image_id in range(num_images):
        image = Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE), tuple(rng.integers(90, 170, 3).tolist()))
        for corner in ((8, 8), (104, 8), (8, 104), (104, 104)):
            class_id, side = int(rng.choice(classes)), int(rng.integers(40, 60))
            x, y = (c + int(rng.integers(0, 20)) for c in corner)
            image.paste(draw_sign(class_id, side), (x, y))
            rows.append((image_id, class_id, *(v / IMAGE_SIZE for v in (x, y, x + side, y + side))))
        image.save(folder / "images" / f"{image_id}.png")
    boxes = pd.DataFrame(rows, columns=["imageid", "classid", "lx", "ty", "rx", "by"])
    return boxes.assign(
        gtbboxid=range(len(boxes)),
        difficult=0,
        imagefilename=boxes["imageid"].astype(str) + ".png",
        classfilename=boxes["classid"].astype(str) + ".png",
    )


def draw_sign(class_id: int, side: int) -> Image.Image:
    """Return a sign: a figure of the class's own on a plate of its colour."""
    image = Image.new("RGB", (96, 96), COLOURS[class_id])
    draw = ImageDraw.Draw(image)
    draw.rectangle((4, 4, 91, 91), outline="white", width=5)
    draw.regular_polygon((48, 48, 30), n_sides=3 + class_id, fill="white", rotation=15 * class_id)
    draw.ellipse((42 - 3 * class_id, 40, 54 + 3 * class_id, 56), fill="black")
    return image.resize((side, side), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
