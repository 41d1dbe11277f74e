"""The server: Home at /, runs at /runs, Playground at /playground, Explorer at /explorer, the
documentation at /docs; one process, one port.

serve()   what `workbench ui` calls: binds, prints the address, opens the browser, stops cleanly on
          Ctrl-C
build()   the application alone, for tests and for running under a server of your own
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import threading
import webbrowser
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from ui import model_routes
from ui.app_state import AppState
from ui.jobs import Jobs
from ui.model_shelf import ModelShelf
from ui.model_slot import Load
from ui.runs import drawn_files
from ui.runs.render_cache import RenderCache
from ui.web import documentation, prefix, style
from ui.web.prefix import route_of
from ui.web.security import Guard, is_loopback
from workbench import __version__
from workbench.errors import NotFound, WorkbenchError
from workbench.grid.engine import Loading

PORT = 7860
NEWEST = 4
"""How many of the user's runs are drawn ahead when the server starts; the sample runs come after
them.
"""
log = logging.getLogger(__name__)


def serve(
    host: str = "127.0.0.1",
    port: int | None = None,
    model: Any = "smollm2-135m",
    runs: str | Path | None = None,
    open_browser: bool = True,
    password: str | None = None,
    behind_proxy: bool = False,
    root_path: str = "",
    loading: Loading | None = None,
) -> None:
    """Run the workbench until Ctrl-C.

    Args:
        host: the address to listen on; any but this machine's own needs a password.
        port: None is 7860.
        model: anything `wb.load` takes; it loads while the pages are up already.
        runs: the runs folder; None is the user's.
        open_browser: open Home once the server answers.
        password: asked for on every page (any user name).
        behind_proxy: believe what a proxy in front says in X-Forwarded headers.
        root_path: the path under which that proxy shows the workbench, like "/lab".
        loading: how every model is loaded; None is as `wb.load` does by itself.

    Raises:
        BadInput: `root_path` is no path, or models cannot be loaded so.
        WorkbenchError: the port is in use or not allowed, the address is not this machine's, or a
            password is missing.
    """
    import uvicorn

    if not is_loopback(host) and not password:
        raise WorkbenchError(
            f"Listening on {host} would let others on the network use this workbench without a"
            " password.",
            "a password for any address but 127.0.0.1",
            "Add --password, or leave --host out.",
        )
    port = PORT if port is None else port
    # Bound before the model loads: a port in use is known at once.
    with _bound(host, port) as listening:
        port = listening.getsockname()[1]
        app = build(
            model,
            runs,
            host=host,
            password=password,
            behind_proxy=behind_proxy,
            root_path=root_path,
            loading=loading,
        )
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=3,
            lifespan="on",
            proxy_headers=behind_proxy,
        )
        server = uvicorn.Server(config)
        shown = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host
        address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
        threading.Thread(
            target=_announce, args=(server, address, open_browser), daemon=True
        ).start()
        # uvicorn raises the signal again after its own clean stop; by then there is nothing left to
        # interrupt.
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
    print("Stopped.", flush=True)


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket, or a `WorkbenchError` that says what to do."""
    try:
        family = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        what = f"{host!r} is not an address of this machine."
        raise WorkbenchError(what, "127.0.0.1 or a host name", "Correct --host.") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise WorkbenchError(
                f"Port {port} is in use, perhaps by a workbench that is running already.",
                "a free port",
                f"Open http://127.0.0.1:{port}/ to see, or choose another one: workbench ui --port"
                f" {min(port + 1, 65535)}",
            ) from error
        if getattr(error, "errno", None) == errno.EACCES:
            what = f"Port {port} needs administrator rights."
            raise WorkbenchError(what, "a port above 1023", "Choose one: --port 7860") from error
        raise WorkbenchError(
            f"Cannot listen on {host} port {port}: {getattr(error, 'strerror', None) or error}.",
            "an address of this machine and a port from 1 to 65535",
            "Correct --host or --port.",
        ) from error
    return listening


def _announce(server: Any, address: str, open_browser: bool) -> None:
    while not server.started:
        if server.should_exit:
            return
        threading.Event().wait(0.05)
    print(f"Memory Workbench is open at {address}   (Ctrl-C stops it)", flush=True)
    if open_browser:
        webbrowser.open(address)


