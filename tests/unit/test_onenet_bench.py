"""``oneshot bench onenet``: every stage beside what the machine can do."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from baselines.onenet.cli.bench import app

SMALL_NETWORK = """
MODEL:
  BACKBONE: {NAME: build_mobilenet_backbone, FREEZE_AT: 0}
  MOBILENET: {NAME: mobilenet_v3_small}
  OneNet: {NUM_CLASSES: 3, DCN: False, DECONV_CHANNEL: [96, 16, 16, 16]}
"""


def test_every_stage_is_measured_beside_the_peaks_of_the_machine(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL_NETWORK)
    done = CliRunner().invoke(
        app, ["onenet", "--config", str(file), "--quick", "--training-batch", "1", "--device", "cpu", "--json"]
    )
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["network"] == "small"
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert [*stages] == [
        *("preparation", "network", "selection", "inference-as-published", "inference-1", "inference-2"),
        *("matching", "losses", "training-step"),
    ]
    assert 0 < stages["network"]["share_of_peak"] < 1
    assert stages["inference-2"]["flops"] == 2 * stages["inference-1"]["flops"]
    assert report["ratios"]["matching / training step"]["by_time"] == pytest.approx(
        stages["matching"]["min_seconds"] / stages["training-step"]["min_seconds"]
    )
    assert set(report["ratios"]["norms not folded, contiguous / inference"]) == {"by_time", "by_cpu"}
    assert report["machine"]["device"]


def test_a_wrong_batch_size_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["onenet", "--batches", "1,x"])
    assert "--batches: expected numbers of images" in str(done.exception)
