"""What trials and launches ask of ``sbatch``."""

from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.describe import Resources
from orchestration.errors import DescriptionError, ResourcesError
from orchestration.launch.choice import make_launcher
from orchestration.launch.slurm.batch_script import script_text
from orchestration.launch.slurm.options import SlurmOptions, parse_sbatch, sbatch_flags
from tests.unit.trial_folders import make_trial


def test_memory_is_always_asked_for_and_cores_are_whole():
    flags = sbatch_flags(Resources(cpus=1.5, memory_gb=2), SlurmOptions())
    assert (flags["mem"], flags["cpus-per-task"]) == ("1908M", "2")
    assert flags["requeue"] is True
    assert "time" not in flags
    assert "gpus-per-node" not in flags


def test_what_an_experiment_says_comes_before_what_the_launch_says():
    options = SlurmOptions(partition="b", constraint="y", hours=2, cpus=3, gpus=1)
    asked = options.resources_of(Resources(partition="a", hours=1))
    assert (asked.partition, asked.constraint, asked.hours) == ("a", "y", 1)
    assert (asked.cpus, asked.gpus) == (3, 1)  # these are asked for "instead"
    flags = sbatch_flags(asked, options)
    assert (flags["partition"], flags["time"], flags["gpus-per-node"]) == ("a", "60", "1")


def test_time_limits_leave_time_between_start_and_signal():
    assert sbatch_flags(Resources(hours=5 / 60), SlurmOptions())["time"] == "5"
    with pytest.raises(ResourcesError, match=r"time limit of 4 minutes.*at least hours=0.0833 \(5 minutes\)"):
        sbatch_flags(Resources(hours=4 / 60), SlurmOptions())


def test_a_share_of_a_card_is_refused():
    with pytest.raises(ResourcesError, match="SLURM gives out whole cards"):
        sbatch_flags(Resources(gpus=0.5), SlurmOptions())


def test_further_options_may_not_contradict_the_launcher():
    options = SlurmOptions(sbatch=parse_sbatch(["mail-type=FAIL", "--contiguous"]))
    flags = sbatch_flags(Resources(), options)
    assert (flags["mail-type"], flags["contiguous"]) == ("FAIL", True)
    with pytest.raises(DescriptionError, match="--sbatch array: the launcher sets this itself"):
        SlurmOptions(sbatch=parse_sbatch(["array=0-3"]))
    with pytest.raises(DescriptionError, match="expected NAME=VALUE"):
        parse_sbatch(["=3"])


def test_options_of_slurm_are_refused_elsewhere():
    with pytest.raises(DescriptionError, match="--conda-env: only with --launcher slurm"):
        make_launcher("local", slurm=SlurmOptions(conda_env="e"))


def test_a_script_runs_one_trial_by_itself(tmp_path):
    trial = replace(make_trial(), resources=Resources(cpus=2, gpus=1, hours=1))
    text = script_text(trial, Path("/runs/it's"), SlurmOptions(conda_env="my env"))
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert "#SBATCH --gpus-per-node=1" in lines
    assert "#SBATCH --requeue" in lines
    assert "conda activate 'my env'" in lines
    assert """srun --cpus-per-task=2 --kill-on-bad-exit=1 python -m orchestration.trial '/runs/it'"'"'s'""" in lines
