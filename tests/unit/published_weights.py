"""Files in the layouts of the published weights, with numbers of their names instead of the published ones."""

from pathlib import Path

import torch

from os2d.modeling.conversion import caffe2_cirtorch, caffe2_groupnorm, cirtorch, maskrcnn_benchmark, weakalign
from os2d.modeling.network_keys import CLASS_BRANCH, IMAGE_BRANCH, TRANSFORM_NET
from os2d.modeling.transform_net import TransformNet
from tests.unit.weights_files import pickled, renamed, resnet, saved, spread


def write_published_weights(folder: Path) -> None:
    """Write every file that ``docs/weights.md`` names into ``models`` and ``output`` of a folder."""
    for name in ("models/maskrcnn-benchmark", "output/resnet101"):
        (folder / name).mkdir(parents=True)
    models = folder / "models"
    saved(models / "os2d_v2-train.pth", os2d("ResNet50", 6))
    saved(models / "os2d_v1-train.pth", os2d("ResNet101", 4))
    saved(models / "weakalign_resnet101_affine_tps.pth.tar", weakalign_file())
    fifty, hundred = resnet("ResNet50"), resnet("ResNet101")
    saved(models / "imagenet-caffe-resnet50-features-ac468af.pth", renamed(fifty, caffe2_cirtorch.PREFIXES))
    saved(models / "gl18-tl-resnet101-gem-w-a4d43db.pth", {"state_dict": renamed(hundred, cirtorch.PREFIXES)})
    detector = models / "maskrcnn-benchmark" / "e2e_mask_rcnn_R_50_FPN_1x.pth"
    saved(detector, {"model": renamed(fifty, maskrcnn_benchmark.PREFIXES)})
    blobs = {caffe2_groupnorm.blob_name(k): t.numpy() for k, t in resnet("ResNet50", group_norm=True).items()}
    pickled(models / "R-50-GN.pkl", {"blobs": blobs})
    saved(folder / "output" / "resnet101" / "model_best.pth.tar", {"state_dict": hundred})


def transform_net(outputs: int) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        state = TransformNet(225, outputs, [7, 5, 5], [128, 64]).state_dict()
    return {name: spread(name, tensor.shape, tensor.dtype) for name, tensor in state.items()}


def os2d(architecture: str, outputs: int) -> dict[str, object]:
    kept = {k: t for k, t in resnet(architecture).items() if not k.startswith(("layer4.", "fc."))}
    branches = {branch + key: tensor for branch in (IMAGE_BRANCH, CLASS_BRANCH) for key, tensor in kept.items()}
    return {"net": branches | {TRANSFORM_NET + key: tensor for key, tensor in transform_net(outputs).items()}}


def weakalign_file() -> dict[str, object]:
    regressor = {
        f"FeatureRegression.{key}": tensor.flatten(1) if key == "linear.weight" else tensor
        for key, tensor in transform_net(6).items()
        if not key.endswith("num_batches_tracked")
    }
    return {"epoch": 20, "state_dict": renamed(resnet("ResNet101"), weakalign.BACKBONE_PREFIXES) | regressor}
