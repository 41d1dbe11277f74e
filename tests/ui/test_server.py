"""One process, one port: routes, who is let in, what is refused, starting and stopping."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.helpers import serving
from tests.helpers.synthetic import HOSTILE, synthetic_result
from ui.server import build, serve
from workbench.errors import WorkbenchError

OWN = "http://127.0.0.1:7860"


def client(app, **more) -> TestClient:
    return TestClient(app, base_url=OWN, **more)


@pytest.fixture(scope="module", autouse=True)
def _little_drawn():
    with serving.little_drawn():
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    synthetic_result().save(root / "one")
    synthetic_result(hostile=True).save(root / "hostile")
    (root / "broken").mkdir()
    (root / "broken" / "result.json").write_text('{"format": 1, "ana')
    return root


@pytest.fixture(scope="module")
def open_client(llama, runs):
    with client(build(llama, runs)) as made:
        yield made


@pytest.fixture(scope="module")
def locked_client(llama, runs):
    with client(build(llama, runs, password="pässword")) as made:
        yield made


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}


PAGES = [
    "/",
    "/healthz",
    "/playground/",
    "/playground/config",
    "/explorer",
    "/assets/workbench.css",
    "/runs/one/report.html",
]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_answers_with_headers_that_keep_it_to_itself(open_client, path):
    answer = open_client.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "http://" not in policy
    assert "https://" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", [*PAGES, "/runs/one/picture.png", "/nowhere"])
def test_with_a_password_every_route_asks_for_it(locked_client, path):
    assert locked_client.get(path).status_code == 401
    assert locked_client.get(path, headers=basic("wrong")).status_code == 401
    assert locked_client.get(path, headers={"Authorization": "Basic !!"}).status_code == 401
    assert locked_client.get(path, headers=basic("pässword")).status_code in (200, 404)


def test_with_a_password_the_websocket_asks_for_it_too(locked_client):
    with pytest.raises(WebSocketDisconnect), locked_client.websocket_connect("/explorer/ws"):
        pass


def test_other_names_for_this_machine_are_refused(open_client):
    # DNS rebinding: a foreign name that was made to lead to 127.0.0.1.
    assert open_client.get("/", headers={"Host": "evil.example:7860"}).status_code == 400
    assert open_client.get("/", headers={"Host": "localhost:9"}).status_code == 200
    assert open_client.get("/", headers={"Host": "[::1]:7860"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_other_sites_cannot_post_or_open_websockets(open_client, origin):
    answer = open_client.post(
        "/playground/gradio_api/queue/join", json={}, headers={"Origin": origin}
    )
    assert answer.status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        open_client.websocket_connect("/explorer/ws", headers={"Origin": origin}),
    ):
        pass


FORWARDED = {"X-Forwarded-Host": "lab.example", "X-Forwarded-Proto": "https"}


def test_what_a_proxy_says_is_believed_only_if_asked(open_client, llama, runs):
    for path in ("/playground/", "/playground/config", "/"):
        assert "lab.example" not in open_client.get(path, headers=FORWARDED).text
    join = "/playground/gradio_api/queue/join"
    mine = {**FORWARDED, "Origin": "https://lab.example"}
    assert open_client.post(join, json={}, headers=mine).status_code == 403
    with client(build(llama, runs, behind_proxy=True)) as proxied:
        assert (
            "https://lab.example/playground"
            in proxied.get("/playground/config", headers=FORWARDED).text
        )
        assert proxied.post(join, json={}, headers=mine).status_code != 403
        assert proxied.post(join, json={}, headers={**mine, "Origin": OWN}).status_code == 403


def test_the_explorer_knows_where_its_scripts_are(open_client):
    page = open_client.get("/explorer").text
    for script in [part.split('"')[0] for part in page.split('src="')[1:]]:
        assert not script.startswith("http"), script


def test_what_is_not_there_is_a_page_that_says_so(open_client):
    for path in (
        "/nowhere",
        "/runs/unknown/report.html",
        "/runs/..%2Fone/picture.png",
        "/runs/%3Cscript%3E/report.html",
    ):
        answer = open_client.get(path)
        assert answer.status_code == 404, path
        assert "Traceback" not in answer.text
        assert "<script>" not in answer.text.replace('assets/workbench.js">', "")


def test_a_run_that_cannot_be_read_gives_its_reason(open_client):
    answer = open_client.get("/runs/broken/report.html")
    assert answer.status_code == 422
    assert "is damaged" in answer.text
    assert open_client.get("/runs/broken/picture.png").status_code == 200


def test_pictures_and_reports(open_client):
    picture = open_client.get("/runs/one/picture.png")
    assert picture.headers["content-type"] in ("image/png", "image/svg+xml")
    report = open_client.get("/runs/hostile/report.html?download=1")
    assert report.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in report.headers["content-security-policy"]
    assert HOSTILE not in report.text


def test_a_tab_that_is_drawn_already_is_json(open_client):
    made = open_client.get("/runs/one/views/How%20many%20heads")
    assert made.headers["content-type"] == "application/json"
    place = made.json()["items"][0]["target_id"]
    assert f'id="{place}"' in made.json()["html"]
    assert "<script>window" not in open_client.get("/runs/hostile/views/Facts").json()["html"]


@pytest.mark.parametrize(
    "path", ["one/views/Nothing", "one/views/a%2Fb", "..%2Fone/views/Rates", "unknown/views/Rates"]
)
def test_a_tab_that_is_not_there_is_not_there(open_client, path):
    assert open_client.get(f"/runs/{path}").status_code == 404


def test_comparing_takes_two_runs(open_client):
    answer = open_client.get("/compare?run=one&run=a%26b", follow_redirects=False)
    assert answer.headers["location"] == "explorer?run=one&with=a%26b"
    refused = open_client.get("/compare?run=one")
    assert refused.status_code == 422
    assert "exactly two" in refused.text


def test_a_mistake_of_ours_shows_no_stack_trace(llama, runs, monkeypatch):
    app = build(llama, runs)
    monkeypatch.setattr("ui.home.page", lambda state: 1 / 0)
    with client(app, raise_server_exceptions=False) as made:
        answer = made.get("/")
    assert answer.status_code == 500
    assert "made a mistake" in answer.text
    assert "ZeroDivisionError" not in answer.text


def test_health_says_how_the_model_is(open_client, llama):
    assert open_client.get("/healthz").json()["model"] == {
        "state": "ready",
        "name": llama.card.name,
        "seconds": 0.0,
    }


def test_a_port_in_use_is_said_before_anything_loads():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(WorkbenchError, match=f"Port {port} is in use") as caught:
            serve(port=port, open_browser=False)
    assert f"--port {port + 1}" in caught.value.do


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 70000), ("no such host", 7860), ("203.0.113.7", 0)]
)
def test_an_address_that_is_not_ours_is_said(host, port):
    with pytest.raises(WorkbenchError) as caught:
        serve(host=host, port=port, open_browser=False, password="x")
    assert caught.value.do


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::", "example.org"])
def test_others_on_the_network_need_a_password(host):
    with pytest.raises(WorkbenchError, match="without a password"):
        serve(host=host, port=0, open_browser=False)


SERVER = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.helpers import tiny
import workbench as wb
from ui.server import serve
model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
serve(port=int(sys.argv[2]), model=model, runs=sys.argv[3], open_browser=False)
"""


@pytest.mark.process
def test_it_starts_says_where_and_stops_on_ctrl_c(tmp_path, request):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = str(request.config.rootpath)
    started = subprocess.Popen(
        [sys.executable, "-c", SERVER, root, str(port), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert started.stdout is not None
        lines = iter(started.stdout.readline, "")
        line = next(line for line in lines if "open at" in line)
        assert f"http://127.0.0.1:{port}/" in line
        assert (
            b"What do you want to know?"
            in urllib.request.urlopen(f"http://127.0.0.1:{port}/").read()
        )
        started.send_signal(signal.SIGINT)
        assert started.wait(300) == 0
        rest = started.stdout.read()
        assert "Stopped." in rest
        assert "Traceback" not in rest
    finally:
        started.kill()
        started.wait()
