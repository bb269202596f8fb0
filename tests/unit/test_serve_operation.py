"""Registered classes, the key, the page and what those who run the server read."""

import re
import socket

import pytest
import torch
import yaml
from PIL import Image

from os2d.detector import LearnedClasses
from os2d.errors import CheckpointError, ConfigError
from os2d.serve.app import PAGE
from os2d.serve.server import run_server
from os2d.serve.settings import ServeSettings, read_settings
from tests.unit.held_detector import HeldDetector
from tests.unit.serving import error_of, form_of, in_json, png, served

TEA = Image.new("RGB", (20, 20), "red")
KEY = {"X-API-Key": "a long secret"}


@pytest.fixture
def client():
    with served("held", HeldDetector, cached_class_images=3) as client:
        yield client


def register(client, name, images=1):
    files = [("images", (f"{k}.png", png(TEA))) for k in range(images)]
    return client.post("/v1/classes", data={"name": name}, files=files)


def names(client):
    return [entry["name"] for entry in client.get("/v1/classes").json()["classes"]]


def test_a_class_is_registered_listed_used_and_forgotten(client):
    assert register(client, "tea", 2).json() == {"name": "tea", "images": 2}
    listed = client.get("/v1/classes").json()
    assert listed == {"classes": [{"name": "tea", "images": 2}], "capacity": 3}
    error_of(register(client, "tea"), 409, "class_exists")
    assert client.delete("/v1/classes/tea").status_code == 204
    error_of(client.delete("/v1/classes/tea"), 404, "unknown_class")
    error_of(client.post("/v1/detect", files=form_of(TEA), data={"class": "tea"}), 404, "unknown_class")


def test_the_class_that_was_not_used_for_longest_is_forgotten(client):
    for name in ("a", "b", "c"):
        register(client, name)
    assert client.post("/v1/detect", files=form_of(TEA), data={"class": "a"}).status_code == 200
    register(client, "d")
    assert names(client) == ["c", "a", "d"]
    register(client, "e", 3)
    assert names(client) == ["e"]


def test_names_with_spaces_and_letters_of_the_world(client):
    assert register(client, "grüner Tee 茶").status_code == 201
    assert client.delete("/v1/classes/grüner Tee 茶").status_code == 204


def test_the_model_is_told_without_its_place(client):
    told = client.get("/v1/model").json()
    assert (told["name"], told["weights"], told["class_names"]) == ("held", "held.pth", None)
    assert told["limits"]["body_bytes"] == 32 * 2**20


class TrainedDetector(HeldDetector):
    """Finds what it was trained on, as OneNet does."""

    class_names = ("car", "person")

    def learn(self, class_images):
        return LearnedClasses(tuple(class_images), tuple(torch.empty(0) for _ in class_images), self)


def test_a_network_with_classes_of_its_own_finds_those_and_learns_no_others():
    with served("held", TrainedDetector) as client:
        assert client.get("/v1/model").json()["class_names"] == ["car", "person"]
        found = client.post("/v1/detect", files=form_of(TEA)).json()["detections"]
        assert [each["class"] for each in found] == ["car", "person"]
        found = client.post("/v1/detect", files=form_of(TEA), data={"class": "car"}).json()["detections"]
        assert [each["class"] for each in found] == ["car"]
        error_of(client.post("/v1/detect", files=form_of(TEA), data={"class": "tea"}), 404, "unknown_class")
        error_of(client.post("/v1/detect", files=form_of(TEA, tea=TEA)), 422, "invalid_value")
        error_of(register(client, "tea"), 422, "invalid_value")
        request = {"image": in_json(TEA), "query": [in_json(TEA)]}
        error_of(client.post("/detect-all-instances", json=request), 422, "invalid_value")


def test_a_network_that_cannot_be_loaded_ends_the_server_with_the_reason(tmp_path):
    weights = tmp_path / "broken.pth"
    weights.write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=re.escape(str(weights))):
        run_server(ServeSettings(model=str(weights), port=0))


def test_an_address_that_is_taken_is_said_so(tmp_path):
    weights = tmp_path / "some.pth"
    weights.write_bytes(b"nobody reads them")
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConfigError, match="--port"):
        run_server(ServeSettings(model=str(weights), port=other.getsockname()[1]))


