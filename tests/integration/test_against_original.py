"""The published program itself, with the same weights on the same files: does it find the same?

It is not part of this repository. ``OS2D_ORIGINAL=FOLDER pytest tests/integration/test_against_original.py`` runs these
tests with a user's own checkout of it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from os2d.bench.against import Original, OriginalError
from os2d.bench.case import Case
from os2d.bench.differences import find_differences
from os2d.bench.settings import Settings
from os2d.structures.sizes import Size

CHECKOUT = os.environ.get("OS2D_ORIGINAL", "")
ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHECKOUT, reason="OS2D_ORIGINAL names no checkout of the published program"),
]

SETTINGS = replace(
    Settings(threads=2).quicker(),
    image_size=Size(480, 360),
    classes=3,
    scales=(0.625, 1.2),
    patch=320,
    evaluated_images=2,
)


@pytest.fixture(scope="module", params=["drawn", "photos"])
def programs(request, tmp_path_factory) -> Iterator[tuple[Case, Original]]:
    """Return a case and the published program that works on it."""
    settings = SETTINGS
    if request.param == "photos":
        settings = replace(settings, dataset=f"custom:{request.getfixturevalue('photos') / 'cards'}#val")
    folder = tmp_path_factory.mktemp("case")
    case = Case(settings, folder)
    case.write()
    with Original(Path(CHECKOUT), folder, threads=2) as original:
        yield case, original


@pytest.mark.parametrize(
    ("stage", "compared"),
    [
        ("evaluation", {"detections", "mAP@0.30", "recall@0.30", "cls_RLL_neg", "cls_RLL_pos", "loc_smoothL1"}),
        ("mining", {"hard patches"}),
        ("average-precision", {"mAP", "mAPw", "recall", "AP_joint_classes"}),
        ("training-step", {"step 1: grad_norm", *(f"step {n}: loss" for n in (1, 2, 3))}),
    ],
)
def test_both_programs_find_the_same(programs: tuple[Case, Original], stage: str, compared: set[str]) -> None:
    differences = find_differences(programs[0], [stage], programs[1])
    assert [vars(difference) for difference in differences if not difference.within] == []
    values = {difference.what: difference.ours for difference in differences}
    assert compared <= values.keys()
    assert [what for what in compared if "step" not in what and not values[what] > 0] == [], "nothing to compare"
    if stage == "training-step" and programs[0].settings.dataset == SETTINGS.dataset:
        assert any(values[f"step {n}: cls_RLL_pos"] > 0 for n in (1, 2, 3))


def test_a_failure_of_the_published_program_is_told_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "case.json").write_text(json.dumps({"config": {"no.such_key": 1}}))
    with Original(Path(CHECKOUT), tmp_path, 1) as original, pytest.raises(OriginalError, match=r"(?s)ended.*such"):
        original.time("image-features")


SHIMS = """
from bench.original_side.shims import restore_libraries
restore_libraries()
import pandas, torch
from PIL import Image
assert Image.ANTIALIAS == Image.Resampling.LANCZOS
assert torch.cuda.is_available() or torch.cuda.synchronize() is None
assert list(pandas.DataFrame({"a": [1]}).append(pandas.DataFrame({"a": [2]}))["a"]) == [1, 2]
optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, verbose=True, factor=0.5).step(1.0)
from os2d.modeling.model import build_os2d_from_config
print("built")
"""


def test_the_shims_bring_back_what_the_program_expects() -> None:
    path = os.pathsep.join([CHECKOUT, str(ROOT / "os2d")])
    done = subprocess.run(
        [sys.executable, "-P", "-c", SHIMS], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "built", done.stderr
