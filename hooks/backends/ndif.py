"""Looking into a model that NDIF serves: the same reads as `nnsight.py`, as one request that runs
over there.

    wb.capture(model, prompts, sites="resid_post", backend="nnsight", remote=True)

What travels: the model's key, token ids, and which modules to read. What comes back: the values.
NDIF's protocol packs requests as pickles; answers are read with torch's restricted loader (tensors
and plain values only), so an answer cannot run code here. An API key is nnsight's own setting
(`NDIF_API_KEY`). Fiotto-Kaufman et al. 2024, "NNsight and NDIF".
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from hooks.backends import active_interventions
from hooks.backends.apply_tap import apply_tap
from hooks.backends.module_copy import copy_of, twin
from hooks.backends.nnsight import (
    SiteRead,
    attention_call,
    hand_over_attention,
    in_order,
    nnsight,
    reads,
)
from workbench.errors import BadInput, WorkbenchError

if TYPE_CHECKING:
    from hooks.backends.hook_request import HookRequest
    from hooks.batch import Batch
    from hooks.model import InstrumentedModel
    from hooks.sites import Place


@dataclass(frozen=True)
class Request:
    """A request as it would be sent.

    Attributes:
        model_key: what names the model to the server.
        metadata: the JSON that goes beside the payload.
        payload: the packed reads.
        reads: what can be read off each value of the answer, in order.
        host: where it goes.
    """

    model_key: str
    metadata: str
    payload: bytes
    reads: tuple[tuple[SiteRead, ...], ...]
    host: str

    def send(self) -> list[Any]:
        """Run it on the server and wait; one value for each of `reads`.

        Raises:
            WorkbenchError: the server cannot be reached, or refused, or answered something else.
        """
        import httpx
        import websocket
        from nnsight.intervention.backends.remote import RemoteBackend, RemoteError
        from nnsight.schema.request import RequestModel

        packed = self.payload

        class Sender(RemoteBackend):
            def _serialize(self, tracer: Any) -> bytes:
                return packed

        try:
            with _restricted():
                answer = Sender(self.model_key, host=self.host).request(
                    RequestModel.model_validate_json(self.metadata), None
                )
        except (RemoteError, OSError, httpx.HTTPError, websocket.WebSocketException) as error:
            raise WorkbenchError(
                f"NDIF at {self.host} did not run the request: {error}",
                "a server that can be reached, serves this model, and knows your key"
                " (NDIF_API_KEY)",
                "Check the connection and https://nnsight.net/status, or run it here without"
                " remote=True.",
            ) from error
        values = answer.get("found") if isinstance(answer, dict) else None
        if not isinstance(values, list) or len(values) != len(self.reads):
            raise WorkbenchError(
                "NDIF answered something else than was asked.",
                f"{len(self.reads)} values",
                "Try again.",
            )
        return values


def request(
    model: InstrumentedModel,
    batch: Batch,
    places: Sequence[Place],
    *,
    every_logit: bool = True,
    repo: str | None = None,
    host: str | None = None,
) -> Request:
    """Build a request; nothing is sent.

    Args:
        every_logit: False if logits of the last position will do.
        repo: the model's id on the Hugging Face hub; None takes the one it was loaded by.
        host: the server; None is nnsight's own setting.

    Raises:
        BadInput: the model's id is not known, or an intervention is on, which would stay behind.
        SiteNotFound: a place that nnsight cannot reach.
    """
    if active_interventions.active(model, "NDIF"):
        raise BadInput(
            "Interventions do not travel: what is changed here is not changed on NDIF's server.",
            "no active intervention",
            "Leave the `with` block, or run it here without remote=True.",
        )
    nnsight()
    from nnsight import save
    from nnsight.intervention.backends.remote import RemoteBackend
    from nnsight.schema.request import RequestModel
    from nnsight.tracing.backend import Backend

    server = copy_of(model, "ndif", peer)
    moments = in_order(model, twin(model, "NDIF"), reads(model, places))
    calls = {
        moment: attention_call(model, server, at_moment[0])
        for moment, at_moment in moments.items()
        if moment[1] == "attention"
    }
    plan = [(*moment, calls.get(moment, "")) for moment in moments]
    remote = RemoteBackend(
        _key(server, _repo(model, repo)), host=host, env=server._remoteable_get_env()
    )
    envelope = RequestModel(model_key=remote.model_key, compress=remote.compress, env=remote.env)
    payload = b""

    class Pack(Backend):
        def __call__(self, tracer: Any) -> None:
            nonlocal payload
            payload = RequestModel.serialize(tracer, remote.compress)

    # The block is sent as its own source and must name nothing of this package, which no server
    # has.
    with server.trace(
        **batch.kwargs(), use_cache=False, logits_to_keep=0 if every_logit else 1, backend=Pack()
    ):
        found = []
        # Before anything runs: a forward that has begun is not looked into any more.
        views = {path: server.get(path).source for path, of, _ in plan if of == "attention"}
        for path, of, call in plan:
            envoy = server.get(path)
            if of == "attention":
                args, options = getattr(views[path], call).inputs
                plain = {
                    k: v
                    for k, v in options.items()
                    if v is None or isinstance(v, (bool, int, float, torch.Tensor))
                }
                found.append([*args[1:5], plain])
            elif of == "input":
                found.append(envoy.input)
            else:
                found.append(envoy.output)
        save(found)
    return Request(
        remote.model_key,
        envelope.metadata(),
        payload,
        tuple(tuple(at_moment) for at_moment in moments.values()),
        remote.host,
    )


def run(
    model: InstrumentedModel, batch: Batch, requests: Sequence[HookRequest], *, every_logit: bool
) -> None:
    """See `hooks.backends.Forward`; runs on NDIF's server."""
    by_place = {place: request for request in requests for place in request.places}
    sent = request(model, batch, list(by_place), every_logit=every_logit)
    size = (batch.input_ids.shape[0], batch.input_ids.shape[1])
    for at_moment, value in zip(sent.reads, sent.send(), strict=True):
        if at_moment[0].of == "attention":
            *args, options = value
            hand_over_attention(by_place, at_moment, (None, *args), options)
            continue
        for read in at_moment:
            assert read.tap is not None  # a module's input or output
            hand_over = partial(by_place[read.place].hand_over, read.place)
            apply_tap(read.tap, value, hand_over, size)


