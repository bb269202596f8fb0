"""What a user may write, and what is refused at once."""

import pytest

from orchestration.describe import Column, Experiment, Need, Resources, Table, Variant, seeds
from orchestration.errors import DescriptionError


def test_seeds_are_counted_or_listed():
    assert seeds(3) == (0, 1, 2)
    assert seeds([7, 5]) == (7, 5)
    assert Experiment("e", "m:t", seeds=2).seeds == (0, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seeds": ()},
        {"seeds": (1, 1)},
        {"seeds": (-1,)},
        {"seeds": (0.5,)},
        {"variants": [Variant("a"), Variant("a")]},
        {"name": ""},
        {"name": "a/b"},
        {"name": "../up"},
        {"name": "a\n"},
    ],
)
def test_an_experiment_that_cannot_be_run_is_refused(wrong):
    with pytest.raises(DescriptionError):
        Experiment(**{"name": "e", "task": "m:t", **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpus": 0},
        {"cpus": "2"},
        {"cpus": True},
        {"gpus": -1},
        {"gpus": 1.5},
        {"memory_gb": None},
        {"hours": 0},
        {"nodes": 0},
        {"nodes": 1.0},
        {"processes": 0},
        {"partition": ""},
        {"constraint": 3},
    ],
)
def test_resources_that_nothing_can_offer_are_refused(wrong):
    with pytest.raises(DescriptionError, match=next(iter(wrong))):
        Resources(**wrong)


def test_resources_are_numbers_of_one_kind():
    assert Resources(cpus=1, gpus=2) == Resources(cpus=1.0, gpus=2.0)


def test_a_trial_has_one_process_for_each_whole_card_unless_it_says_otherwise():
    assert [Resources(gpus=gpus).processes_per_node for gpus in (0, 0.5, 1, 4)] == [1, 1, 1, 4]
    assert Resources(processes=2).processes_per_node == 2
    alone = [Resources(), Resources(gpus=0.5), Resources(gpus=1), Resources(gpus=2, processes=1)]
    assert not any(resources.is_distributed for resources in alone)
    together = [Resources(gpus=2), Resources(processes=2), Resources(nodes=2)]
    assert all(resources.is_distributed for resources in together)


def test_a_need_is_written_with_a_slash_or_with_two_names():
    assert Need("training/rll") == Need("training", "rll")
    with pytest.raises(DescriptionError):
        Need("training/rll", "other")


def test_a_table_names_its_experiments():
    experiment = Experiment("losses", "m:t")
    columns = [Column("mAP", "map")]
    assert Table("t", "", experiment, columns).experiment_names == ("losses",)
    assert Table("t", "", [experiment, "other"], columns).experiment_names == ("losses", "other")


def test_an_unknown_reduction_is_refused():
    with pytest.raises(DescriptionError, match="average"):
        Column("mAP", "map", reduce="average")
