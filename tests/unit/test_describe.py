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
    [{"cpus": 0}, {"cpus": "2"}, {"gpus": -1}, {"gpus": 1.5}, {"hours": 0}, {"cpus": True}, {"memory_gb": None}],
)
def test_resources_that_nothing_can_offer_are_refused(wrong):
    with pytest.raises(DescriptionError, match=next(iter(wrong))):
        Resources(**wrong)


def test_resources_are_numbers_of_one_kind():
    assert Resources(cpus=1, gpus=2) == Resources(cpus=1.0, gpus=2.0)


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
