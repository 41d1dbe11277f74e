"""The models for the pages' header: what can be opened, what is open, switching and cancelling.

GET  /models/state    the current model, what is being loaded, what happened
GET  /models/list     everything that can be opened here
POST /models/open     {"ref", "replace"?, "accept_terms"?}: make it the current one
POST /models/cancel   {}: stop loading
POST /models/unload   {"ref"}: let go of one that is not needed

What acts takes JSON only, which a form of another site cannot send; `Guard` refuses its scripts.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from ui.app_state import AppState
from ui.model_shelf import NoRoom
from ui.model_slot import ModelSlot
from workbench import models
from workbench.disk_space import size
from workbench.errors import BadInput, WorkbenchError
from workbench.models import ModelEntry

QUICK = 0.5
"""Seconds that a request to open waits, so that what is small or refused is answered at once."""
_GROUPS = {
    "known": "Known models",
    "organism": "Organisms: small models with planted memories",
    "made here": "Made here",
    "local": "Folders and files",
    "hugging face": "Hugging Face cache",
}
_LONGEST = 4000


class Asked(BaseModel, extra="forbid"):
    """What a page asks for."""

    ref: str = Field("", max_length=_LONGEST)
    replace: bool = False
    accept_terms: bool = False


def add(app: FastAPI, state: AppState) -> None:
    """Register the routes."""

    @app.get("/models/state")
    def current() -> dict[str, Any]:
        return describe(state)

    @app.get("/models/list")
    def everything() -> dict[str, Any]:
        return {
            "groups": list(_GROUPS.values()),
            "models": [row(state, entry) for entry in offered(state)],
            "free": _size(state.shelf.free()),
            "local_paths": state.local_paths,
        }

    @app.post("/models/open")
    async def open_model(request: Request) -> JSONResponse:
        return await _answer(state, request, open_checked)

    @app.post("/models/cancel")
    async def cancel(request: Request) -> JSONResponse:
        return await _answer(state, request, lambda state, asked: state.shelf.cancel())

    @app.post("/models/unload")
    async def unload(request: Request) -> JSONResponse:
        return await _answer(state, request, lambda state, asked: state.shelf.unload(asked.ref))


async def _answer(state: AppState, request: Request, act: Any) -> JSONResponse:
    """Do what is asked, and say how things stand then; 422 with the reason where it was refused."""
    try:
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise BadInput("That is not JSON.", "content-type: application/json", "Use the picker.")
        try:
            asked = Asked.model_validate_json(await request.body())
        except ValueError as error:
            raise BadInput(
                "That is not what this address takes.", '{"ref": "smollm2-135m"}', "Use the picker."
            ) from error
        await run_in_threadpool(act, state, asked)
    except WorkbenchError as error:
        return JSONResponse({**describe(state), "refused": explained(error)}, 422)
    return JSONResponse(describe(state))


def open_checked(state: AppState, asked: Asked) -> None:
    """Open what a page named, if it may.

    Raises:
        WorkbenchError: there is no such model, or a path where only listed models may be named.
    """
    slot = state.shelf.open(checked(state, asked.ref), asked.replace, asked.accept_terms)
    slot.wait(QUICK)


def checked(state: AppState, ref: str) -> str:
    """A reference as the shelf takes it.

    Raises:
        WorkbenchError: as `open_checked`.
    """
    ref = ref.strip()
    if any(ref in (slot.ref, slot.name) for slot in state.shelf.loaded()):
        return ref
    if not state.local_paths and ref.partition("@step-")[0] not in {
        entry.name for entry in offered(state)
    }:
        raise BadInput(
            "Only models that are listed can be opened here.",
            "a name from the list",
            "Paths and ids can be typed where only this machine can ask, or with a password:"
            " start the server with --password.",
        )
    try:
        models.locate(ref)
    except (OSError, ValueError) as error:  # too long for a path, or with characters none may have
        raise BadInput(
            f"{ref[:80]!r} can be no path.", "a name, an id or a path", "Check it."
        ) from error
    return ref


def offered(state: AppState) -> list[ModelEntry]:
    """What the picker lists; folders of this machine only where they may be named."""
    return [
        entry
        for entry in models.listing(state.root)
        if state.local_paths or entry.origin not in ("made here", "local")
    ]


def describe(state: AppState) -> dict[str, Any]:
    """How the models stand."""
    shelf = state.shelf
    loading, problem, current = shelf.loading, shelf.problem, shelf.current
    running = state.jobs.running()
    return {
        "server": state.server,
        "current": _slot(current),
        "loading": None if loading is None else _slot(loading),
        "problem": (None if problem is None else {**explained(problem.error), "ref": problem.ref}),
        "notice": None if shelf.notice is None else asdict(shelf.notice),
        "loaded": [slot.name for slot in shelf.loaded()],
        "running": None if running is None else {"title": running.title, "on": running.model},
    }


def _slot(slot: ModelSlot) -> dict[str, Any]:
    return {
        "serial": slot.serial,
        "ref": str(slot.ref),
        "name": slot.name,
        "state": slot.state,
        "fraction": round(slot.fraction, 3),
        "says": slot.says or f"Loading {slot.name}",
        "seconds": round(slot.seconds, 1),
        "error": explained(slot.error) if slot.error is not None else None,
    }


def explained(error: WorkbenchError) -> dict[str, Any]:
    """An error as a page shows it."""
    return {
        "what": error.what,
        "expected": error.expected,
        "do": error.do,
        "replaceable": isinstance(error, NoRoom) and error.replaceable,
    }


def row(state: AppState, entry: ModelEntry) -> dict[str, Any]:
    """A model as the picker shows it."""
    needed = state.shelf.memory_needed(entry.name) if entry.memory is not None else None
    terms = models.known()[entry.name].terms if entry.origin == "known" else None
    path = entry.origin in ("made here", "local")
    title = entry.name
    if path and entry.path is not None:
        model = "" if entry.path.is_dir() else entry.name.partition("+")[0] + "+"
        title = (model if entry.name.partition("+")[2] else "") + entry.path.name
    return {
        "ref": entry.name,
        "title": title,
        "where": str(_short(entry.path)) if path and entry.path is not None else "",
        "group": _GROUPS[entry.origin],
        "description": entry.description,
        "licence": entry.licence,
        "fetched": entry.cached,
        "disk": _size(entry.bytes or None),
        "download": _size(entry.download or None),
        "memory": _size(needed),
        "fit": state.shelf.fit(needed),
        "steps": list(entry.steps),
        "problem": entry.problem,
        "terms": (
            {
                "name": terms.name,
                "version": terms.version,
                "url": terms.url,
                "summary": list(terms.summary),
            }
            if terms is not None and entry.accepted is False
            else None
        ),
    }


def _size(number: int | None) -> str:
    return "" if number is None else size(number)


def _short(path: Path) -> Path:
    """A path below the home folder with ~ for it."""
    home = Path.home()
    return Path("~") / path.relative_to(home) if path.is_relative_to(home) else path
