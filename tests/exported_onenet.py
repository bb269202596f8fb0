"""OneNet in ONNX Runtime: networks to export, real photos, and the comparison with what torch finds in them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from baselines.onenet.config_file import read_config
from baselines.onenet.modeling.model import OneNet, build_model
from baselines.onenet.structures import Detections
from os2d.structures.sizes import Size

CONFIGS = Path(__file__).resolve().parents[1] / "baselines" / "onenet" / "configs"


def fresh(name: str) -> OneNet:
    """Return a network whose boxes and scores are not all alike."""
    model = build_model(read_config(CONFIGS / f"{name}.yaml"))
    with torch.no_grad():
        model.head.cls_score.weight.mul_(3)
        boxes = getattr(model.head, "ltrb_pred", None)
        if boxes is not None:
            boxes.bias.add_(20)
    return model.eval()


def photos_of(folder: Path, sizes: Sequence[Size]) -> list[torch.Tensor]:
    """Return real photos, resized."""
    paths = sorted((folder / "bccd" / "val").glob("*.jpg"))
    return [
        pil_to_tensor(Image.open(path).convert("RGB").resize(size)) for path, size in zip(paths, sizes, strict=False)
    ]


def assert_same(theirs: Detections, ours: Detections) -> None:
    """Require that every detection of one has its like in the other; equal scores may stand in another order."""
    assert len(ours) > 10
    assert abs(len(theirs) - len(ours)) <= 1
    is_same = (
        ((theirs.boxes_N4[:, None] - ours.boxes_N4).abs().amax(-1) <= 1e-2)
        & ((theirs.scores_N[:, None] - ours.scores_N).abs() <= 1e-4)
        & (theirs.classes_N[:, None] == ours.classes_N)
    )
    # The last ones may be others, of the same score.
    assert is_same.any(0)[ours.scores_N > ours.scores_N.min() + 1e-4].all()
    assert is_same.any(1)[theirs.scores_N > theirs.scores_N.min() + 1e-4].all()


def check_against_torch(model: OneNet, path: Path, folder: Path, groups: Sequence[Sequence[Size]]) -> None:
    """Compare what ONNX Runtime finds in groups of photos of these sizes with what torch finds."""
    from baselines.onenet.export.onnx_detector import OnnxDetector

    detector = OnnxDetector(path)
    for sizes in groups:
        images = photos_of(folder, sizes)
        originals = [Size(2 * size.w, 3 * size.h) for size in sizes]
        with torch.no_grad():
            expected = model(images, output_sizes=originals)
        for theirs, ours in zip(detector(images, originals), expected, strict=True):
            assert_same(theirs, ours)
