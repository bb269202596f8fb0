"""Which trials share an array of jobs, and what the arrays wait for."""

from dataclasses import replace

from orchestration.describe import Resources
from orchestration.launch.slurm.arrays import Array, arrays, limits
from orchestration.trial_description import Trial
from tests.unit.trial_folders import make_trial


def trial(number: int, needs: dict[str, str] | None = None, **resources: float) -> Trial:
    made = make_trial(needs=needs or {})
    return replace(made, signature=f"{number:064x}", name=f"t{number}", resources=Resources(**resources))


def unchanged(resources: Resources) -> Resources:
    return resources


def shapes(parts: list[Array]) -> list[tuple[str, str, list[str]]]:
    return [
        (part.indices, part.dependency, [part.trials[index].name for index in sorted(part.trials)]) for part in parts
    ]


def test_trials_that_ask_for_the_same_share_an_array():
    parts = arrays([trial(0), trial(1, cpus=2), trial(2)], {}, unchanged, 1001)
    assert shapes(parts) == [("0-1", "", ["t0", "t2"]), ("0", "", ["t1"])]
    assert [part.resources.cpus for part in parts] == [1, 2]


def test_an_array_longer_than_the_cluster_allows_is_split_and_shares_its_limit():
    parts = arrays([trial(number) for number in range(25)], {}, unchanged, 10)
    assert [part.indices for part in parts] == ["0-9", "0-9", "0-4"]
    assert len({one.signature for part in parts for one in part.trials.values()}) == 25
    assert limits(7, parts) == [2, 2, 2]
    assert limits(2, parts) == [1, 1, 1]
    assert limits(None, parts) == [None, None, None]


def test_what_waits_for_one_element_has_its_index():
    a, b = trial(0), trial(1)
    jobs = {a.signature: "slurm:7_3", b.signature: "slurm:7_9"}
    parts = arrays([trial(2, {"m": b.signature}), trial(3, {"m": a.signature})], jobs, unchanged, 1001)
    assert shapes(parts) == [("3,9", "aftercorr:7", ["t3", "t2"])]


def test_several_that_wait_for_one_element_are_in_several_arrays():
    jobs = {trial(0).signature: "slurm:7_0"}
    parts = arrays([trial(number, {"m": trial(0).signature}) for number in (1, 2, 3)], jobs, unchanged, 1001)
    assert shapes(parts) == [("0", "aftercorr:7", [f"t{number}"]) for number in (1, 2, 3)]


def test_what_waits_for_several_jobs_names_them():
    jobs = {trial(0).signature: "slurm:7_0", trial(1).signature: "slurm:8_5"}
    needs = {"a": trial(0).signature, "b": trial(1).signature}
    parts = arrays([trial(2, needs), trial(3, needs)], jobs, unchanged, 1001)
    assert shapes(parts) == [("0-1", "afterok:7_0:8_5", ["t2", "t3"])]


def test_a_need_that_is_done_is_not_waited_for():
    parts = arrays([trial(2, {"m": trial(0).signature})], {}, unchanged, 1001)
    assert shapes(parts) == [("0", "", ["t2"])]
