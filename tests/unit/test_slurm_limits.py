"""What a cluster offers, as ``sinfo`` of version 22.05 and clusters with several kinds of cards print it."""

import os
from dataclasses import replace

import pytest

from orchestration.describe import Resources
from orchestration.errors import ResourcesError
from orchestration.launch.slurm.limits import NodeOffer, most_elements, node_offers, require_possible
from orchestration.launch.slurm.options import SlurmOptions
from tests.unit.trial_folders import make_trial

NODES = """
cpu*|64|250000|(null)|2-00:00:00
gpu|32|500000|gpu:a100:4(S:0-1),gpu:mig:2|30:00
test|4|8000|gpu:2|infinite
"""


@pytest.fixture
def commands(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def say(name: str, text: str, code: int = 0) -> None:
        stream = "&2" if code else "&1"
        (tmp_path / name).write_text(f"#!/bin/sh\ncat >{stream} <<'END'\n{text.strip()}\nEND\nexit {code}\n")
        (tmp_path / name).chmod(0o755)

    say("sinfo", NODES)
    say("sbatch", "sbatch: Job 1 to start at once")
    return say


def refusal(**resources: object) -> str:
    trial = replace(make_trial(), resources=Resources(**resources))
    with pytest.raises(ResourcesError) as refused:
        require_possible([trial], SlurmOptions())
    return str(refused.value)


def test_nodes_are_read(commands):
    assert node_offers() == [
        NodeOffer("cpu", True, 64, 250000, 0, 2880),
        NodeOffer("gpu", False, 32, 500000, 6, 30),
        NodeOffer("test", False, 4, 8000, 2, None),
    ]


def test_what_no_node_of_the_partition_has_is_refused(commands):
    require_possible([replace(make_trial(), resources=Resources(gpus=4, partition="gpu"))], SlurmOptions())
    assert "experiment 'losses', trial 'base-seed0': asks for 1 gpus, but the largest node of partition cpu" in refusal(
        gpus=1
    )
    assert "there is no partition 'big'; this cluster has cpu, gpu, test" in refusal(partition="big")
    assert "asks for 300 GB of memory, but the largest node of partition cpu, the default, has 262.1" in refusal(
        memory_gb=300
    )
    assert "asks for 1 hours, but partition gpu allows 0.5" in refusal(hours=1, partition="gpu")
    assert "asks for 2 nodes, but partition gpu has 1" in refusal(nodes=2, partition="gpu")
    require_possible([replace(make_trial(), resources=Resources(hours=900, partition="cpu,test"))], SlurmOptions())


def test_what_time_may_heal_is_not_refused(commands):
    commands("sbatch", "allocation failure: Requested node configuration is not available", code=1)
    require_possible([make_trial()], SlurmOptions())
    commands("sbatch", "sbatch: error: allocation failure: Invalid account", code=1)
    assert "SLURM refuses its job: sbatch: Invalid account" in refusal()


def test_the_size_of_arrays_is_asked_for(commands):
    commands("scontrol", "MailProg = /bin/true\nMaxArraySize            = 501")
    assert most_elements() == 501
