"""Who may talk to the server: own host name, own origin, password; and the headers that keep pages
to themselves.

A page of another site must not reach a workbench on the same machine: not through a name that
resolves to 127.0.0.1 (the Host header is checked), not by posting to it or opening its websockets
(the Origin header is checked). Bokeh's own origin check is not wired in under FastAPI, which is one
reason why this stands in front of everything.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.web.prefix import route_of

# What a proxy says about the address that the browser sees. Gradio builds links from it, so who may
# say it matters.
_FORWARDED = {
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-prefix",
}
_FORWARDED |= {
    b"x-forwarded-proto",
    b"x-forwarded-server",
    b"x-forwarded-scheme",
    b"x-forwarded-ssl",
}
_SAFE = {"GET", "HEAD", "OPTIONS"}

# Home is ours from end to end, so nothing inline is allowed there. Gradio's and Bokeh's pages bring
# inline scripts and build functions and modules from text; they are still held to this origin.
_STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src"
    " 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_APPS = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self'"
    " 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data:"
    " blob:; connect-src 'self' {socket}; worker-src 'self' blob:; form-action 'self'; base-uri"
    " 'self'; object-src 'none'; frame-ancestors {frames}"
)
# The documentation is ours and static, but its generator puts scripts and styles inline, and its
# search runs in a worker.
_DOCS = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; form-action"
    " 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A report is a file that may come from a stranger's run: it gets an origin of its own, and no
# network at all.
_REPORT = (
    "sandbox allow-scripts allow-downloads allow-popups; default-src 'none'; script-src"
    " 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; font-src"
    " data:; frame-ancestors 'none'"
)


def is_loopback(host: str) -> bool:
    """True for names and addresses that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware around the whole application.

    Args:
        app: what it guards.
        host: the address the server listens on; on loopback only loopback names are answered.
        password: with one, every request needs it (HTTP basic authentication; the user name does
            not matter).
        behind_proxy: believe the X-Forwarded headers; otherwise they are taken off, since anybody
            can send them.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str = "127.0.0.1",
        password: str | None = None,
        behind_proxy: bool = False,
    ) -> None:
        self.app = app
        self.local_only = is_loopback(host)
        self.password = password.encode() if password else None
        self.behind_proxy = behind_proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        if not self.behind_proxy:
            scope = {
                **scope,
                "headers": [pair for pair in scope["headers"] if pair[0].lower() not in _FORWARDED],
            }
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 4403, "reason": ""})
            else:
                await refusal(scope, receive, send)
            return
        await self.app(
            scope, receive, _with_headers(send, route_of(scope), headers.get("host", ""))
        )

    def _refusal(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        host = headers.get("host", "")
        name = _host_name(host)
        if self.local_only and not is_loopback(name):
            return PlainTextResponse("This workbench answers only to localhost and 127.0.0.1.", 400)
        origin = headers.get("origin")
        acts = scope["type"] == "websocket" or scope["method"] not in _SAFE
        # "null" (sandboxed frames, files) is a foreign origin too. Only a proxy that is believed
        # still has this header, and it may have put a host of its own into the other.
        seen = headers.get("x-forwarded-host", host).split(",")[0].strip()
        if acts and origin is not None and urlsplit(origin).netloc.lower() != seen.lower():
            return PlainTextResponse("Requests from other sites are refused.", 403)
        if self.password is not None and not self._knows(headers.get("authorization", "")):
            challenge = {"WWW-Authenticate": 'Basic realm="Memory Workbench", charset="UTF-8"'}
            return PlainTextResponse("A password is needed.", 401, challenge)
        return None

    def _knows(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            given = b""
        assert self.password is not None
        # Compared in constant time, so that answering times say nothing about the password.
        return hmac.compare_digest(given, self.password) and scheme.lower() == "basic"


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _with_headers(send: Send, path: str, host: str) -> Send:
    framed = path == "/explorer"
    if path.endswith("/report.html"):
        policy = _REPORT
    elif path.startswith(("/playground", "/explorer")):
        # The Playground shows a run's Explorer in a frame; no page of another origin may.
        policy = _APPS.format(
            socket=f"ws://{host} wss://{host}", frames="'self'" if framed else "'none'"
        )
    elif path.startswith("/docs/"):
        policy = _DOCS
    else:
        policy = _STRICT

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Any = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = policy
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "same-origin"
            headers["X-Frame-Options"] = "SAMEORIGIN" if framed else "DENY"
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
        await send(message)

    return sending
