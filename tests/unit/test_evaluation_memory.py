"""The peak memory of the evaluation of an image does not grow with the number of classes."""

import subprocess
import sys
from pathlib import Path

import pytest

from os2d.data.shelf.parameters import ShelfParameters
from os2d.data.shelf.store import draw_shelf

FEW_CLASSES, MANY_CLASSES = 25, 200
ALLOWED_GROWTH_MB = 20
"""For the detections of the other classes, and what the allocator does not give back in between."""

EVALUATE = """
import sys
from pathlib import Path
import torch
from os2d.config import default_config
from os2d.console import ConsoleRun
from os2d.data.dataset import build_dataset
from os2d.data.eval_loader import EvalImages
from os2d.engine.detection import ClassHeads
from os2d.engine.evaluation import _evaluate_batch, _Scene
from os2d.modeling.objective import Os2dObjective
from os2d.engine.pictures import Pictures
from os2d.modeling.head import Heads
from os2d.modeling.network import build_os2d

torch.set_num_threads(1)
config = default_config()
config.merge_from_list([
    "is_cuda", False,
    "model.backbone_arch", "ResNet18",
    "model.backbone_cut", "layer1",
    "model.template_grid", 7,
    "model.template_border", 1,
    "model.transform_net.kernel_sizes", [3, 3, 3],
    "model.transform_net.channels", [4, 4],
    "eval.scales_of_image_pyramid", [1.0, 1.25],
    "eval.nms_iou_threshold", 0.1,
    "runtime.head_memory_mb", 16,
    "runtime.num_workers", 0,
])
dataset = build_dataset(f"custom:{sys.argv[1]}#train", Path("data"))
batch = EvalImages(dataset, config, 256.0)[0]
class_ids = [*dataset.class_ids, *range(1000, 1000 + int(sys.argv[3]))]
templates = torch.nn.functional.normalize(torch.randn(int(sys.argv[3]), 64, 7, 7))
torch.manual_seed(0)
with ConsoleRun(None, seed=0) as run:
    model = build_os2d(config).eval()
    for count in (int(argument) for argument in sys.argv[2:]):
        scene = _Scene(
            model=model,
            dataset=dataset,
            objective=Os2dObjective.from_config(config),
            class_heads=ClassHeads(class_ids[:count], 1, Heads(templates[:count])),
            config=config,
            pictures=Pictures(config, run, None),
            pictured=frozenset(),
        )
        (found,) = _evaluate_batch(scene, batch).detections
        assert len(found.field("labels").unique()) == count
        anchors = sum(level.shape[-2] * level.shape[-1] // 16 for level in batch.levels)
        # Not ru_maxrss: a process begins with the one of the process that starts it.
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        print(anchors, status["VmHWM"].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_eight_times_the_classes_need_no_more_memory(tmp_path: Path) -> None:
    parameters = ShelfParameters(
        train_classes=4,
        unseen_classes=3,
        distractors=2,
        train_images=1,
        val_images=1,
        image_size=256,
        class_image_size=48,
        objects=(2, 3),
        product_px=(30.0, 48.0),
    )
    draw_shelf(tmp_path / "small", parameters)
    counts = [str(FEW_CLASSES), str(MANY_CLASSES)]
    printed = subprocess.run(
        [sys.executable, "-c", EVALUATE, tmp_path / "small", *counts],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    ).stdout
    (anchors, few_kb), (_, many_kb) = [map(int, line.split()) for line in printed.splitlines()[-2:]]

    every_match_mb = (MANY_CLASSES - FEW_CLASSES) * anchors * 13 * 4 / 2**20  # codes, score, corners of every anchor
    assert every_match_mb > 3 * ALLOWED_GROWTH_MB
    assert (many_kb - few_kb) / 2**10 < ALLOWED_GROWTH_MB
