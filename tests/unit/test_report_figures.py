"""Figures of the report: axes, curves, sweeps and cost."""

import math
import re

import pytest
from PIL import Image

from orchestration.describe import Sweep, choice, grid, loguniform
from orchestration.ending import Outcome
from orchestration.report.axes import scale_of, tick_text
from orchestration.report.cost import energy_kwh
from orchestration.report.figures import Line, curves_svg, looks_of
from orchestration.report.page import write_report
from orchestration.report.pictures import picture_address
from orchestration.sweep_methods import TPE
from tests.unit.trial_folders import START_MS, create, done, end, log, make_plan, make_trial, sample, start

LR, LOSS = "train.optim.lr", "train.objective.class_objective"
MAP = "mAP@0.50_shelf"


def figure(*curves, label="a"):
    return curves_svg([Line(label, looks_of([label])[label], curves)])


def test_ticks_are_round_and_within_the_axis():
    assert scale_of([0.0, 1.0], 0, 100).ticks() == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert scale_of([-3.0, 47.0], 0, 100).ticks() == [0.0, 10.0, 20.0, 30.0, 40.0]
    assert scale_of([1e-5, 1.0], 0, 100).ticks() == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]


@pytest.mark.parametrize("values", [[], [math.nan], [5.0], [0.0, 0.0], [1e-5, 1e5], [-1e300, 1e300]])
def test_whatever_the_values_they_are_drawn_within_the_axis(values):
    scale = scale_of(values, 200, 10)
    assert all(10 - 1e-6 <= scale(value) <= 200 + 1e-6 for value in [*values, *scale.ticks()] if math.isfinite(value))


def test_large_values_are_short():
    assert [tick_text(value) for value in (0.00045, 0.0, 0.25, 1500.0, 20_000.0, 2_500_000.0)] == [
        "4.5e-4",
        "0",
        "0.25",
        "1500",
        "20k",
        "2.5M",
    ]


def test_a_band_is_drawn_where_two_seeds_have_the_step():
    svg = figure({0: 1.0, 10: 2.0, 20: 3.0}, {0: 1.5, 10: 2.5})
    assert svg.startswith("<svg")
    band = re.search(r'class="band"[^>]*d="M([^"]*)Z"', svg)
    assert band is not None and band.group(1).count("L") == 3
    assert "step 10: 2.25 ± 0.354" in svg
    assert "step 20: 3<" in svg


def test_more_labels_than_colours_are_told_apart_by_dashes():
    looks = looks_of([str(number) for number in range(40)])
    assert len(set(looks.values())) == 40


def test_long_curves_are_thinned_out():
    assert len(figure({step: math.sin(step) for step in range(50_000)})) < 40_000


def test_curves_without_any_number_are_drawn_empty():
    svg = figure({0: math.nan, 1: math.inf})
    assert svg.startswith("<svg")
    assert "nan" not in svg


def test_pictures_are_made_small(tmp_path):
    Image.effect_noise((1200, 800), 80).save(tmp_path / "p.png")
    assert len(picture_address(tmp_path / "p.png", width_px=320)) < 100_000


@pytest.fixture
def sweep():
    domains = {LR: loguniform(1e-5, 1e-1), LOSS: choice(["RLL", "ContrastiveLoss"])}
    return Sweep("search", "os2d.tasks:train", domains=domains, metric=MAP, searcher=TPE(n=12, startup=12))


def test_a_sweep_is_drawn_as_parallel_coordinates(tmp_path, sweep):
    """Twelve real points: ten are done, one was pruned, one has not begun."""
    trials = [make_trial("default", 0, "search", point=point) for point in sweep.space.points]
    for k, trial in enumerate(trials[:10]):
        done(tmp_path, trial, {MAP: {5: 0.9, 10: k / 10}})
    attempt = start(create(tmp_path, trials[10]))
    log(create(tmp_path, trials[10]), 5, {MAP: 0.05})
    end(attempt, Outcome.PRUNED)
    page = write_report(tmp_path, make_plan(trials, [], [sweep]), "search").read_text()
    found = page.partition('<section id="sweeps">')[2].partition("</section>")[0]
    assert re.findall(r'class="key"[^>]*>([^<]*)<', found) == ["lr", "class_objective", MAP]
    lines = re.findall(r'<a href="#trial-(\w+)"( class="best")?><title>([^<]*)</title>(.*?)</a>', found)
    assert len(lines) == 11
    assert [short for short, best, *_ in lines if best] == [trials[9].short]
    assert [told for *_, told, paths in lines if "stroke-dasharray" in paths] == [f"{trials[10].name}, pruned: 0.05"]
    assert "1 without a value are not drawn" in " ".join(found.split())
    assert all(path.count("L") == 2 for *_, paths in lines for path in re.findall(r' d="([^"]*)"', paths))
    assert {float(x) for *_, paths in lines for x in re.findall(r"[ML]([\d.]+) ", paths)} == {80.0, 440.0, 800.0}


def test_of_a_metric_to_be_lowered_the_lowest_is_the_best(tmp_path):
    sweep = Sweep("search", "os2d.tasks:train", space=grid({LR: [1e-3, 1e-2]}), metric="loss", mode="min")
    trials = [make_trial("default", 0, "search", point=point) for point in sweep.space.points]
    for trial, loss in zip(trials, (0.2, 0.4), strict=True):
        done(tmp_path, trial, {"loss": {1: loss}})
    page = write_report(tmp_path, make_plan(trials, [], [sweep]), "search").read_text()
    assert f'<a href="#{f"trial-{trials[0].short}"}" class="best">' in page


def test_energy_is_power_over_time_without_the_gaps(tmp_path):
    folder = create(tmp_path, make_trial())
    assert energy_kwh(folder) is None
    for seconds, watts in ((0, 300.0), (10, 300.0), (20, 100.0), (5000, 100.0), (5010, 100.0)):
        values = {"system/gpu_0_power_usage_watts": watts, "system/gpu_1_power_usage_watts": 0.0}
        sample(folder, START_MS + 1000 * seconds, values)
    assert energy_kwh(folder) == pytest.approx((10 * 300 + 10 * 200 + 10 * 100) / 3.6e6)
