"""The page in a real browser, in front of the real server with a real small network: mouse, keys, fingers, the dark."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from PIL import ExifTags, Image

from os2d.data.shelf.store import shelf_example
from os2d.detector import Detector
from os2d.serve.app import create_app
from os2d.serve.settings import ServeSettings
from tests.integration.browser import Browser, Place, browser_program
from tests.small_case import SMALL_SHELF
from tests.trained_os2d import small_config, write_trial

pytestmark = pytest.mark.cluster

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
SIZE = (448, 336)
THING = (60, 90, 150, 200)
"""A box in the picture, in its pixels."""
KEY = "a key of this test"


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    folder = tmp_path_factory.mktemp("trial")
    write_trial(folder, small_config())
    return Detector.from_checkpoint(folder, device="cpu")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    Image.open(shelf_example(folder, SMALL_SHELF).image).resize(SIZE).save(folder / "shelf.png")
    return folder / "shelf.png"


@contextmanager
def served(detector: Detector, **settings: Any) -> Iterator[str]:
    """Serve the page and its API on this machine and give the address."""
    app = create_app(ServeSettings(**settings), load=lambda: detector)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(detector: Detector) -> Iterator[str]:
    with served(detector) as at:
        yield at


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    program = browser_program()
    if program is None:
        pytest.skip("no browser on this machine; `apt-get install chromium` brings one")
    with Browser(program, tmp_path / "profile") as opened:
        opened.reach_this_machine()
        yield opened


def by_id(name: str) -> str:
    return f"document.getElementById('{name}')"


def text(browser: Browser, name: str) -> str:
    return browser.value(f"{by_id(name)}.textContent")


def meet(browser: Browser, address: str) -> None:
    browser.open(address)
    browser.wait_for(f"{by_id('model')}.checkVisibility()")


def middle_of(browser: Browser, name: str) -> Place:
    x, y = browser.value(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({by_id(name)}.getBoundingClientRect())")
    return x, y


def on_picture(browser: Browser, x: float, y: float) -> Place:
    """Return the place in the window of a pixel of the picture."""
    left, top, width, height = browser.value(
        f"(r => [r.x, r.y, r.width, r.height])({by_id('picture')}.getBoundingClientRect())"
    )
    return left + x / SIZE[0] * width, top + y / SIZE[1] * height


def wait_for_examples(browser: Browser, number: int) -> None:
    browser.wait_for(f"{by_id('examples')}.children.length === {number}")


def wait_for_answer(browser: Browser) -> None:
    browser.wait_for(f"{by_id('found')}.checkVisibility() && !{by_id('progress')}.checkVisibility()")


def asked(browser: Browser, address: str) -> int:
    return browser.requests.count(f"{address}v1/detect")


def shown(browser: Browser, selector: str) -> int:
    # checkVisibility() knows nothing of hidden parts of a drawing.
    return browser.value(f"[...document.querySelectorAll('{selector}')].filter(e => e.getClientRects().length).length")


def set_threshold(browser: Browser, value: float) -> None:
    field = by_id("threshold")
    browser.value(f"{field}.value = {value}; {field}.dispatchEvent(new Event('input'))")


def downloaded(browser: Browser, folder: Path) -> dict[str, Any]:
    browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.click(by_id("download"))
    deadline = time.monotonic() + 60
    while not (files := list(folder.glob("*.json"))):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return json.loads(files[0].read_text(encoding="utf-8"))


def test_a_visitor_marks_a_thing_and_sees_where_it_is(
    browser: Browser, address: str, picture: Path, tmp_path: Path
) -> None:
    meet(browser, address)
    assert text(browser, "model").startswith("OS2D")
    browser.drop([picture], middle_of(browser, "stage"))
    browser.wait_for(f"{by_id('frame')}.checkVisibility()")
    browser.drag(on_picture(browser, *THING[:2]), on_picture(browser, *THING[2:]))
    wait_for_examples(browser, 1)
    browser.write("tea")
    browser.press("Enter")
    wait_for_answer(browser)

    set_threshold(browser, 0)
    (tmp_path / "all").mkdir()
    everything = downloaded(browser, tmp_path / "all")
    assert everything["image"] == {"name": "shelf.png", "width": SIZE[0], "height": SIZE[1]}
    scores = [one["score"] for one in everything["detections"]]
    assert scores == sorted(scores, reverse=True)
    assert {one["class"] for one in everything["detections"]} == {"tea"}
    assert np.allclose(everything["detections"][0]["box"], THING, atol=25)  # what was cut out is most like itself

    middle = round((scores[0] + scores[-1]) / 2, 2)
    set_threshold(browser, middle)
    above = sum(score > middle for score in scores)
    assert 0 < above < len(scores)
    assert shown(browser, "#overlay .detection") == shown(browser, "#detections li") == above
    assert shown(browser, "#overlay .shape") == above
    assert text(browser, "count") == str(above)
    browser.wait_for(f"{by_id('status')}.textContent === 'Found {above} tea with a score above {middle:.2f}.'")
    (tmp_path / "above").mkdir()
    assert downloaded(browser, tmp_path / "above")["detections"] == everything["detections"][:above]
    assert asked(browser, address) == 1

    x1, y1, x2, y2 = everything["detections"][0]["box"]
    drawn = "document.querySelector('#overlay .detection .box').getBoundingClientRect()"
    place = browser.value(f"(r => [r.left, r.top, r.right, r.bottom])({drawn})")
    assert np.allclose(place, [*on_picture(browser, x1, y1), *on_picture(browser, x2, y2)], atol=3)

    browser.screenshot(tmp_path / "page.png")
    assert browser.errors == []
    assert all(one.startswith((address, "data:", "blob:")) for one in browser.requests)


def test_a_picture_of_the_thing_is_enough_and_two_are_views_of_it(
    browser: Browser, address: str, picture: Path, tmp_path: Path
) -> None:
    for name in ("tea", "other side"):
        Image.open(picture).crop(THING).save(tmp_path / f"{name}.webp")
    meet(browser, address)
    browser.choose(by_id("choose-picture"), [picture])
    browser.wait_for(f"{by_id('frame')}.checkVisibility()")
    browser.drop([tmp_path / "tea.webp", tmp_path / "other side.webp"], middle_of(browser, "look-for"))
    wait_for_examples(browser, 2)
    names = "[...document.querySelectorAll('.name')]"
    assert browser.value(f"{names}.map(e => e.value)") == ["tea", "other side"]
    browser.value(f"{names}[1].select()")
    browser.write("tea")
    browser.click(by_id("find"))
    wait_for_answer(browser)
    set_threshold(browser, 0)
    found = browser.value("[...document.querySelectorAll('#detections span')].map(e => e.textContent)")
    assert set(found) == {"tea"}
    assert browser.errors == []


def test_keys_are_enough(browser: Browser, address: str, picture: Path) -> None:
    meet(browser, address)
    browser.choose(by_id("choose-picture"), [picture])  # the dialog is the browser's own
    browser.wait_for(f"{by_id('frame')}.checkVisibility()")
    focused = "document.activeElement"
    browser.press("Tab")
    assert browser.value(f"{focused}.id") == "frame"
    assert browser.value(f"getComputedStyle({focused}).outlineStyle") == "solid"
    browser.press("Enter")
    browser.press("ArrowLeft")
    browser.press("ArrowDown", shift=True)
    browser.wait_for(f"{by_id('status')}.textContent === 'Box 90 by 72 pixels, from 175, 134.'")
    browser.press("Enter")
    wait_for_examples(browser, 1)
    browser.write("tea")
    browser.press("Enter")
    wait_for_answer(browser)
    third = browser.value("Number(document.querySelectorAll('#scores line')[2].getAttribute('x1')) / 100")
    set_threshold(browser, third)
    few = shown(browser, "#detections li")
    reached = set()
    for _ in range(15 + few):
        browser.press("Tab")
        reached.add(browser.value(f"{focused}.id || {focused}.ariaLabel || {focused}.className"))
    assert {"choose-picture", "choose-class", "find", "threshold", "aligned", "download", "frame"} <= reached
    assert {"Name of the class", "Remove this picture of tea"} <= reached
    assert any(one.startswith("tea, score ") for one in reached)
    assert browser.errors == []


def test_it_fits_a_finger_and_a_dark_room(browser: Browser, address: str, picture: Path, tmp_path: Path) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", **PHONE)
    browser.call("Emulation.setTouchEmulationEnabled", enabled=True)
    meet(browser, address)
    photo = tmp_path / "photo.jpg"  # lying on its side, as telephones store them
    lying = Image.Exif()
    lying[ExifTags.Base.Orientation] = 6
    Image.open(picture).convert("RGB").transpose(Image.Transpose.ROTATE_90).save(photo, exif=lying)
    browser.choose(by_id("choose-picture"), [photo])
    browser.wait_for(f"{by_id('frame')}.checkVisibility()")
    browser.swipe(on_picture(browser, *THING[:2]), on_picture(browser, *THING[2:]))
    wait_for_examples(browser, 1)
    browser.click(by_id("find"))
    wait_for_answer(browser)
    set_threshold(browser, 0)
    (tmp_path / "found").mkdir()
    found = downloaded(browser, tmp_path / "found")
    assert found["image"] == {"name": "photo.jpg", "width": SIZE[0], "height": SIZE[1]}
    assert np.allclose(found["detections"][0]["box"], THING, atol=25)
    assert browser.value("document.documentElement.scrollWidth") <= PHONE["width"]
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(246, 247, 249)"
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(11, 17, 32)"
    browser.screenshot(tmp_path / "phone.png")
    assert browser.errors == []


def test_errors_are_sentences_and_a_key_is_asked_for(
    browser: Browser, detector: Detector, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "words.png").write_text("no picture")
    problem = f"{by_id('problem')}.checkVisibility()"
    with served(detector, api_key=KEY, max_side_px=300) as address:
        browser.open(address)
        browser.wait_for(f"document.activeElement === {by_id('key-field')}")
        browser.write("another key")
        browser.press("Enter")
        browser.wait_for(problem)
        assert text(browser, "problem-text") == "The server does not take this key."
        browser.value(f"{by_id('key-field')}.select()")
        browser.write(KEY)
        browser.press("Enter")
        browser.wait_for(f"{by_id('model')}.checkVisibility() && !{by_id('key')}.checkVisibility()")

        browser.drop([tmp_path / "words.png"], middle_of(browser, "stage"))
        browser.wait_for(problem)
        assert text(browser, "problem-text").startswith("“words.png” is not a picture that can be read here.")
        browser.drop([picture], middle_of(browser, "stage"))
        browser.wait_for(f"{by_id('frame')}.checkVisibility()")
        assert not browser.value(problem)
        browser.drag(on_picture(browser, *THING[:2]), on_picture(browser, *THING[2:]))
        wait_for_examples(browser, 1)
        browser.press("Enter")
        browser.wait_for(problem)
        assert text(browser, "problem-text").startswith("The picture: expected a picture of")
    browser.click(by_id("find"))
    browser.wait_for(f"{by_id('problem-text')}.textContent.startsWith('The server does not answer.')")
