import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from os2d.cli.data import app
from os2d.data.dataset import build_dataset
from os2d.data.object_sizes import statistics
from os2d.data.published_sizes import PUBLISHED
from os2d.errors import DataError
from tests.unit.published_layouts import draw_ilsvrc, draw_instre, draw_repmet

TINY = Path(__file__).parents[1] / "data" / "golden" / "os2d" / "tiny_dataset"


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "data"))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """One photo of 200 x 100 with three boxes of two classes."""
    folder = tmp_path / "mine"
    (folder / "classes/images").mkdir(parents=True)
    (folder / "src/200").mkdir(parents=True)
    Image.effect_noise((200, 100), 50).convert("RGB").save(folder / "src/200/0.jpg")
    for class_id in (1, 2):
        Image.new("RGB", (20, 30)).save(folder / f"classes/images/{class_id}.jpg")
    lines = [
        "imageid,classid,gtbboxid,difficult,lx,ty,rx,by",
        "0,1,0,0,0,0,0.5,0.5",
        "0,1,1,0,0,0,0.1,0.2",
        "0,2,2,0,0.5,0,0.9,0.8",
        "0,2,3,1,0,0,1,1",
    ]
    (folder / "classes/boxes.csv").write_text("\n".join(lines) + "\n")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def checked(*arguments: object) -> list[dict[str, object]]:
    return json.loads(run("check", *arguments, "--json").stdout)


def test_data_in_order_ends_with_code_0(own: Path) -> None:
    result = run("check", f"custom:{own}", "--deep")
    assert result.exit_code == 0
    assert "in order; 1 images, 4 boxes, 2 classes, 3 boxes that are not difficult" in result.stdout


def test_everything_that_is_wrong_is_told_at_once(own: Path) -> None:
    with (own / "classes/boxes.csv").open("a") as table:
        table.write("0,1,4,0,0.5,0,0.4,1\n0,one,5,0,0,0,1,1\n7,9,6,0,0,0,1,1\n")
    (own / "classes/images/2.jpg").write_bytes(b"<html>")
    result = run("check", f"custom:{own}")
    assert result.exit_code == 1
    for expected in (
        "boxes.csv, line 6",
        "the box is reversed or empty: lx=0.5 must be less than rx=0.4",
        "classid: expected a number, got 'one'",
        "no such image file (named by",
        "2.jpg",
        "is not an image that Pillow can read",
        "boxes.csv, line 8)",
    ):
        assert expected in result.stdout
    (report,) = checked(f"custom:{own}")
    assert (report["in_order"], len(report["problems"])) == (False, 5)


def test_only_a_deep_check_finds_a_broken_end(own: Path) -> None:
    photo = own / "src/200/0.jpg"
    photo.write_bytes(photo.read_bytes()[:-2000])
    assert run("check", f"custom:{own}").exit_code == 0
    (report,) = checked(f"custom:{own}", "--deep")
    assert [p["where"] for p in report["problems"]] == [str(photo)]
    assert "damaged or incomplete" in report["problems"][0]["what"]


def test_images_of_another_size_are_a_note(own: Path) -> None:
    (own / "src/200").rename(own / "src/180")
    (report,) = checked(f"custom:{own}")
    assert report["in_order"]
    assert "1 of 1 images have a longer side other than 180" in report["notes"][0]["what"]


def test_rows_missing_from_a_published_set_are_a_problem(root: Path) -> None:
    result = run("check", "grozi-val-new-cl", "--data-root", root)
    assert result.exit_code == 1
    assert "expected 84 images (found 5), 622 boxes (found 7)" in result.stdout
    assert "(published: 84 images, 622 boxes, 185 classes, 468 boxes that are not difficult)" in result.stdout


@pytest.mark.parametrize(
    ("name", "said"), [("dairy", "oneshot data fetch retail"), ("custom:nowhere", "the layout is")]
)
def test_an_absent_set_is_a_problem_with_advice(tmp_path: Path, name: str, said: str) -> None:
    result = run("check", name, "--data-root", tmp_path)
    assert (result.exit_code, "no such folder" in result.stdout, said in result.stdout) == (1, True, True)


def test_an_unknown_name_is_wrong_usage(tmp_path: Path) -> None:
    result = run("check", "grocery", "--data-root", tmp_path)
    assert isinstance(result.exception, DataError)
    assert result.exception.exit_code == 2


