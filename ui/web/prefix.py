"""A workbench at a path of its own behind a proxy: https://example.org/lab/ instead of
https://example.org/.

Proxies differ in whether they pass the prefix on; either is understood. Links in pages are relative
to the page, so that what a browser asks for begins with the prefix without the pages knowing it.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from workbench.errors import BadInput

_PARTS = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


def checked(root_path: str) -> str:
    """The prefix as "/lab": with a slash in front and none behind; "" for none.

    Raises:
        BadInput: it is no path of plain names.
    """
    found = "/" + root_path.strip("/") if root_path.strip("/") else ""
    if not _PARTS.fullmatch(found) or any(part in {".", ".."} for part in found.split("/")):
        expected = "the path under which a proxy shows the workbench, like /lab or /user/ann/lab"
        raise BadInput(
            f"{root_path!r} is no path.",
            expected,
            "Letters, digits and . _ ~ - between slashes; no address.",
        )
    return found


def route_of(scope: Scope) -> str:
    """The path of a request without the prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class Prefix:
    """ASGI middleware: whatever comes, the application sees the prefix as its `root_path`, and a
    path that begins with it.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app, self.root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            path = scope["path"]
            if path != self.root_path and not path.startswith(f"{self.root_path}/"):
                path = self.root_path + path
            scope = {**scope, "root_path": self.root_path, "path": path}
        await self.app(scope, receive, send)
