"""The page about an experiment file, made from real trial folders."""

import json
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from orchestration.describe import Column, Table
from orchestration.ending import Outcome
from orchestration.plan import Plan
from orchestration.report.page import report_name, write_report
from tests.unit.trial_folders import START_MS, create, done, end, finish, log, make_plan, make_trial, sample, start

MAP = "shelf/mAP@0.50"


def config(lr, seed):
    return {"train": {"lr": lr, "steps": 20}, "random_seed": seed}


@pytest.fixture(scope="module")
def trials():
    return [make_trial(v, s, config=config(lr, s)) for v, lr in (("slow", 0.1), ("fast <b>", 0.2)) for s in range(2)]


def keep_curves(folder, precision, average_precision, dataset="shelf"):
    file = folder.artifacts / "precision_recall" / f"{dataset}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    curve = {"precision": precision, "average_precision": average_precision}
    content = {"dataset": dataset, "iou_threshold": 0.5, "recall": [0, 0.5, 1], "curves": {"mean_over_classes": curve}}
    file.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def page(tmp_path_factory, trials):
    tmp_path = tmp_path_factory.mktemp("runs")
    first = done(tmp_path, trials[0], {MAP: {10: 0.1, 20: 0.5}, "loss": {1: 3.0, 2: 2.0, 20: 1.0}})
    log(first, 5, {"mining_patches": 40.0})
    log(first, 15, {"mining_patches": 30.0})
    keep_curves(first, [1.0, 0.5, 0.25], 0.6)
    for k, watts in enumerate((100.0, 200.0)):
        sample(first, START_MS + 36_000 * k, {"system/gpu_0_power_usage_watts": watts})
    folder = create(tmp_path, trials[1])
    attempt = start(folder, {"git": {"commit": "c" * 40, "changed": ["M a.py"]}, "host": "node7"})
    (folder.artifacts / "pictures").mkdir(parents=True)
    for kind in ("", "-worst"):
        Image.new("RGB", (2000, 1000), "red").save(folder.artifacts / "pictures" / f"shelf 1{kind}.png")
    keep_curves(folder, [1.0, 1.0, 0.25], 0.8)
    log(folder, 20, {MAP: 0.6})
    finish(folder, attempt, {MAP: 0.6})
    end(start(create(tmp_path, trials[2])), Outcome.FAILED, "ValueError: <no> boxes")
    table = Table("t", "Results", "losses", [Column("mAP", MAP, scale=100.0)])
    path = write_report(tmp_path, make_plan(trials, [table]), "losses")
    assert path == tmp_path / "reports" / "losses" / "index.html"
    return path.read_text()


def section(page, name):
    return page.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def test_it_stands_alone(page):
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert any(address.startswith("data:image/") for address in addresses)
    assert all(address.startswith(("data:", "#", "../../")) for address in addresses), addresses
    assert "@import" not in page
    assert "url(" not in page


def test_its_elements_are_closed_and_its_places_are_unique(page):
    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.ids, self.anchors = [], [], []

        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "link", "img", "br"):
                self.open.append(tag)
            self.ids += [value for name, value in attrs if name == "id"]
            self.anchors += [value[1:] for name, value in attrs if name == "href" and value.startswith("#")]

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(re.sub(r"<(path|circle)([^>]*)/>", r"<\1\2></\1>", page))
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert set(reader.anchors) <= set(reader.ids)


def test_tables_link_to_their_trials_and_come_in_every_format(page, trials):
    assert "55.0 ± 7.1" in page
    assert f'href="#trial-{trials[0].short}"' in section(page, "tables")
    for form in ("LaTeX", "Markdown", "CSV", "JSON"):
        assert f"<summary>{form}</summary>" in section(page, "tables")


def test_every_state_is_shown_with_its_reason(page):
    for state, count in (("done", 2), ("failed", 1), ("planned", 1)):
        assert f"{count} {state}" in page
    assert "ValueError: &lt;no&gt; boxes" in page


def test_names_are_escaped(page):
    assert "fast &lt;b&gt;-seed0" in page
    assert "fast <b>" not in page


def test_only_keys_that_differ_between_variants_are_listed(page):
    assert "train.lr" in section(page, "settings")
    assert "train.steps" not in section(page, "settings")
    assert "random_seed" not in section(page, "settings")


def test_provenance_is_told(page):
    assert "cccccccccccc" in page
    assert "with 1 changed files" in page
    assert "node7" in page


