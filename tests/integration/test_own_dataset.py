"""The example for a data set of one's own runs as it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_example_trains_evaluates_and_draws(tmp_path: Path) -> None:
    script = ROOT / "docs" / "examples" / "own_dataset.py"
    done = subprocess.run(
        [sys.executable, str(script), "--folder", str(tmp_path), "--steps", "4"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("mAP on kinds of signs never seen in training: ")
    output = tmp_path / "output"
    steps = {json.loads(line)["step"] for line in (output / "metrics.jsonl").read_text().splitlines()}
    assert steps == {0, 1, 2, 3, 4}
    assert (output / "checkpoint_iter_4.pth").exists()
    assert (output / "artifacts/pictures/signs-unseen.png").exists()
    assert list((output / "artifacts/pictures/eval/signs-unseen").rglob("image_*_detections.png"))
