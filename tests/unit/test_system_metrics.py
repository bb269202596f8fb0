"""What a worker records of its machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.system_metrics import sample

REPOSITORY = Path(__file__).resolve().parents[2]

SMI = """#!/bin/sh
echo "$@" >> "$0.asked"
echo "37, 1000, 4000, 50.5, 100.00"
echo "0, 0, 4000, [N/A], [N/A]"
"""

MLFLOW_NAMES = {
    "system/cpu_utilization_percentage",
    "system/system_memory_usage_megabytes",
    "system/system_memory_usage_percentage",
    "system/disk_usage_percentage",
    "system/disk_usage_megabytes",
    "system/disk_available_megabytes",
    "system/network_receive_megabytes",
    "system/network_transmit_megabytes",
}


def sampled_in_a_fresh_process(environment):
    code = "import json; from orchestration.system_metrics import sample; print(json.dumps([sample(), sample()]))"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY, env=environment
    )
    return ended, json.loads(ended.stdout)


@pytest.fixture
def environment(tmp_path):
    """One whose nvidia-smi is a program of ours: this machine need not have a graphics card."""
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    return {**kept, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}


def test_names_and_ranges_are_those_of_mlflow():
    sample()
    values = sample()

    assert set(values) >= MLFLOW_NAMES
    for name, value in values.items():
        assert value >= 0, name
    for name in ("system/cpu_utilization_percentage", "system/disk_usage_percentage"):
        assert values[name] <= 100
    assert 5 < values["system/worker_memory_usage_megabytes"] < values["system/system_memory_usage_megabytes"]


def test_the_first_sample_tells_no_use_of_processors(environment):
    first, second = sampled_in_a_fresh_process(environment)[1]

    assert "system/cpu_utilization_percentage" not in first
    assert "system/cpu_utilization_percentage" in second


def test_cards_are_told_as_far_as_they_answer(environment):
    _, (values, _) = sampled_in_a_fresh_process(environment)

    assert values["system/gpu_0_utilization_percentage"] == 37
    assert values["system/gpu_0_memory_usage_megabytes"] == pytest.approx(1048.576)
    assert values["system/gpu_0_memory_usage_percentage"] == 25
    assert values["system/gpu_0_power_usage_watts"] == 50.5
    assert values["system/gpu_0_power_usage_percentage"] == 50.5
    assert values["system/gpu_1_utilization_percentage"] == 0
    assert "system/gpu_1_power_usage_watts" not in values


def test_only_the_cards_of_the_trial_are_asked(environment, tmp_path):
    sampled_in_a_fresh_process({**environment, "CUDA_VISIBLE_DEVICES": "3,5"})
    assert (tmp_path / "nvidia-smi.asked").read_text().count("--id=3,5") == 2


def test_a_trial_without_cards_asks_for_none(environment, tmp_path):
    _, (values, _) = sampled_in_a_fresh_process({**environment, "CUDA_VISIBLE_DEVICES": ""})
    assert not any("gpu" in name for name in values)
    assert not (tmp_path / "nvidia-smi.asked").exists()


def test_a_driver_that_is_broken_is_told_once(environment, tmp_path):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    ended, (values, _) = sampled_in_a_fresh_process(environment)
    assert not any("gpu" in name for name in values)
    assert ended.stderr.count("the use of graphics cards is not recorded") == 1
