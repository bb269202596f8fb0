"""A Ray cluster that does not come up in time is started once more."""

import pytest

from orchestration.errors import LaunchError
from orchestration.launch.ray.launcher import RayLauncher

ray = pytest.importorskip("ray")
SLOW = "The current node timed out during startup."


class Starts:
    """Stands for ``ray.init``: fails so many times, and keeps what it was asked for."""

    def __init__(self, failures):
        self.failures, self.asked = failures, []

    def __call__(self, **settings):
        self.asked.append(settings)
        if len(self.asked) <= self.failures:
            raise Exception(SLOW)


def test_a_cluster_that_does_not_start_in_time_is_started_once_more(monkeypatch):
    monkeypatch.setattr(ray, "init", starts := Starts(failures=1))
    RayLauncher()._connect({"address": "local"})
    assert starts.asked == [{"address": "local"}] * 2


def test_a_cluster_that_never_starts_is_one_message(monkeypatch):
    monkeypatch.setattr(ray, "init", starts := Starts(failures=9))
    with pytest.raises(LaunchError, match=f"does not start on this machine, in 2 tries; .*: {SLOW}"):
        RayLauncher()._connect({"address": "local"})
    assert len(starts.asked) == 2


def test_a_cluster_elsewhere_is_asked_once(monkeypatch):
    monkeypatch.setattr(ray, "init", starts := Starts(failures=1))
    with pytest.raises(LaunchError, match=r"there is no Ray cluster at 10\.0\.0\.1:6379, or it does not answer"):
        RayLauncher(address="10.0.0.1:6379")._connect({"address": "10.0.0.1:6379"})
    assert len(starts.asked) == 1
