"""The gallery and what is done with its cards: who may ask, what changes, and that text stays
text.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.helpers.synthetic import HOSTILE, synthetic_result
from ui.server import build
from workbench import run_labels, runs

OWN = "http://127.0.0.1:7860"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("workbench.paths.sample_runs_dirs", lambda: [tmp_path / "samples"])
    synthetic_result().save(tmp_path / "samples" / "shown")
    synthetic_result().save(tmp_path / "runs" / "one")
    return tmp_path / "runs"


def client(root: Path, **options: Any) -> TestClient:
    """Not entered, so that no model is loaded and nothing is drawn ahead."""
    return TestClient(build("no-model", root, **options), base_url=OWN)


def test_labels_are_changed_and_shown(root: Path) -> None:
    asks = client(root)
    changed = {"title": HOSTILE, "note": "See <b>", "pinned": True}
    answer = asks.post("/runs/one/labels", json=changed)
    assert answer.status_code == 200
    assert run_labels.read(root / "one").title == HOSTILE
    for page in (asks.get("/runs").text, asks.get("/").text):
        assert "<script>window" not in page
        assert "&lt;script&gt;window" in page
        assert "See &lt;b&gt;" in page
        assert ">pinned<" in page
    assert "{{7*7}}" in page
    report = asks.get("/runs/one/report.html?download=1")
    name = report.headers["content-disposition"]
    assert re.fullmatch(r"attachment; filename=\"[\w .()-]+\.html\"; filename\*=utf-8''\S+", name)
    assert "<script>window.pwned" not in report.text
    assert "See &lt;b&gt;" in report.text
    assert f"<title>{'&lt;script&gt;'}" in report.text


def test_a_run_goes_to_the_trash_and_comes_back(root: Path) -> None:
    asks = client(root)
    assert asks.post("/runs/one/delete", json={}).json() == {"trash": "one"}
    assert 'data-run="shown"' in asks.get("/runs").text
    assert "Trash (1)" in asks.get("/runs").text
    assert asks.post("/trash/one/restore", json={}).json() == {"run": "one"}
    asks.post("/runs/one/delete", json={})
    assert asks.post("/trash/empty", json={}).json() == {"removed": 1}
    assert "Trash" not in asks.get("/runs").text


def test_a_sample_is_hidden_and_shown_again(root: Path) -> None:
    asks = client(root)
    refused = asks.post("/runs/shown/delete", json={})
    assert refused.status_code == 422
    assert "hidden" in refused.json()["do"]
    assert asks.post("/runs/shown/labels", json={"hidden": True}).status_code == 200
    assert 'data-run="shown"' not in asks.get("/runs").text
    assert 'data-run="shown"' not in asks.get("/").text
    assert 'data-run="shown"' in asks.get("/runs?hidden=1").text


POSTS = [
    "/runs/one/labels",
    "/runs/one/delete",
    "/trash/one/restore",
    "/trash/empty",
    "/runs/open",
]


@pytest.mark.parametrize("path", POSTS)
def test_other_sites_change_nothing(root: Path, path: str) -> None:
    asks = client(root)
    for origin in ("http://evil.example", "null"):
        assert asks.post(path, json={}, headers={"Origin": origin}).status_code == 403
    # What a form can send without being asked: no JSON, and in an old browser no origin.
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        sent = asks.post(path, content='{"path": "/"}', headers={"Content-Type": kind})
        assert sent.status_code == 422
        assert "JSON" in sent.json()["what"]
    for body in ("", "[]", "{", '{"title": 3}', '{"path": ["/"]}', '{"more": 1}'):
        wrong = asks.post(path, content=body, headers={"Content-Type": "application/json"})
        assert wrong.status_code == 422, body
    assert asks.get(path).status_code in (404, 405)
    assert [entry.id for entry in runs.listing(root, samples=False)] == ["one"]


def test_ids_lead_nowhere_else(root: Path) -> None:
    asks = client(root)
    for odd in ("nothing", "..%2Fsamples%2Fshown", "..", ".trash", "%2Fetc"):
        for path in (f"/runs/{odd}/delete", f"/runs/{odd}/labels", f"/trash/{odd}/restore"):
            assert asks.post(path, json={}).status_code in (404, 405)


def test_a_folder_is_opened_where_no_stranger_can(root: Path, tmp_path: Path) -> None:
    theirs = synthetic_result().save(tmp_path / "theirs")
    body = {"path": str(theirs)}
    for options in (
        {"host": "0.0.0.0"},
        {"behind_proxy": True},
        {"root_path": "/lab"},
    ):
        asks = client(root, **options)
        refused = asks.post("/runs/open", json=body)
        assert refused.status_code == 403
        assert "password" in refused.json()["expected"]
        assert 'id="open-path"' not in asks.get("/runs").text
    asks = client(root, host="0.0.0.0", password="x")
    assert asks.post("/runs/open", json=body, auth=("me", "x")).json() == {"run": "theirs"}
    asks = client(root)
    assert asks.post("/runs/open", json=body).json() == {"run": "theirs"}
    assert "from elsewhere" in asks.get("/runs").text


def test_comparing_takes_two(root: Path) -> None:
    asks = client(root)
    assert asks.get("/compare?run=one").status_code == 422
    to = asks.get("/compare?run=one&run=shown", follow_redirects=False)
    assert to.headers["location"] == "explorer?run=one&with=shown"


def test_five_hundred_runs_are_listed_at_once(root: Path) -> None:
    index = json.loads((root / "one" / "result.json").read_text())
    for number in range(500):
        (root / f"run-{number}").mkdir()
        index["title"] = f"Run {number} <b>"
        (root / f"run-{number}" / "result.json").write_text(json.dumps(index))
    asks = client(root)
    asks.get("/runs")
    taken = []
    for _ in range(5):
        begun = time.process_time()
        page = asks.get("/runs").text
        taken.append(time.process_time() - begun)
    assert page.count('class="wb-card run"') == 502
    assert min(taken) < 3, taken  # 0.1 s on an idle core
