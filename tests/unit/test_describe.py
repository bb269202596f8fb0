"""What a user may write, and what is refused at once."""

import pytest

from orchestration.describe import Column, Experiment, Need, Resources, Table, Variant, seeds
from orchestration.errors import DescriptionError


def test_seeds_are_counted_or_listed():
    assert seeds(3) == (0, 1, 2)
    assert seeds([7, 5]) == (7, 5)
    assert Experiment("e", "m:t", seeds=2).seeds == (0, 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seeds": ()}, "seeds: the list is empty"),
        ({"seeds": (1, 1)}, "seeds: 1 given more than once"),
        ({"seeds": (-1,)}, "seeds: expected whole numbers from 0 on, got -1"),
        ({"seeds": (0.5,)}, r"seeds: expected whole numbers from 0 on, got 0\.5"),
        ({"variants": [Variant("a"), Variant("a")]}, "variants: a given more than once"),
        ({"name": ""}, "Experiment: name ''"),
        ({"name": "a/b"}, "Experiment: name 'a/b'"),
        ({"name": "../up"}, r"Experiment: name '\.\./up'"),
        ({"name": "a\n"}, r"Experiment: name 'a\\n'"),
    ],
)
def test_an_experiment_that_cannot_be_run_is_refused(wrong, message):
    with pytest.raises(DescriptionError, match=message):
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
    with pytest.raises(DescriptionError, match="two different variants are named"):
        Need("training/rll", "other")


def test_a_table_names_its_experiments():
    experiment = Experiment("losses", "m:t")
    columns = [Column("mAP", "map")]
    assert Table("t", "", experiment, columns).experiment_names == ("losses",)
    assert Table("t", "", [experiment, "other"], columns).experiment_names == ("losses", "other")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Experiment("e", None), r"experiment 'e': task: expected 'package\.module:object', got NoneType"),
        (lambda: Experiment("e", "m:t", ["lr"]), r"config: expected \{dotted key: value\}, got list \['lr'\]"),
        (lambda: Experiment("e", "m:t", {1: 2}), r"config: expected a dotted key, got 1"),
        (lambda: Experiment("e", "m:t", variants=["a"]), r"variants\[0\]: expected a Variant, got str 'a'"),
        (lambda: Experiment("e", "m:t", variants=Variant("a")), r"variants: expected a list of Variants, got Variant"),
        (lambda: Experiment("e", "m:t", space={"a": [1]}), r"space: expected grid\(\{\.\.\.\}\).*got dict"),
        (lambda: Experiment("e", "m:t", resources={"gpus": 1}), r"resources: expected Resources\(\.\.\.\), got dict"),
        (
            lambda: Experiment("e", "m:t", needs={"model": "other"}),
            r"needs\['model'\]: expected a Need, got str 'other'",
        ),
        (lambda: Experiment("e", "m:t", tags={"layers": 50}), r"tags\['layers'\]: expected a text, got int 50"),
        (lambda: Variant("v", tags={"layers": 50}), r"variant 'v': tags\['layers'\]: expected a text"),
        (lambda: Need(3), r"Need: experiment: expected an experiment or its name, got int 3"),
        (lambda: Need("e", seed="1"), r"Need: seed: expected a whole number, got str '1'"),
        (lambda: Table("t", "", "e", Column("a", "b")), r"table 't': columns: expected a list of Columns"),
        (lambda: Table("t", "", 3, []), r"table 't': experiment: expected a list of .*got int 3"),
        (lambda: Column("a", 3), r"column 'a': metric: expected the name of a metric, got int 3"),
        (lambda: seeds(2.5), r"seeds: expected a number of seeds or a list of them, got 2\.5"),
        (lambda: seeds("12"), r"seeds: .* got '12'"),
    ],
)
def test_a_field_that_holds_something_else_is_named(wrong, message):
    with pytest.raises(DescriptionError, match=message):
        wrong()


def test_an_unknown_reduction_is_refused():
    with pytest.raises(DescriptionError, match="average"):
        Column("mAP", "map", reduce="average")
