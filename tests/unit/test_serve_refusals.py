"""Files and bodies that no one should send: each is refused at the border, with a reason and no secrets."""

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from tests.unit.held_detector import HeldDetector
from tests.unit.serving import error_of, form_of, in_json, picture, png, served

TEA = Image.new("RGB", (20, 20), "red")
LIMITS = {"max_body_mb": 1, "max_megapixels": 1, "max_side_px": 4000, "max_class_images": 3, "max_detections": 50}


@pytest.fixture(scope="module")
def client():
    with served("held", HeldDetector, **LIMITS) as client:
        yield client


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zip_bomb(width, height):
    """Return a PNG whose few kilobytes unpack to many megabytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * min(width, 20_000))
    data = b"".join(packer.compress(row) for _ in range(min(height, 300))) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def in_format(image, kind):
    file = BytesIO()
    image.save(file, kind)
    return file.getvalue()


def flipped(data, position):
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd" width="9" height="9"/></svg>'
JPEG = in_format(picture(200, 200), "JPEG")
BAD_IMAGES = {
    "zip bomb": (zip_bomb(20_000, 20_000), 413, "image_too_large"),
    "many pixels": (png(Image.new("L", (1001, 1000))), 413, "image_too_large"),
    "20000 pixels wide": (png(Image.new("1", (20_000, 10))), 413, "image_too_large"),
    "20000 pixels high": (png(Image.new("1", (10, 20_000))), 413, "image_too_large"),
    "announces 4 gigapixels": (zip_bomb(2**31 - 1, 2**31 - 1), 413, "image_too_large"),
    "a strip": (png(Image.new("L", (3000, 2))), 422, "invalid_value"),
    "SVG": (SVG, 415, "unsupported_image"),
    "GIF": (in_format(TEA, "GIF"), 415, "unsupported_image"),
    "TIFF": (in_format(TEA, "TIFF"), 415, "unsupported_image"),
    "text": (b"#!/bin/sh\nrm -rf /\n", 415, "unsupported_image"),
    "nothing": (b"", 415, "unsupported_image"),
    "truncated JPEG": (JPEG[: len(JPEG) // 2], 422, "damaged_image"),
    "JPEG without pixels": (JPEG[:20], 415, "unsupported_image"),
    "truncated PNG": (png(picture(200, 200))[:5000], 422, "damaged_image"),
    "PNG with wrong bytes": (flipped(png(picture(200, 200)), 3000), 422, "damaged_image"),
    "truncated WebP": (in_format(picture(200, 200), "WEBP")[:900], 422, "damaged_image"),
}


@pytest.mark.parametrize("data, status, code", BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_images_that_are_refused(client, data, status, code):
    """As an image, as a class image, in a form, in JSON, on the published route, and to be registered."""
    good = png(TEA)
    as_image = client.post("/v1/detect", files=[("image", ("a.png", data)), ("class_image", ("tea.png", good))])
    assert error_of(as_image, status, code)["field"] == "image"
    as_class = client.post("/v1/detect", files=[("image", ("a.png", good)), ("class_image", ("tea.png", data))])
    assert error_of(as_class, status, code)["field"] == "class_image"
    as_query = client.post("/detect-all-instances", json={"image": in_json(good), "query": [in_json(data)]})
    assert error_of(as_query, status, code)["field"] == "query.0.content"
    registered = client.post("/v1/classes", json={"name": "tea", "images": [in_json(data)]})
    assert error_of(registered, status, code)["field"] == "images.0.content"


def test_a_bomb_is_refused_before_it_is_unpacked(client, monkeypatch):
    unpacked = []
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: unpacked.append(self))
    bomb = zip_bomb(20_000, 20_000)
    error_of(client.post("/v1/detect", files=[("image", ("a.png", bomb))], data={"class": "x"}), 404, "unknown_class")
    answer = client.post("/v1/detect", files=[("image", ("a.png", bomb)), ("class_image", ("tea.png", bomb))])
    error_of(answer, 413, "image_too_large")
    assert not unpacked


@pytest.mark.parametrize("name", ["../../etc/passwd.png", "C:\\windows\\passwd.png", "/etc/passwd", "passwd.tar"])
def test_the_folders_in_a_file_name_mean_nothing(client, name):
    files = [("image", ("../../../x.png", png(TEA))), ("class_image", (name, png(TEA)))]
    assert client.post("/v1/detect", files=files).json()["detections"][0]["class"] == "passwd"


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\\b", "..", "a\x00b", "a\nb", "x" * 101, "\u202etxt"])
def test_names_that_no_class_can_have(client, name):
    request = {"image": in_json(TEA), "classes": [{"name": name, "images": [in_json(TEA)]}]}
    assert error_of(client.post("/v1/detect", json=request), 422, "invalid_value")["field"] == "classes.0.name"
    answer = client.post("/v1/classes", data={"name": name}, files=[("images", ("x.png", png(TEA)))])
    assert error_of(answer, 422, "invalid_value")["field"] == "name"


DEEP = b'{"image": ' + b'{"a": [' * 50_000 + b"]}" * 50_000 + b"}"
BAD_BODIES = {
    "nothing": b"",
    "no JSON": b"{",
    "deep JSON": DEEP,
    "deeper JSON": b"[" * 500_000,
    "no UTF-8": b'{"image": "\xff\xfe"}',
    "half a surrogate": b'{"image": {"content": "\\ud800"}}',
}


@pytest.mark.parametrize("path", ["/v1/detect", "/v1/classes", "/detect-all-instances"])
@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_bodies_that_are_no_json(client, path, body):
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    error_of(answer, answer.status_code, {400: "malformed_body", 422: "invalid_value"}[answer.status_code])


BAD_JSON = {
    "bad base64": ({"image": {"content": "%%%"}}, "image.content"),
    "cut base64": ({"image": {"content": "abcde"}}, "image.content"),
    "base64 that is not ASCII": ({"image": {"content": "ééé"}}, "image.content"),
    "no picture": ({"image": "tea"}, "image"),
    "no classes": ({"classes": []}, "classes"),
    "no pictures of a class": ({"classes": [{"name": "tea", "images": []}]}, "classes.0.images"),
    "too many pictures": ({"classes": [{"name": "tea", "images": [in_json(TEA)] * 4}]}, "classes"),
    "threshold too high": ({"threshold": 1.5}, "threshold"),
    "threshold is text": ({"threshold": "0.5"}, "threshold"),
    "too many detections": ({"max_detections": 51}, "max_detections"),
    "no detections": ({"max_detections": 0}, "max_detections"),
    "huge number": ({"max_detections": 10**400}, "max_detections"),
    "unknown field": ({"treshold": 0.5}, "treshold"),
}


@pytest.mark.parametrize("change, field", BAD_JSON.values(), ids=BAD_JSON)
def test_values_that_are_refused(client, change, field):
    request = {"image": in_json(TEA), "classes": [{"name": "tea", "images": [in_json(TEA)]}], **change}
    answer = client.post("/v1/detect", json=request)
    assert error_of(answer, 422, "invalid_value")["field"] == field


def test_not_a_number_is_refused(client):
    body = b'{"image": {"content": ""}, "threshold": NaN}'
    answer = client.post("/v1/detect", content=body, headers={"Content-Type": "application/json"})
    assert error_of(answer, 422, "invalid_value")["field"] == "threshold"


BAD_FORMS = {
    "text for the image": ({}, {"image": "tea"}, "image"),
    "no image": ({"class_image": ("tea.png", png(TEA))}, {}, "image"),
    "no classes": ({"image": ("a.png", png(TEA))}, {}, "classes"),
    "threshold is text": ({"image": ("a.png", png(TEA))}, {"threshold": "high"}, "threshold"),
    "threshold is NaN": ({"image": ("a.png", png(TEA))}, {"threshold": "nan"}, "threshold"),
    "two thresholds": ({"image": ("a.png", png(TEA))}, {"threshold": ["0", "1"]}, "threshold"),
    "unknown field": ({"image": ("a.png", png(TEA))}, {"query": "tea"}, "query"),
    "names without pictures": ({"image": ("a.png", png(TEA))}, {"class_name": "tea"}, "class_name"),
}


@pytest.mark.parametrize("files, data, field", BAD_FORMS.values(), ids=BAD_FORMS)
def test_forms_that_are_refused(client, files, data, field):
    answer = client.post("/v1/detect", files=files or {"class_image": ("tea.png", png(TEA))}, data=data)
    assert error_of(answer, 422, "invalid_value")["field"] == field


BROKEN_FORMS = {
    "no boundary": ("multipart/form-data", b"--x\r\n"),
    "no parts": ("multipart/form-data; boundary=x", b"nothing"),
    "no name": ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n"),
    "unknown charset": ("multipart/form-data; boundary=x; charset=klingon", b"--x\r\nA: b\r\n\r\n\xff\r\n--x--\r\n"),
    "too many files": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\na\r\n' * 30 + b"--x--\r\n",
    ),
    "too many fields": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="class"\r\n\r\na\r\n' * 2000 + b"--x--\r\n",
    ),
    "a long field": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="class"\r\n\r\n' + b"a" * 9000 + b"\r\n--x--\r\n",
    ),
}


@pytest.mark.parametrize("kind, body", BROKEN_FORMS.values(), ids=BROKEN_FORMS)
@pytest.mark.parametrize("path", ["/v1/detect", "/v1/classes"])
def test_forms_that_cannot_be_read(client, path, kind, body):
    answer = client.post(path, content=body, headers={"Content-Type": kind})
    error_of(answer, 400, "malformed_body")


@pytest.mark.parametrize("path", ["/v1/detect", "/v1/classes", "/detect-all-instances"])
def test_a_huge_body_is_refused_whether_it_is_announced_or_not(client, path):
    huge = [*form_of(TEA, tea=TEA), ("class_image", ("x.png", bytes(2**20)))]
    error_of(client.post(path, files=huge), 413, "body_too_large")
    parts = (b"x" * 2**16 for _ in range(64))
    unannounced = client.post(path, content=parts, headers={"Content-Type": "application/json"})
    error_of(unannounced, 413, "body_too_large")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/png", "application/pickle"])
@pytest.mark.parametrize("path", ["/v1/detect", "/v1/classes", "/detect-all-instances"])
def test_other_types_of_bodies_are_refused(client, path, kind):
    error_of(client.post(path, content=b"x", headers={"Content-Type": kind}), 415, "unsupported_body")


def test_many_bad_requests_leave_nothing_behind(client):
    for _ in range(5):
        client.post("/v1/detect", files=[("image", ("a.png", SVG))], data={"class": "x"})
    assert client.app.state.service.admission.pending == 0
    assert client.get("/readyz").status_code == 200
