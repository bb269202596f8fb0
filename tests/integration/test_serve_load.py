"""A real server under load and under strange requests."""

import itertools
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.integration.served_network import oneshot_serve
from tests.unit.serving import form_of, in_json, picture

pytestmark = pytest.mark.cluster

CLIENTS = 32
LOAD_SECONDS = 60
WARM_UP_SECONDS = 15
GROWTH_MIB = 40
"""What the memory may grow by after the warm-up: allocators keep pieces, leaks of pictures would be hundreds."""

EXAMPLES = 50
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


def test_32_clients_for_a_minute_meet_no_error_but_429_and_memory_stays(tmp_path):
    scenes = [picture(96 + 8 * (k % 5), 72 + 8 * (k % 3), seed=k) for k in range(7)]
    forms = [form_of(scene, tea=scene.crop((8, 8, 40, 40))) for scene in scenes]
    bodies = [
        {"image": in_json(scene), "classes": [{"name": "tea", "images": [in_json(scene.crop((0, 0, 32, 32)))]}]}
        for scene in scenes
    ]
    statuses, memory = Counter(), []
    with oneshot_serve(tmp_path) as (address, server):
        started = time.monotonic()

        def client(number):
            with httpx.Client(base_url=address, timeout=120) as session:
                for k in itertools.count(number):
                    if time.monotonic() - started > LOAD_SECONDS:
                        return
                    if k % 2:
                        answer = session.post("/v1/detect", files=forms[k % len(forms)], data={"threshold": "0"})
                    else:
                        answer = session.post("/v1/detect", json=bodies[k % len(bodies)])
                    statuses[answer.status_code] += 1
                    if answer.status_code == 429:
                        time.sleep(0.2)

        with ThreadPoolExecutor(CLIENTS) as pool:
            running = [pool.submit(client, number) for number in range(CLIENTS)]
            process = psutil.Process(server.pid)
            while not all(each.done() for each in running):
                memory.append((time.monotonic() - started, process.memory_info().rss / 2**20))
                time.sleep(0.5)
            for each in running:
                each.result()
    early = max(mib for seconds, mib in memory if seconds < WARM_UP_SECONDS)
    late = max(mib for seconds, mib in memory if seconds >= WARM_UP_SECONDS)
    print(f"answers {dict(statuses)}, memory {early:.0f} MiB in the warm-up, {late:.0f} MiB after it")
    assert set(statuses) <= {200, 429}
    assert statuses[200] > CLIENTS
    assert late - early < GROWTH_MIB


def test_whatever_is_made_of_the_description_the_server_answers_as_described(tmp_path):
    with oneshot_serve(tmp_path, "--cached-class-images", "8") as (address, _):
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{address}/openapi.json"]
        options = ["--checks", ",".join(CHECKS), "--mode", "all", "--phases", "examples,coverage,fuzzing"]
        limits = ["--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none", "--no-color"]
        done = subprocess.run([*command, *options, *limits], cwd=tmp_path, capture_output=True, text=True, check=False)
        print(done.stdout[-3000:])
        assert done.returncode == 0, done.stdout
        counted = httpx.get(f"{address}/metrics").text
    answers = re.findall(r'oneshot_requests_total\{.*route="(.*?)",status="(\d+)"', counted)
    assert {"200", "201", "204", "400", "404", "422"} <= {status for _, status in answers}
    failures = {(route, status) for route, status in answers if status.startswith("5")}
    assert failures <= {("/readyz", "503")}  # while the network was loaded
