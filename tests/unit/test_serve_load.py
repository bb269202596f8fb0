"""Requests that come together: batches, back-pressure, time-outs, and one that fails among others."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from os2d.detector import Detector
from os2d.serve.metrics import Metrics
from os2d.serve.settings import ServeSettings
from os2d.serve.work import Learning, Search
from os2d.serve.worker import Worker
from tests.unit.held_detector import HeldDetector
from tests.unit.serving import error_of, form_of, picture, served, write_small_network

BLUE = Image.new("RGB", (20, 20), "blue")
RED = Image.new("RGB", (20, 20), "red")


def post(client, image=RED):
    return client.post("/v1/detect", files=form_of(image, tea=RED))


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def held():
    detector = HeldDetector()
    yield detector
    detector.go.set()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def pending(client):
    return client.app.state.service.admission.pending


def test_requests_that_wait_together_are_answered_as_single_ones(tmp_path):
    """Sizes, classes, thresholds and numbers differ; the images of one size share a forward pass."""
    settings = ServeSettings(model=str(write_small_network(tmp_path)), max_batch=4, batch_wait_ms=0)
    scenes = [picture(seed=k, width=96 if k % 3 else 64) for k in range(4)]
    classes = [{"a": [scenes[k].crop((4, 4, 36, 36))]} if k % 2 else {"a": [scenes[0]], "b": [RED]} for k in range(4)]
    searches = [Search(scenes[k], classes[k], [], 0.1 * k, 5 + k) for k in range(4)]
    metrics = Metrics()
    released = threading.Event()

    def load():
        assert released.wait(60)
        return Detector.from_checkpoint(settings.model, device="cpu")

    worker = Worker(load, settings, metrics, lambda: None)
    worker.start()
    together = [worker.submit(search) for search in searches]  # they wait while the network is loaded
    released.set()
    found = [job.future.result(60).result for job in together]
    assert metrics.registry.get_sample_value("oneshot_batch_images_sum") == 1 + 4  # with the warm-up
    assert metrics.registry.get_sample_value("oneshot_batch_images_count") == 2
    for search, batched in zip(searches, found, strict=True):
        alone = worker.submit(search).future.result(60).result
        assert [each.label for each in batched] == [each.label for each in alone]
        assert [each.score for each in batched] == pytest.approx([each.score for each in alone], abs=1e-5)
        for one, other in zip(batched, alone, strict=True):
            assert one.box_xyxy == pytest.approx(other.box_xyxy, abs=1e-2)
        assert len(alone) == search.max_detections
    worker.stop()


def test_concurrent_requests_go_through_the_network_together(held, threads):
    with served("held", lambda: held, max_batch=4) as client:
        held.go.clear()
        answers = [threads.submit(post, client)]
        assert held.busy.wait(60)
        answers += [threads.submit(post, client) for _ in range(5)]
        until(lambda: client.app.state.service.worker._jobs.qsize() == 5)
        held.go.set()
        assert {answer.result().status_code for answer in answers} == {200}
    assert held.batches == [1, 1, 4, 1]


def test_too_many_requests_are_asked_to_come_back(held, threads):
    with served("held", lambda: held, max_pending=2) as client:
        held.go.clear()
        answers = [threads.submit(post, client) for _ in range(2)]
        until(lambda: pending(client) == 2)
        refused = post(client)
        error_of(refused, 429, "overloaded")
        assert int(refused.headers["Retry-After"]) >= 1
        held.go.set()
        assert {answer.result().status_code for answer in answers} == {200}
        assert post(client).status_code == 200


def test_a_request_is_not_taken_on_when_its_answer_would_come_too_late(held, threads):
    with served("held", lambda: held, request_seconds=30) as client:
        client.app.state.service.worker.computing.seconds_per_image = 20
        held.go.clear()
        first = threads.submit(post, client)
        until(lambda: pending(client) == 1)
        refused = post(client)
        error_of(refused, 429, "overloaded")
        assert refused.headers["Retry-After"] == "20"
        held.go.set()
        assert first.result().status_code == 200


def test_an_answer_that_takes_too_long_is_given_up_and_what_waits_is_not_computed(held, threads):
    with served("held", lambda: held, request_seconds=0.3, max_batch=1) as client:
        held.go.clear()
        first, second = (threads.submit(post, client) for _ in range(2))
        for answer in (first.result(), second.result()):
            error_of(answer, 504, "timeout")
        assert pending(client) == 0
        held.go.set()
        until(lambda: client.app.state.service.worker._jobs.empty())
    assert held.batches == [1, 1]  # the warm-up and the first


def test_one_that_fails_does_not_harm_those_beside_it(held, threads, caplog):
    with served("held", lambda: held, max_batch=4) as client:
        held.go.clear()
        first = threads.submit(post, client)
        assert held.busy.wait(60)
        good = [threads.submit(post, client) for _ in range(2)]
        bad = threads.submit(post, client, BLUE)
        until(lambda: client.app.state.service.worker._jobs.qsize() == 3)
        held.go.set()
        assert {answer.result().status_code for answer in (first, *good)} == {200}
        error_of(bad.result(), 500, "internal")
    assert "blue" in caplog.text and "secret" not in bad.result().text
    assert bad.result().headers["X-Request-Id"] in caplog.text


def test_what_a_client_does_not_wait_for_is_not_computed(held):
    """The client closes its connection while the request waits for its turn."""
    with served("held", lambda: held) as client:
        service = client.app.state.service
        held.go.clear()
        busy = service.worker.submit(Search(RED, {"tea": [RED]}, [], None, 1))
        assert held.busy.wait(60)

        class Gone:
            async def receive(self):
                return {"type": "http.disconnect"}

        with pytest.raises(Exception, match="closed the connection"):
            asyncio.run(service.compute(Learning({"tea": [RED]}), Gone()))
        held.go.set()
        busy.future.result(60)
        assert post(client).status_code == 200
    assert held.batches == [1, 1, 1]


def test_a_lack_of_memory_is_said_so(held):
    with served("held", lambda: held) as client:
        held.learn = lambda class_images: (_ for _ in ()).throw(MemoryError())
        error_of(post(client), 503, "out_of_memory")


def test_requests_are_refused_while_the_network_is_loaded(held):
    from fastapi.testclient import TestClient

    from os2d.serve.app import create_app

    released = threading.Event()

    def load():
        assert released.wait(60)
        return held

    with TestClient(create_app(ServeSettings(), load)) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        for answer in (client.get("/readyz"), post(client), client.get("/v1/model")):
            error_of(answer, 503, "not_ready")
        released.set()
        until(lambda: client.get("/readyz").status_code == 200)
        assert post(client).status_code == 200
