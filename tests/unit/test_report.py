"""The page of an experiment, made from real trial folders."""

import math
import re

import pytest
from PIL import Image

from orchestration.attempt import Outcome
from orchestration.describe import Column, Table
from orchestration.errors import DescriptionError
from orchestration.report import duration, write_report
from orchestration.report_figures import colours_of, curves_svg, picture_address
from tests.unit.trial_folders import create, done, end, finish, log, make_plan, make_trial, start

MAP = "shelf/mAP@0.50"


def config(lr, seed):
    return {"train": {"lr": lr, "steps": 20}, "random_seed": seed}


@pytest.fixture
def trials():
    return [make_trial(v, s, config=config(lr, s)) for v, lr in (("slow", 0.1), ("fast <b>", 0.2)) for s in range(2)]


@pytest.fixture
def page(tmp_path, trials):
    done(tmp_path, trials[0], {MAP: {10: 0.1, 20: 0.5}, "loss": {1: 3.0, 2: math.nan, 20: 1.0}})
    folder = create(tmp_path, trials[1])
    attempt = start(folder, {"git": {"commit": "c" * 40, "changed": ["M a.py"]}, "host": "node7"})
    (folder.artifacts / "pictures").mkdir(parents=True)
    Image.new("RGB", (2000, 1000), "red").save(folder.artifacts / "pictures" / "shelf 1.png")
    log(folder, 20, {MAP: 0.6})
    finish(folder, attempt, {MAP: 0.6})
    end(start(create(tmp_path, trials[2])), Outcome.FAILED, "ValueError: <no> boxes")
    table = Table("t", "Results", "losses", [Column("mAP", MAP, scale=100.0)])
    path = write_report(tmp_path, make_plan(trials, [table]), "losses")
    assert path == tmp_path / "reports" / "losses" / "index.html"
    return path.read_text()


def test_it_stands_alone(page):
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert any(address.startswith("data:image/") for address in addresses)
    assert all(address.startswith(("data:", "#", "../../")) or address == "" for address in addresses), addresses
    assert "@import" not in page
    assert not re.search(r'<(script|link|img)[^>]*(src|href)="http', page)


def test_tables_link_to_their_trials(page, trials):
    assert "55.0 ± 7.1" in page
    assert f'href="#trial-{trials[0].short}"' in page
    assert f'id="trial-{trials[0].short}"' in page


def test_every_state_is_shown_with_its_reason(page):
    for state, count in (("done", 2), ("failed", 1), ("planned", 1)):
        assert f"{count} {state}" in page
    assert "ValueError: &lt;no&gt; boxes" in page


def test_names_are_escaped(page):
    assert "fast &lt;b&gt;-seed0" in page
    assert "fast <b>" not in page


def test_only_keys_that_differ_between_variants_are_listed(page):
    section = page.partition("What differs")[2].partition("</section>")[0]
    assert "train.lr" in section
    assert "train.steps" not in section
    assert "random_seed" not in section


def test_provenance_is_told(page):
    assert "cccccccccccc" in page
    assert "with 1 changed files" in page
    assert "node7" in page


def test_metrics_of_several_steps_are_drawn(page):
    section = page.partition("Learning curves")[2].partition("</section>")[0]
    assert section.count("<svg") == 2


def test_an_experiment_without_any_result_has_a_page(tmp_path, trials):
    text = write_report(tmp_path, make_plan(trials), "losses").read_text()
    assert "4 planned" in text


def test_an_unknown_experiment_is_refused(tmp_path, trials):
    with pytest.raises(DescriptionError, match="there is no experiment 'other'; the file has: losses"):
        write_report(tmp_path, make_plan(trials), "other")


def test_figures_take_the_colour_of_the_page():
    figure = curves_svg({"a": [{0: 1.0, 10: 2.0}, {0: 1.5, 10: 2.5}], "b": [{5: 0.1}]}, colours_of(["a", "b"]))
    assert figure.startswith("<svg")
    assert "currentColor" in figure
    assert "#3b82f6" in figure
    assert "width=" not in figure[: figure.index(">")]


def test_long_curves_are_thinned_out():
    long = curves_svg({"a": [{step: math.sin(step) for step in range(50_000)}]}, colours_of(["a"]))
    assert len(long) < 40_000


def test_curves_without_any_number_are_drawn_empty():
    assert curves_svg({"a": [{0: math.nan, 1: math.inf}]}, colours_of(["a"])).startswith("<svg")


def test_pictures_are_made_small(tmp_path):
    Image.effect_noise((3000, 2000), 80).save(tmp_path / "p.png")
    assert len(picture_address(tmp_path / "p.png", width_px=320)) < 100_000


@pytest.mark.parametrize(("seconds", "text"), [(5.2, "5 s"), (65, "1 min 05 s"), (3600 * 30 + 61, "30 h 01 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text
