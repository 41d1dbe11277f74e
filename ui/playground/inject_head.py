"""Puts the shared head and header into the page that Gradio serves, before the browser gets it.

Gradio would insert both with a script after it has started: the page would flash in the wrong
colours and jump when the header comes. Its page also names pictures and a manifest of other places,
which have no business here.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.web import style
from ui.web.prefix import route_of

PATH = "/playground/"
_FOREIGN = re.compile(
    r'<meta\s+(?:property|name)="(?:og|twitter):[^>]*>|<link rel="manifest"[^>]*>', re.DOTALL
)
_BODY = re.compile(r"<body\b[^>]*>", re.DOTALL)


def inject(page: str) -> str:
    """Gradio's page with our head in front and our header on top of the body."""
    page = _FOREIGN.sub("", page)
    own = '<link rel="icon" href="../assets/mark.svg" type="image/svg+xml">'
    own += '<link rel="stylesheet" href="../assets/playground.css">'
    head = f"<head>{style.head_html('../')}{own}<title>Playground · Memory Workbench</title>"
    page = page.replace("<head>", head, 1)
    skip = '<a class="wb-skip" href="#playground-main">Skip to the content</a>'
    return _BODY.sub(
        lambda body: body[0] + skip + style.header_html("playground", "../"), page, count=1
    )


class InjectHead:
    """ASGI middleware; anything but the Playground's page passes through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or route_of(scope) != PATH or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def sending(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body") or start is None:
                return
            headers = {k.lower(): v for k, v in start["headers"]}
            if start["status"] == 200 and headers.get(b"content-type", b"").startswith(
                b"text/html"
            ):
                body = inject(body.decode("utf-8")).encode("utf-8")
                headers[b"content-length"] = str(len(body)).encode()
                start["headers"] = list(headers.items())
            await send(start)
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, sending)