def peer(model: InstrumentedModel) -> Any:
    """nnsight's model around the module's own weights, with the paths and names that a server
    has.
    """
    # The pipeline inside moves the module to a device of its choice, and the weights are the loaded
    # model's.
    return nnsight().TransformersModel(
        twin(model, "NDIF"),
        task="text-generation",
        tokenizer=copy.copy(model.tokenizer),
        device=model.device,
    )


def _repo(model: InstrumentedModel, repo: str | None) -> str:
    name = repo or model.card.source
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or os.path.exists(name):
        raise BadInput(
            f"{name!r} is not an id on the Hugging Face hub, by which NDIF knows its models.",
            "an id such as meta-llama/Llama-3.1-8B",
            "Load the model by its id.",
        )
    return name


def _key(server: Any, repo: str) -> str:
    from nnsight.modeling import huggingface

    # nnsight asks the hub how the id is spelled, unless it knows; building a request needs no
    # network.
    huggingface._ID_CACHE.setdefault(repo, repo)
    server.repo_id = repo
    return str(server.to_model_key())


@contextmanager
def _restricted() -> Iterator[None]:
    """Answers are unpacked by nnsight with torch's loader: hold it to tensors and plain values."""
    from nnsight.schema.response import Status

    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        with torch.serialization.safe_globals([Status]):
            yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


__all__ = ["Request", "peer", "request", "run"]
