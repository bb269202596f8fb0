"""Why two trials are two."""

from dataclasses import replace

from orchestration.comparison import ABSENT, Difference, differences
from tests.unit.trial_folders import CONFIG, make_trial


def test_only_what_differs_is_told_and_what_counts_comes_first():
    first = replace(make_trial(), neutral_keys=("output.",), config={**CONFIG, "output": {"path": "a"}})
    second = replace(first, code_version="2", config={**CONFIG, "name": "c", "output": {"path": "b"}}, seed=3)
    assert differences(first, second) == [
        Difference("code_version", "1", "2", counts=True),
        Difference("seed", 0, 3, counts=True),
        Difference("name", "a b", "c", counts=True),
        Difference("output.path", "a", "b", counts=False),
    ]
    assert differences(first, first) == []


def test_data_and_needs_of_one_trial_alone_are_told():
    first = make_trial()
    second = replace(first, fingerprints={"photos": "ab"}, needs={"model": "cd"})
    assert differences(first, second) == [
        Difference("data photos", ABSENT, "ab", counts=True),
        Difference("need model", ABSENT, "cd", counts=True),
    ]
