"""What is sent to NDIF, and what is made of its answer."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch

import workbench as wb
from hooks import sites
from tests.helpers.backends import needs, same, with_uneven_norms
from tests.helpers.capturing import PROMPTS
from workbench.errors import BadInput, WorkbenchError


@pytest.fixture(scope="module", params=["llama", "gpt2", "neox"])
def model(request):
    return with_uneven_norms(request.param)


def unpacked(payload: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdDecompressor().decompress(payload)


class Server:
    """What a server does with a request, here: unpack it, run it on its own copy of the model,
    pack the answer.
    """

    def __init__(self, model):
        from hooks.backends import ndif

        self.peer = ndif.peer(model)

    def answer(self, backend, request, tracer):
        import zstandard
        from nnsight.schema.request import RequestModel
        from nnsight.tracing import tracer as scope

        self.request, self.payload = request, backend._serialize(tracer)
        job = RequestModel.deserialize(
            self.payload, self.peer._remoteable_persistent_objects(), compress=request.compress
        )
        scope.inc()
        try:
            with torch.no_grad():
                job.execute(job.info.code)
        finally:
            scope.dec()
        file = io.BytesIO()
        torch.save({"found": job.info.frame.f_locals["found"]}, file)
        return backend.finalize(zstandard.ZstdCompressor().compress(file.getvalue()))


@pytest.fixture
def named(model, monkeypatch):
    import dataclasses

    monkeypatch.setattr(model, "card", dataclasses.replace(model.card, source="someone/a-model"))
    return model


@needs("nnsight")
def test_what_would_be_sent(named):
    from hooks.backends import ndif

    places = sites.resolve(named.layout, ["z", "pattern", "resid_post", "logits"], [0, 2], "")
    built = ndif.request(named, named.batch(PROMPTS), places)
    key, about = built.model_key.split(":", 1)
    assert key == "nnsight.modeling.transformers.TransformersModel"
    assert json.loads(about)["repo_id"] == "someone/a-model"
    assert json.loads(built.metadata)["model_key"] == built.model_key
    reads = [read for here in built.reads for read in here]
    assert sorted(r.place.name for r in reads) == sorted(p.name for p in places)
    sent = unpacked(built.payload)
    for read in reads:
        assert read.path.encode() in sent
    assert b"workbench" not in sent.replace(
        b"memory-workbench", b""
    )  # nothing that a server would have to import
    weights = sum(p.numel() * p.element_size() for p in named.module.parameters())
    assert len(sent) < weights / 4


@needs("nnsight")
def test_an_answer_becomes_the_same_trace(named, monkeypatch):
    from nnsight.intervention.backends.remote import RemoteBackend

    server = Server(named)
    monkeypatch.setattr(
        RemoteBackend, "request", lambda self, request, tracer: server.answer(self, request, tracer)
    )
    asked = {"sites": list(named.sites), "positions": [0, -1]}
    same(
        wb.capture(named, PROMPTS, **asked),
        wb.capture(named, PROMPTS, **asked, backend="nnsight", remote=True),
    )
    assert server.request.model_key.endswith('"task": "text-generation"}')


@needs("nnsight")
def test_an_answer_cannot_run_code(named, monkeypatch):
    import pickle

    import zstandard
    from nnsight.intervention.backends.remote import RemoteBackend

    class Hostile:
        def __reduce__(self):
            return Path.touch, (Path("hostile"),)

    file = io.BytesIO()
    torch.save({"found": [Hostile()]}, file)
    answer = zstandard.ZstdCompressor().compress(file.getvalue())
    monkeypatch.setattr(
        RemoteBackend, "request", lambda self, request, tracer: self.finalize(answer)
    )
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        wb.capture(named, PROMPTS, sites="z", backend="nnsight", remote=True)
    assert not Path("hostile").exists()


@needs("nnsight")
def test_a_server_that_is_not_there(named, monkeypatch):
    from nnsight import CONFIG

    monkeypatch.setattr(CONFIG.API, "HOST", "http://127.0.0.1:9")
    with pytest.raises(
        WorkbenchError, match=r"NDIF at http://127.0.0.1:9 did not run the request: .*refused"
    ):
        wb.capture(named, PROMPTS, sites="z", backend="nnsight", remote=True)


@needs("nnsight")
def test_what_cannot_be_sent(model, named):
    with wb.ablate(named, heads=[(0, 0)]), pytest.raises(BadInput, match="do not travel"):
        wb.capture(named, PROMPTS, sites="z", backend="nnsight", remote=True)


@needs("nnsight")
def test_a_model_without_an_id_cannot_be_sent(model):
    with pytest.raises(BadInput, match="Hugging Face hub"):
        wb.capture(model, PROMPTS, sites="z", backend="nnsight", remote=True)
