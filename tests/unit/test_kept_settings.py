"""What a trial's folder tells about the network in it."""

from math import inf
from pathlib import Path

from orchestration.durable import to_json
from os2d.detector.kept_settings import kept_values


def test_numbers_without_a_place_in_json_are_read_as_a_trial_writes_them(tmp_path: Path):
    config = {"eval": {"nms_score_threshold": -inf, "nms_iou_threshold": 0.3}}
    (tmp_path / "trial.json").write_text(to_json({"config": config}))

    assert dict(kept_values(tmp_path / "trial.json")) == {
        "eval.nms_score_threshold": -inf,
        "eval.nms_iou_threshold": 0.3,
    }