def build(
    model_ref: Any = "smollm2-135m",
    runs: str | Path | None = None,
    *,
    host: str = "127.0.0.1",
    password: str | None = None,
    behind_proxy: bool = False,
    root_path: str = "",
    load: Load | None = None,
    loading: Loading | None = None,
) -> FastAPI:
    """The whole application; the model begins to load when it starts.

    `app.state.app_state` is the shared `AppState`.

    Args:
        model_ref, runs, host, password, behind_proxy, root_path, loading: see `serve`.
        load: how to load the model; None is `wb.load`.
    """
    # Gradio reads this once, while it is imported: no request may leave this machine.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from ui.playground import app as playground

    root_path = prefix.checked(root_path)
    root = Path(runs) if runs is not None else None
    shelf = ModelShelf(model_ref, load, loading=loading)
    drawings = RenderCache(drawn_files.of_this_machine())
    # What a proxy in front lets through is not known here.
    alone = is_loopback(host) and not behind_proxy and not root_path
    jobs = Jobs(shelf, root, saved=drawings.ahead)
    state = AppState(shelf, jobs, root, drawings, local_paths=alone or password is not None)

    @contextlib.asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        shelf.start()
        threading.Thread(target=_warm_up, args=(state,), daemon=True).start()
        yield
        drawings.stop()
        for job in state.jobs.stop():
            kept = (
                f"what it had found is kept as {job.run_id}"
                if job.run_id
                else "there was nothing to keep yet"
            )
            print(f"Cancelled {job.analysis}: {kept}.", flush=True)

    app = FastAPI(
        title="Memory Workbench", docs_url=None, redoc_url=None, openapi_url=None, lifespan=life
    )
    app.state.app_state = state
    _add_pages(app, state)
    model_routes.add(app, state)
    app.mount("/assets", StaticFiles(directory=style.STATIC), name="assets")
    documentation.mount(app)
    _add_explorer(app, state)
    playground.mount(app, state, root_path)
    app.add_middleware(Guard, host=host, password=password, behind_proxy=behind_proxy)
    if root_path:
        app.add_middleware(prefix.Prefix, root_path=root_path)
    return app


def _warm_up(state: AppState) -> None:
    """After the model is in: import what the Explorer draws with, and have the runs drawn that
    are likely to be opened.
    """
    state.slot.wait()
    import ui.explorer.page  # noqa: F401

    entries = [entry for entry in state.entries() if not entry.problem]
    newest = [entry for entry in entries if not entry.sample][:NEWEST]
    state.drawings.ahead(
        *(entry.path for entry in [*newest, *(entry for entry in entries if entry.sample)])
    )


def _way_home(request: Request) -> str:
    """From the address of a request to Home."""
    return "../" * (route_of(request.scope).count("/") - 1)


def _add_explorer(app: FastAPI, state: AppState) -> None:
    from panel.io.fastapi import add_applications

    def page() -> Any:
        from ui.explorer.app import application

        return application(state.root, state.drawings)()

    add_applications({"/explorer": page}, app=app, title="Explorer · Memory Workbench")


def _add_pages(app: FastAPI, state: AppState) -> None:
    from ui import home, run_routes

    run_routes.add(app, state)

    @app.get("/")
    def home_page() -> HTMLResponse:
        return HTMLResponse(home.page(state))

    @app.get("/healthz")
    def health() -> dict[str, Any]:
        model = {
            "state": state.slot.state,
            "name": state.slot.name,
            "seconds": round(state.slot.seconds, 1),
        }
        return {"status": "ok", "version": __version__, "model": model}

    @app.get("/favicon.ico")
    def icon() -> FileResponse:
        return FileResponse(style.STATIC / "mark.svg", media_type="image/svg+xml")

    @app.exception_handler(WorkbenchError)
    def explained(request: Request, error: WorkbenchError) -> HTMLResponse:
        return HTMLResponse(
            home.error_page(error, _way_home(request)), 404 if isinstance(error, NotFound) else 422
        )

    @app.exception_handler(HTTPException)
    def not_there(request: Request, error: HTTPException) -> HTMLResponse:
        nothing = NotFound(
            f"There is nothing at {route_of(request.scope)}.", "", "Start from Home."
        )
        return HTMLResponse(home.error_page(nothing, _way_home(request)), error.status_code)

    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> HTMLResponse:
        log.error("%s failed", request.url.path, exc_info=error)
        do = "The server's log says more; other pages still work."
        mistake = WorkbenchError("The workbench made a mistake on this page.", "", do)
        return HTMLResponse(home.error_page(mistake, _way_home(request)), 500)