def test_metrics_that_develop_are_drawn_and_mining_apart(page):
    names = re.findall("<figcaption>(.*?)</figcaption>", section(page, "learning-curves"))
    assert names == [MAP, "loss"]
    assert re.findall("<figcaption>(.*?)</figcaption>", section(page, "mining")) == ["mining_patches"]


def test_precision_over_recall_is_the_mean_over_seeds(page):
    found = section(page, "precision-recall")
    assert "shelf" in found
    assert "AP 0.700" in found
    assert found.count('class="line thin"') == 2


def test_pictures_show_the_worst_images_first(page):
    found = section(page, "pictures")
    assert found.index("Worst images") < found.index("First images")
    assert "shelf%201-worst.png" in found


def test_cost_counts_reserved_hours_and_measured_energy(page):
    found = " ".join(re.sub("<.*?>", " ", section(page, "cost")).split())
    assert "0.002 kWh (1 of 3)" in found  # 150 W for 36 s


def test_without_any_sample_of_power_energy_is_not_measured(tmp_path, trials):
    done(tmp_path, trials[0], {MAP: {1: 0.5}})
    assert "not measured" in section(write_report(tmp_path, make_plan(trials), "losses").read_text(), "cost")


def test_what_others_need_is_shown_behind_them_and_shared_trials_once(tmp_path):
    training, shared = make_trial("train", experiment="training"), make_trial("base", experiment="one")
    for trial in (training, shared):
        done(tmp_path, trial, {MAP: {1: 0.5}})
    plan = make_plan([training, shared])
    needed, entry = plan.entries
    entries = (vars(needed) | {"requested": False}, vars(entry), vars(entry) | {"experiment": "two"})
    plan = Plan(plan.trials, tuple(type(entry)(**fields) for fields in entries))
    found = section(write_report(tmp_path, plan, "both").read_text(), "trials")
    assert re.findall(r'id="experiment-(\w+)"', found) == ["one", "two", "training"]
    assert found.count(f'id="trial-{shared.short}"') == 1
    assert "is a trial of one, too" in found
    assert "needed by others" in found


def test_trials_lead_to_their_runs_in_mlflow(tmp_path, trials):
    from orchestration.tracking.marks import Mark, marks_file, write_marks
    from orchestration.tracking.store_location import StoreLocation

    done(tmp_path, trials[0], {MAP: {1: 0.5}})
    uri = StoreLocation.resolve(tmp_path).uri
    write_marks(marks_file(tmp_path, uri), {trials[0].signature: Mark("abc123", START_MS)}, uri)
    page = write_report(tmp_path, make_plan(trials), "losses").read_text()
    assert page.count('href="http://127.0.0.1:5000/#/runs/abc123"') == 1


def test_an_experiment_without_any_result_has_a_page(tmp_path, trials):
    text = write_report(tmp_path, make_plan(trials), "losses").read_text()
    assert "4 planned" in text


def test_a_page_is_called_like_its_experiment_or_its_file(tmp_path, trials):
    other = make_trial("other", experiment="other")
    assert report_name(make_plan(trials), tmp_path / "file.py") == "losses"
    assert report_name(make_plan([*trials, other]), tmp_path / "file.py") == "file"


def test_pictures_fill_no_more_than_their_share_of_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestration.report.pictures.MOST_BYTES", 20_000)
    trials = [make_trial(f"setting {v}", config=config(v, 0)) for v in range(4)]
    for trial in trials:
        folder = done(tmp_path, trial, {MAP: {10: 0.1}})
        (folder.artifacts / "pictures").mkdir(parents=True)
        Image.effect_noise((400, 300), 90).save(folder.artifacts / "pictures" / "shelf-worst.png")
    page = write_report(tmp_path, make_plan(trials), "losses").read_text()
    assert page.count("data:image/webp") == 1
    assert "3 more are in artifacts/pictures" in page


def test_episodes_are_one_data_set_and_jobs_that_share_them_one_line(tmp_path):
    trials = [make_trial(f"job {k}", config=config(k, 0), tags={"system": "os2d", "model": "V1"}) for k in range(2)]
    for k, trial in enumerate(trials):
        folder = done(tmp_path, trial, {MAP: {0: 0.1}})
        for episode in range(2):
            keep_curves(folder, [1.0, 0.5, 0.0], 0.2 * k + 0.4 * episode, dataset=f"episode-{2 * k + episode}")
    found = section(write_report(tmp_path, make_plan(trials), "losses").read_text(), "precision-recall")
    assert re.findall(r"<h3>(\S+)", found) == ["episode-*"]
    assert "os2d, V1" in found
    assert "AP 0.300" in found
