"""Answers that no stream brings: noticed by the server, and fetched by the page.

Gradio closes the stream of a page when nothing is left in its queue. A request that joins at this
very moment is worked on, but the page believes its stream to be open and never asks for the answer.
What waits at the server while nobody reads it shows that; any further request of the page opens a
stream again, and all answers come with it.
"""

from __future__ import annotations

import time
from typing import Any

import gradio as gr

from ui.playground.theme import AT_ONCE, QUIET

SECONDS = 1.0  # between two looks; an answer that was seen waiting twice is fetched


class Waiting:
    """Which pages have an answer waiting for them, and since when."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def late(self, session: str, unread: int) -> bool:
        """Whether something has waited for this page for as long as `SECONDS`.

        `unread` is how much waits now.
        """
        if not unread:
            self._since.pop(session, None)
            return False
        if time.monotonic() - self._since.setdefault(session, time.monotonic()) < SECONDS / 2:
            return False
        del self._since[session]
        return True


def recover_events(page: gr.Blocks) -> None:
    """Let the page fetch what was not brought; call it inside the `gr.Blocks`, which is given as
    `page`.
    """
    waiting = Waiting()
    reopen = gr.Number(visible=False)

    def look(request: gr.Request) -> Any:
        session = request.session_hash or ""
        messages = page._queue.pending_messages_per_session.get(session)
        return (
            time.time()
            if waiting.late(session, 0 if messages is None else messages.qsize())
            else gr.skip()
        )

    gr.Timer(SECONDS).tick(look, None, reopen, **AT_ONCE)
    reopen.change(lambda: None, None, None, **QUIET)