def test_all_are_those_on_this_machine(tmp_path: Path) -> None:
    draw_instre(tmp_path)
    draw_repmet(tmp_path)
    draw_ilsvrc(tmp_path)
    build_dataset("imagenet-repmet-test-episode-1", tmp_path)
    names = [report["name"] for report in checked("all", "--data-root", tmp_path)]
    assert names == [
        *("instre-all", "instre-s1-train", "instre-s1-val", "instre-s1-test"),
        *("instre-s2-train", "instre-s2-val", "instre-s2-test"),
        *("imagenet-repmet-train", "imagenet-repmet-test-episode-1"),
    ]


def test_all_of_nothing_is_wrong_usage(tmp_path: Path) -> None:
    result = run("check", "all", "--data-root", tmp_path)
    assert "there is no data set in" in str(result.exception)


def test_published_boxes_outside_their_photo_are_a_note(tmp_path: Path) -> None:
    folder = draw_instre(tmp_path)
    (folder / "INSTRE-S2/07_boat/001.txt").write_text("50 4 30 8\n")
    (report,) = checked("instre-all", "--data-root", tmp_path)
    assert report["in_order"]
    assert "rx: 1.33333 lies outside the image" in report["notes"][0]["what"]


def test_sizes_of_objects_follow_the_published_formula(own: Path) -> None:
    (measured,) = json.loads(run("scales", f"custom:{own}", "--json").stdout)
    sides = [(20 * 20) ** 0.5, (100 * 50) ** 0.5, (80 * 80) ** 0.5]
    assert measured["objects"] == 3
    assert measured["mean_px"] == pytest.approx(sum(sides) / 3)
    assert measured["median_px"] == pytest.approx(sides[1])
    assert measured["recommended_scale"] == int(200 * 240 / sides[1])


def test_sizes_are_those_of_the_loaded_image(own: Path) -> None:
    (own / "src/200").rename(own / "src/400")
    (measured,) = json.loads(run("scales", f"custom:{own}", "--json").stdout)
    loaded_area = 565 * 282
    assert measured["median_px"] == pytest.approx((0.25 * loaded_area) ** 0.5)


def test_percentiles_are_values_of_the_list() -> None:
    found = statistics("ten", [float(v) for v in range(10, 20)], 1000, 240.0)
    assert (found.median_px, found.percentile_10_px, found.percentile_90_px) == (15.0, 11.0, 19.0)
    assert (found.mean_px, found.recommended_scale) == (14.5, 16000)


def test_the_published_medians_give_the_published_scales() -> None:
    medians = {3264: (567.83, 1379), 3000: (208.53, 3452), 1280: (90.84, 3381), 1000: (331.97, 722)}
    found = {size: statistics("", [median], size, 240.0).recommended_scale for size, (median, _) in medians.items()}
    assert found == {size: scale for size, (_, scale) in medians.items()}


def test_the_documentation_has_the_published_sizes() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text().splitlines()
    for name, size in PUBLISHED.items():
        row = next(line for line in lines if line.startswith(f"| `{name}`"))
        counts = (size.images, size.boxes, size.classes, size.not_difficult)
        assert " / ".join("-" if n is None else str(n) for n in counts) in row


def test_scales_are_a_table_for_people(own: Path) -> None:
    result = run("scales", f"custom:{own}")
    assert result.exit_code == 0
    assert "70.71" in result.stdout
    assert "678" in result.stdout


def test_the_list_tells_what_is_here_and_how_to_get_the_rest(root: Path) -> None:
    draw_instre(root)
    rows = {row["name"]: row for row in json.loads(run("list", "--data-root", root, "--json").stdout)}
    assert rows["grozi-train"]["state"] == "ready"
    assert rows["instre-s1-train"]["state"] == "to convert"
    assert rows["shelf-train"]["state"] == "to draw"
    assert rows["dairy"]["state"] == "absent"
    assert rows["dairy"]["how_to_get"] == "oneshot data fetch retail"
    assert rows["dairy"]["published"] == {"images": 12, "boxes": 786, "classes": 166, "not_difficult": 690}
    shown = run("list", "--data-root", root).stdout
    assert "dairy, paste-v, paste-f: oneshot data fetch retail" in shown
