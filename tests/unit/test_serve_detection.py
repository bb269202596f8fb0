"""``/v1/detect`` and ``/detect-all-instances`` with a real, small network."""

from io import BytesIO

import pytest
from PIL import Image

from os2d.detector import Detector
from os2d.serve.settings import ServeSettings
from os2d.structures.sizes import Size, scaled_to_area
from tests.unit.serving import error_of, form_of, in_json, picture, png, served, write_small_network

SCENE = picture(seed=1)
TEA = SCENE.crop((8, 8, 40, 40))
SOAP = picture(40, 40, seed=3)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_small_network(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def client(weights):
    with served(weights, published_route_px=128) as client:
        yield client


@pytest.fixture(scope="module")
def detector(weights):
    return Detector.from_checkpoint(weights, device="cpu")


def same(found, expected):
    assert [each["class"] for each in found] == [each.label for each in expected]
    assert [each["score"] for each in found] == pytest.approx([each.score for each in expected], abs=1e-5)
    for each, wanted in zip(found, expected, strict=True):
        assert each["box"] == pytest.approx(wanted.box_xyxy, abs=1e-2)
        assert [x for point in each["corners"] for x in point] == pytest.approx(
            [x for point in wanted.corners for x in point], abs=1e-2
        )


def test_a_form_is_answered_as_the_detector_answers(client, detector):
    answer = client.post("/v1/detect", files=form_of(SCENE, tea=TEA, soap=SOAP), data={"threshold": "-1"})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["image"] == {"width": 96, "height": 72}
    assert body["model"] == {"name": "OS2D", "weights": "small.pth"}
    assert body["seconds"].keys() == {"queued", "computed"}
    expected = detector.detect(SCENE, {"tea": TEA, "soap": SOAP}, threshold=-1, max_detections=100)
    assert len(expected) > 2
    same(body["detections"], expected)


def test_json_is_answered_as_a_form_is(client):
    classes = [{"name": "tea", "images": [in_json(TEA)]}, {"name": "soap", "images": [in_json(SOAP)]}]
    request = {"image": in_json(SCENE), "classes": classes, "threshold": -1, "max_detections": 3}
    by_json = client.post("/v1/detect", json=request).json()["detections"]
    data = {"threshold": "-1", "max_detections": "3"}
    by_form = client.post("/v1/detect", files=form_of(SCENE, tea=TEA, soap=SOAP), data=data).json()["detections"]
    assert by_json == by_form
    assert len(by_json) == 3
    assert by_json == sorted(by_json, key=lambda found: -found["score"])


def test_files_of_one_name_and_fields_of_one_name_are_views_of_a_class(client, detector):
    expected = detector.detect(SCENE, {"tea": [TEA, SOAP]}, threshold=-1, max_detections=100)
    by_stem = [*form_of(SCENE, tea=TEA), ("class_image", ("tea.webp", png(SOAP)))]
    same(client.post("/v1/detect", files=by_stem, data={"threshold": "-1"}).json()["detections"], expected)
    data = {"threshold": "-1", "class_name": ["tea", "tea"]}
    by_field = client.post("/v1/detect", files=form_of(SCENE, a=TEA, b=SOAP), data=data)
    same(by_field.json()["detections"], expected)


def test_a_registered_class_is_found_as_its_pictures_are(client, detector):
    registered = client.post("/v1/classes", data={"name": "green tea"}, files=[("images", ("x.png", png(TEA)))])
    assert (registered.status_code, registered.json()) == (201, {"name": "green tea", "images": 1})
    expected = detector.detect(SCENE, {"green tea": TEA}, threshold=-1, max_detections=100)
    data = {"class": "green tea", "threshold": "-1"}
    same(client.post("/v1/detect", files=form_of(SCENE), data=data).json()["detections"], expected)
    request = {"image": in_json(SCENE), "classes": [{"name": "green tea"}], "threshold": -1}
    same(client.post("/v1/detect", json=request).json()["detections"], expected)


def test_boxes_are_those_of_the_upright_image(client):
    turned = SCENE.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise before it is shown
    file = BytesIO()
    turned.save(file, "PNG", exif=exif)
    files = [("image", ("scene.png", file.getvalue())), ("class_image", ("tea.png", png(TEA)))]
    answer = client.post("/v1/detect", files=files, data={"threshold": "-1"}).json()
    upright = client.post("/v1/detect", files=form_of(SCENE, tea=TEA), data={"threshold": "-1"}).json()
    assert answer["image"] == {"width": 96, "height": 72}
    assert answer["detections"] == upright["detections"]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16"])
def test_pictures_that_are_not_rgb_are_converted(client, mode):
    image = SCENE.convert("L").convert("I;16") if mode == "I;16" else SCENE.convert(mode)
    answer = client.post("/v1/detect", files=form_of(image, tea=TEA.convert("L")))
    assert answer.status_code == 200, answer.text


def test_the_published_route_answers_as_published(client, detector):
    query = [in_json(TEA), in_json(SOAP)]
    answer = client.post("/detect-all-instances", json={"image": in_json(SCENE), "query": query})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.keys() == {"scores", "bboxes"}
    size = scaled_to_area(Size(*SCENE.size), 128)
    seen = SCENE.resize(size, Image.Resampling.BICUBIC)
    found = detector.detect(seen, {"0": [TEA, SOAP]}, threshold=0.45, scales=[max(size)], max_detections=30)
    assert len(found) == 30
    expected = found[::-1]
    assert body["scores"] == sorted(body["scores"])
    assert body["scores"] == pytest.approx([each.score for each in expected], abs=1e-5)
    for box, each in zip(body["bboxes"], expected, strict=True):
        x1, y1, x2, y2 = each.box_xyxy
        assert box == pytest.approx([x1 / size.w, y1 / size.h, x2 / size.w, y2 / size.h], abs=1e-4)


def test_the_published_route_sees_images_at_the_published_size():
    assert ServeSettings().published_route_px == 1500


def test_the_published_route_refuses_an_empty_query(client):
    answer = client.post("/detect-all-instances", json={"image": in_json(SCENE), "query": []})
    assert error_of(answer, 422, "invalid_value")["field"] == "query"
