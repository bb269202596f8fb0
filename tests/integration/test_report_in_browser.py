"""The report in a real browser with the network off: clicks, a phone, the dark, and on paper."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from orchestration.attempt import Outcome
from orchestration.describe import Column, Sweep, Table, grid
from orchestration.report.page import write_report
from orchestration.trial_description import Trial
from tests.integration.browser import Browser, browser_program
from tests.unit.trial_folders import create, done, end, log, make_plan, make_trial, start

pytestmark = pytest.mark.cluster

MAP = "mAP@0.50_shelf"
LR, BATCH = "train.optim.lr", "train.batch_size"
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    """Two settings of two seeds, and a sweep of six points."""
    compared = [make_trial(variant, seed) for variant in ("contrastive", "RLL") for seed in range(2)]
    points = [{LR: lr, BATCH: batch} for lr in (1e-4, 1e-3, 1e-2) for batch in (2, 4)]
    return [*compared, *(make_trial("base", 0, "search", point=point) for point in points)]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, trials: list[Trial]) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for k, trial in enumerate(trials[:-1]):
        folder = done(
            root, trial, {MAP: {0: 0.1, 10: 0.3 + k / 50, 20: 0.5 + k / 30}, "loss": {1: 3.0, 20: 1.0 / (k + 1)}}
        )
        (folder.artifacts / "pictures").mkdir(parents=True)
        Image.effect_noise((640, 400), 60).save(folder.artifacts / "pictures" / "shelf-worst.png")
        (folder.artifacts / "precision_recall").mkdir()
        curve = {"precision": [1.0, 0.7, 0.1 * k], "average_precision": 0.5 + k / 30}
        content = {"dataset": "shelf", "iou_threshold": 0.5, "recall": [0, 0.5, 1], "curves": {"pooled_classes": curve}}
        (folder.artifacts / "precision_recall" / "shelf.json").write_text(json.dumps(content))
    stopped = create(root, trials[-1])
    attempt = start(stopped)
    log(stopped, 5, {MAP: 0.05})
    end(attempt, Outcome.PRUNED)
    table = Table("losses", "Losses on shelves", "losses", [Column("mAP", MAP, scale=100.0)])
    sweep = Sweep("search", "os2d.tasks:train", space=grid({LR: [1e-4, 1e-3, 1e-2], BATCH: [2, 4]}), metric=MAP)
    return write_report(root, make_plan(trials, [table], [sweep]), "losses and a search")


@pytest.fixture
def browser(page: Path, tmp_path: Path) -> Iterator[Browser]:
    program = browser_program()
    if program is None:
        pytest.skip("no browser on this machine; `apt-get install chromium` brings one")
    with Browser(program, tmp_path / "profile") as opened:
        opened.open(page)
        yield opened


def is_open(trial: Trial) -> str:
    """Ask whether a trial is unfolded and in the window."""
    place = f"document.getElementById('trial-{trial.short}')"
    return (
        f"(e => e.open && e.getBoundingClientRect().top >= -1 && e.getBoundingClientRect().top < innerHeight)({place})"
    )


def test_a_reader_follows_a_table_and_a_sweep_to_their_trials(
    browser: Browser, page: Path, trials: list[Trial], tmp_path: Path
) -> None:
    latex = "document.querySelector('details.source')"
    assert browser.value(f"{latex}.querySelector('pre').checkVisibility()") is False
    browser.click(f"{latex}.querySelector('summary')")
    assert "\\toprule" in browser.value(f"{latex}.querySelector('pre').innerText")
    assert browser.value(f"{latex}.querySelector('pre').checkVisibility()") is True

    browser.value("document.documentElement.style.scrollBehavior = 'auto'")
    browser.value("document.querySelectorAll('details').forEach(one => one.open = false)")
    browser.click("document.querySelector('table.results td a')")
    assert browser.value("location.hash") == f"#trial-{trials[0].short}"
    assert browser.value(is_open(trials[0])) is True

    best = "document.querySelector('.parallel .best')"
    browser.value(f"{best}.scrollIntoView({{block: 'center'}})")
    line = f"{best}.querySelector('.line')"
    place = f"{line}.getPointAtLength({line}.getTotalLength() * 0.3).matrixTransform({line}.getScreenCTM())"
    browser.click_at(*browser.value(f"(p => [p.x, p.y])({place})"))
    assert browser.value("location.hash") == f"#trial-{trials[-2].short}"
    assert browser.value(is_open(trials[-2])) is True

    assert browser.errors == []
    assert {address.partition("#")[0] for address in browser.requests if not address.startswith("data:")} == {
        page.as_uri()
    }
    browser.screenshot(tmp_path / "report.png")
    assert Image.open(tmp_path / "report.png").height > 900


def test_it_fits_a_phone_a_dark_room_and_paper(browser: Browser, tmp_path: Path) -> None:
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(11, 17, 32)"
    browser.call("Emulation.setDeviceMetricsOverride", **PHONE)
    browser.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= PHONE["width"]
    browser.screenshot(tmp_path / "phone.png")
    browser.call("Emulation.clearDeviceMetricsOverride")
    assert browser.pdf().startswith(b"%PDF")
    assert browser.errors == []
