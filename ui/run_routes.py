"""What the server answers under /runs, /compare and /trash: the gallery, and all that is read of a
run or done with it.

What changes something is posted as JSON. A page of another site can post a form without being
asked, but no JSON, and `ui.web.security.Guard` refuses it by its origin besides.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import pydantic
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from ui import gallery, grids
from ui.app_state import AppState
from workbench import run_labels, run_links, run_trash
from workbench.errors import BadInput, NotFound, Unfit, WorkbenchError

Body = TypeVar("Body", bound=pydantic.BaseModel)
log = logging.getLogger(__name__)

# Shown where a run has no picture, so that cards keep their shape.
_NO_PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 360"><g fill="#868d99"'
    ' fill-opacity=".35">'
    + "".join(
        f'<rect x="{212 + 24 * (i % 9)}" y="{108 + 24 * (i // 9)}" width="18" height="18" rx="3"/>'
        for i in range(54)
    )
    + "</g></svg>"
)


class _Labels(pydantic.BaseModel, extra="forbid", strict=True):
    title: str | None = None
    note: str | None = None
    pinned: bool | None = None
    hidden: bool | None = None


class _Nothing(pydantic.BaseModel, extra="forbid"):
    pass


class _Path(pydantic.BaseModel, extra="forbid", strict=True):
    path: str


def add(app: FastAPI, state: AppState) -> None:
    """Put these routes on the server."""
    _add_pages(app, state)
    _add_actions(app, state)
    grids.add(app, state)


def _add_pages(app: FastAPI, state: AppState) -> None:
    @app.get("/runs")
    def all_runs(hidden: bool = False) -> HTMLResponse:
        return HTMLResponse(gallery.page(state, hidden=hidden))

    @app.get("/compare", response_model=None)
    def compare(request: Request) -> Response:
        chosen = request.query_params.getlist("run")
        if len(chosen) != 2:
            many = BadInput(
                f"{len(chosen)} runs were selected.",
                "exactly two",
                "Tick two runs, then press Compare.",
            )
            return HTMLResponse(gallery.page(state, notice=many), 422)
        return RedirectResponse("explorer?" + urlencode({"run": chosen[0], "with": chosen[1]}), 303)

    @app.get("/runs/{run_id}/picture.png")
    def picture(run_id: str) -> Response:
        from ui.runs.thumbnails import thumbnail

        entry = state.entry(run_id)
        try:
            drawn = thumbnail(entry)
        except Exception:
            # One run that cannot be drawn must not leave a hole in the page.
            log.exception("the picture of %s could not be drawn", entry.path)
            drawn = None
        kind = "image/png" if drawn is not None else "image/svg+xml"
        return Response(
            drawn if drawn is not None else _NO_PICTURE,
            media_type=kind,
            headers={"Cache-Control": "max-age=300"},
        )

    @app.get("/runs/{run_id}/views/{title:path}")
    def view(run_id: str, title: str, picture: int | None = None) -> JSONResponse:
        made = state.drawings.fragment(state.entry(run_id).path, title)
        return JSONResponse(asdict(made if picture is None else made.picture(max(0, picture))))

    @app.get("/runs/{run_id}/report.html")
    def report(run_id: str, download: bool = False) -> HTMLResponse:
        from ui.report.write import write
        from workbench.result import Result

        result = Result.open(state.entry(run_id).path)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "report.html"
            write(result, file)
            text = file.read_text(encoding="utf-8")
        return HTMLResponse(text, headers=_as_file(result.title) if download else {})


def _as_file(title: str) -> dict[str, str]:
    """The header that makes a browser keep the page as a file, named after the run."""
    name = re.sub(r"[^\w.()-]+", " ", title).strip(" .")[:100].strip() or "report"
    plain = name.encode("ascii", "ignore").decode().strip() or "report"
    exact = quote(f"{name}.html", safe="")
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}.html\"; filename*=utf-8''{exact}"
    }


def _add_actions(app: FastAPI, state: AppState) -> None:
    @app.post("/runs/open")
    async def open_folder(request: Request) -> JSONResponse:
        def do(body: _Path) -> dict[str, Any]:
            if not state.local_paths:
                raise Unfit(
                    "Folders cannot be opened by their path here: whoever reaches this workbench"
                    " over the network could read other people's files.",
                    "a workbench with a password, or one that only this machine reaches",
                    "Start it with --password, or put the folder among the runs on the server.",
                )
            return {"run": run_links.open_folder(body.path, state.root)}

        return await _answer(request, _Path, do)

    @app.post("/runs/{run_id}/labels")
    async def label(run_id: str, request: Request) -> JSONResponse:
        def do(body: _Labels) -> dict[str, Any]:
            return asdict(run_labels.write(state.entry(run_id).path, **body.model_dump()))

        return await _answer(request, _Labels, do)

    @app.post("/runs/{run_id}/stop")
    async def stop(run_id: str, request: Request) -> JSONResponse:
        return await _answer(request, _Nothing, lambda _: grids.stop(state, run_id))

    @app.post("/runs/{run_id}/delete")
    async def delete(run_id: str, request: Request) -> JSONResponse:
        return await _answer(
            request,
            _Nothing,
            lambda _: {"trash": run_trash.delete(run_id, state.root)},
        )

    @app.post("/trash/empty")
    async def empty(request: Request) -> JSONResponse:
        return await _answer(request, _Nothing, lambda _: {"removed": run_trash.empty(state.root)})

    @app.post("/trash/{run_id}/restore")
    async def restore(run_id: str, request: Request) -> JSONResponse:
        return await _answer(
            request,
            _Nothing,
            lambda _: {"run": run_trash.restore(run_id, state.root)},
        )


async def _answer(
    request: Request, form: type[Body], do: Callable[[Body], dict[str, Any]]
) -> JSONResponse:
    """What `do` gives for a JSON body; an error as what, expected and do."""
    try:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise BadInput("This is no JSON.", "Content-Type: application/json")
        try:
            body = form.model_validate_json(await request.body())
        except pydantic.ValidationError as error:
            raise BadInput(
                f"The request does not fit: {error.errors()[0]['msg']}.",
                f"JSON with {', '.join(form.model_fields) or 'nothing in it'}",
            ) from error
        return JSONResponse(await run_in_threadpool(do, body))
    except WorkbenchError as error:
        status = 404 if isinstance(error, NotFound) else 403 if isinstance(error, Unfit) else 422
        words = {"what": error.what, "expected": error.expected, "do": error.do}
        return JSONResponse(words, status)
