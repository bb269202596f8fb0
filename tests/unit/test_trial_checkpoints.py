"""The checkpoints of a trial by themselves; how a trial goes on from them is in ``test_trial.py``."""

import pytest

from orchestration.checkpoints import Checkpoints


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


def test_a_copy_replaces_what_is_there_even_if_that_is_further(checkpoints, tmp_path):
    donor = Checkpoints(tmp_path / "donor")
    donor.save({"of": "donor"}, 3, None)
    for step in (2, 4):
        checkpoints.save({"of": "itself"}, step, None)
    assert checkpoints.copy_newest(donor, generation=1) == 3
    assert checkpoints.take_over(generation=1, step=3)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step_00000003.pth"]
    assert checkpoints.at(3) == {"of": "donor"}
    assert not checkpoints.take_over(generation=1, step=3), "that was done before"


def test_what_interrupted_writers_left_is_swept_and_nothing_else(checkpoints):
    checkpoints.save({"step": 1}, 1, None)
    checkpoints.save({"step": 1}, 1, "best.pth")
    (checkpoints.folder / ".step_00000002.pth.half").write_bytes(b"half")
    checkpoints.sweep()
    assert {path.name for path in checkpoints.folder.iterdir()} == {"step_00000001.pth", "best.pth"}
