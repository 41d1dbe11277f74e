"""What the header asks the server about models: listing, switching, refusals, and who may ask."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient

from tests.helpers.waiting import until
from ui.server import build
from workbench.errors import BadInput

HERE = "http://127.0.0.1"


@pytest.fixture
def machine(llama, tmp_path, monkeypatch):
    """A server whose loader gives a stand-in for every model but "broken"."""
    for name in ("work", "cache", "runs", "hub"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    broken = tmp_path / "work" / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "llama"}')

    def load(ref, progress):
        if "broken" in str(ref):
            raise BadInput("It is <broken>.", "another", "Choose one.")
        return SimpleNamespace(card=SimpleNamespace(name=ref))

    def made(**options):
        app = build(llama, tmp_path / "runs", load=load, **options)
        app.state.app_state.drawings.stop()
        return TestClient(app, base_url=HERE), app.state.app_state

    return made


def test_the_list_says_kind_size_and_fit(machine, tmp_path):
    client, _ = machine()
    listed = client.get("/models/list").json()
    by_ref = {model["ref"]: model for model in listed["models"]}
    organism = by_ref["organism/planted"]
    assert organism["memory"] == "9.4 MB"
    assert organism["fit"] == "fits"
    assert len(organism["steps"]) > 2
    gemma = by_ref["gemma3-270m"]
    assert gemma["terms"]["url"].startswith("https://")
    assert not gemma["fetched"]
    broken = by_ref[str(tmp_path / "work" / "broken")]
    assert (broken["title"], broken["group"]) == ("broken", "Folders and files")
    assert "safetensors" in broken["problem"]


def test_switching_and_refusals(machine):
    client, state = machine()
    before = state.slot

    def now():
        return client.get("/models/state").json()

    client.post("/models/open", json={"ref": " organism/planted "})
    until(lambda: now()["current"]["name"] == "organism/planted")
    assert set(now()["loaded"]) == {before.name, "organism/planted"}
    client.post("/models/open", json={"ref": "broken"})
    assert until(lambda: now()["problem"])["what"] == "It is <broken>."
    assert now()["current"]["name"] == "organism/planted"
    for ref in ("smollm", "", "x" * 3000, "a\0b", "/no/such/folder"):
        refused = client.post("/models/open", json={"ref": ref})
        assert refused.status_code == 422, ref
        assert refused.json()["refused"]["what"]
    assert "smollm2-135m" in str(client.post("/models/open", json={"ref": "smollm"}).json())
    client.post("/models/open", json={"ref": before.name})
    until(lambda: now()["current"]["name"] == before.name)
    client.post("/models/unload", json={"ref": "organism/planted"})
    assert client.get("/models/state").json()["loaded"] == [before.name]
    assert client.post("/models/unload", json={"ref": before.name}).status_code == 422
    assert client.post("/models/cancel", json={}).status_code == 200


def test_other_sites_can_do_nothing(machine):
    client, state = machine()
    body = json.dumps({"ref": "organism/planted"})
    for headers in (
        {"origin": "http://evil.example", "content-type": "application/json"},
        {"origin": "null", "content-type": "application/json"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
    ):
        assert client.post("/models/open", content=body, headers=headers).status_code in (403, 422)
    assert client.get("/models/open").status_code == 405
    for wrong in ("[]", "{", '{"ref": 3}', '{"ref": "a", "more": 1}'):
        headers = {"content-type": "application/json"}
        assert client.post("/models/open", content=wrong, headers=headers).status_code == 422
    assert [slot.name for slot in state.shelf.loaded()] == [state.slot.name]


def test_paths_are_named_only_where_that_is_no_danger(machine, tmp_path):
    assert machine()[1].local_paths
    assert machine(host="0.0.0.0", password="secret")[1].local_paths
    assert not machine(host="0.0.0.0")[1].local_paths
    client, state = machine(behind_proxy=True)
    assert not state.local_paths
    refs = {model["ref"] for model in client.get("/models/list").json()["models"]}
    assert str(tmp_path / "work" / "broken") not in refs
    for ref in (str(tmp_path / "work" / "broken"), "broken", "ann/model", "x+y.safetensors"):
        refused = client.post("/models/open", json={"ref": ref})
        assert refused.status_code == 422
        assert "--password" in refused.json()["refused"]["do"]
    opened = client.post("/models/open", json={"ref": "organism/planted@step-52"})
    assert opened.json()["current"]["name"] == "organism/planted@step-52"


def test_terms_are_accepted_in_the_browser_and_the_weights_are_fetched_then(machine, monkeypatch):
    from workbench import models

    pulled = []
    monkeypatch.setattr(models, "pull", lambda ref, progress, accept_terms: pulled.append(ref))
    client, state = machine()
    state.shelf._load = None
    monkeypatch.setattr(
        "ui.model_loading.ModelLoading.read",
        lambda self, ref, p: SimpleNamespace(card=SimpleNamespace(name=ref)),
    )
    rows = {model["ref"]: model for model in client.get("/models/list").json()["models"]}
    shown = rows["gemma3-270m"]["terms"]
    assert shown["version"]
    assert len(shown["summary"]) > 3
    assert rows["smollm2-135m"]["terms"] is None
    said = client.post("/models/open", json={"ref": "gemma3-270m"}).json()
    until(lambda: state.shelf.problem is not None)
    assert "terms" in state.shelf.problem.error.what
    assert said["current"]["name"] != "gemma3-270m"
    client.post("/models/open", json={"ref": "gemma3-270m", "accept_terms": True})
    until(lambda: state.slot.name == "gemma3-270m")
    assert pulled == ["gemma3-270m"]