def test_only_those_with_the_key_are_let_in():
    with served("held", HeldDetector, api_key="a long secret") as client:
        for headers in ({}, {"X-API-Key": "another"}, {"X-API-Key": "schlüssel".encode("latin-1")}):
            error_of(client.get("/v1/model", headers=headers), 401, "unauthorised")
            error_of(client.get("/v1/classes", headers=headers), 401, "unauthorised")
            error_of(client.post("/v1/detect", headers=headers, files=form_of(TEA, t=TEA)), 401, "unauthorised")
            request = {"image": in_json(TEA), "query": [in_json(TEA)]}
            error_of(client.post("/detect-all-instances", headers=headers, json=request), 401, "unauthorised")
        assert client.post("/v1/detect", headers=KEY, files=form_of(TEA, t=TEA)).status_code == 200
        assert [client.get(path).status_code for path in ("/healthz", "/readyz", "/metrics", "/")] == [200] * 4


def test_prometheus_reads_what_was_done(client):
    client.post("/v1/detect", files=form_of(TEA, tea=TEA))
    client.post("/v1/detect", content=b"x")
    client.post("/v1/detect", content=b"", headers={"Content-Length": "99999999999"})
    client.request("BREW", "/made/up/by/a/client")
    register(client, "tea")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    for line in (
        'oneshot_requests_total{method="POST",route="/v1/detect",status="200"} 1.0',
        'oneshot_requests_total{method="POST",route="/v1/detect",status="415"} 1.0',
        'oneshot_refusals_total{code="unsupported_body"} 1.0',
        'oneshot_refusals_total{code="body_too_large"} 1.0',
        "oneshot_registered_classes 1.0",
        "oneshot_pending_requests 0.0",
        "oneshot_batch_images_sum 2.0",
    ):
        assert line in answer.text
    assert "made/up" not in answer.text and "BREW" not in answer.text
    assert "process_resident_memory_bytes" in answer.text


def test_what_is_not_there_is_said_in_the_same_shape(client):
    error_of(client.get("/nowhere"), 404, "not_found")
    error_of(client.get("/../../etc/passwd"), 404, "not_found")
    error_of(client.get("/%2e%2e/%2e%2e/app.py"), 404, "not_found")
    error_of(client.put("/v1/detect"), 405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/", "/healthz", "/nowhere", "/v1/model"])
def test_every_answer_forbids_scripts_from_elsewhere(client, path):
    headers = client.get(path).headers
    assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert len(headers["X-Request-Id"]) == 16


def test_the_page_is_served_with_its_files(client):
    assert "<html" in client.get("/").text
    modules = [f"/{path.name}" for path in PAGE.glob("*.js")]
    for path, kind in (*((module, "javascript") for module in modules), ("/page.css", "css")):
        assert kind in client.get(path).headers["content-type"]


def test_the_description_names_every_error_and_nothing_that_is_missing(client):
    described = client.get("/openapi.json").json()
    detect = described["paths"]["/v1/detect"]["post"]["responses"]
    statuses = ("200", "400", "401", "404", "408", "413", "415", "422", "429", "503", "504")
    assert sorted(detect) == sorted(statuses)
    text = yaml.safe_dump(described)
    for reference in {part.split("'")[0].split("\n")[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in described["components"]["schemas"]


def test_settings_come_from_arguments_then_from_the_environment(monkeypatch):
    monkeypatch.setenv("ONESHOT_SERVE_MAX_PENDING", "5")
    monkeypatch.setenv("ONESHOT_SERVE_PORT", "1234")
    monkeypatch.setenv("ONESHOT_SERVE_SCALES", "800,1200")
    monkeypatch.setenv("ONESHOT_SERVE_API_KEY", "a long secret")
    settings = read_settings({"port": 80})
    assert (settings.max_pending, settings.port, settings.scales) == (5, 80, (800.0, 1200.0))
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("name, value", [("port", 99999), ("scales", "a"), ("scales", "-1"), ("api_key", "short")])
def test_a_setting_that_cannot_be_used_is_named(name, value):
    with pytest.raises(ConfigError, match=f"ONESHOT_SERVE_{name.upper()}"):
        read_settings({name: value})
