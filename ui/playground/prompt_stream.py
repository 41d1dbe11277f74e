"""Answers for the first tab of the Playground, as they come: only the latest request of a page is
worked on.

The work runs in a thread of its own and hands over HTML whenever there is more to show, so that a
continuation can be read while it is written; the browser's request only passes it on.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hooks.prompts import Prompt, tokenize
from ui.app_state import AppState
from ui.playground import html_parts, prompt_service
from workbench.errors import NotFound, WorkbenchError
from workbench.models.conversation import typed

DEBOUNCE = 0.12  # seconds: while keys are pressed faster than this, only the last state is computed
REMEMBERED = 64
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PromptRequest:
    """What stands on the page."""

    prompt: str
    memory: str = ""
    context: str = ""
    off: tuple[str, ...] = ()
    run: str | None = None
    control: str | None = None
    value: float | None = None
    length: int = 0
    chat: bool = False

    @property
    def given(self) -> Prompt:
        """The prompt as the model gets it."""
        return typed(self.prompt, self.chat)


@dataclass(frozen=True)
class UIUpdate:
    """What the page shows next; None leaves that part as it is."""

    answer: str | None = None
    note: str = ""
    error_box: str = ""


class Tickets:
    """Which request of each browser tab is its latest; an older one finds out that nobody waits for
    it any more.

    The browser stamps each request with its own clock: requests of one tab may reach the server in
    another order.
    """

    def __init__(self, keep: int = 500) -> None:
        self._latest: OrderedDict[str, float] = OrderedDict()
        self._keep = keep
        self._lock = threading.Lock()

    def take(self, session: str, stamp: float) -> Callable[[], bool]:
        """A request of this tab; what is returned says whether it is still the latest."""
        with self._lock:
            self._latest[session] = max(stamp, self._latest.pop(session, stamp))
            while len(self._latest) > self._keep:
                self._latest.popitem(last=False)
        return lambda: self._latest.get(session, stamp) == stamp


def change_for(
    app: AppState, off: Sequence[str], run_id: str | None, control: str | None, value: float | None
) -> prompt_service.ModelChange:
    """What a page or a program asks to be done to the model.

    Raises:
        BadInput, NotFound, BadRun: a head, run or control that there is not.
    """
    model = app.slot.need()
    heads = prompt_service.heads_from(off, model)
    if not run_id:
        return prompt_service.ModelChange(heads)
    controls = prompt_service.controls_of(prompt_service.open_cached(app.entry(run_id).path), model)
    name = control or next(iter(controls), None)
    if name is None:
        return prompt_service.ModelChange(heads)
    if name not in controls:
        raise NotFound.named("control of this run", name, controls)
    return prompt_service.ModelChange(
        heads, controls[name], controls[name].neutral if value is None else float(value)
    )


class Answerer:
    """Answers the pages of one server."""

    def __init__(self, app: AppState) -> None:
        self._app = app
        self._tickets = Tickets()
        # The unchanged side is the same for every head and every dial: it is computed once per
        # prompt.
        self._looked: OrderedDict[tuple[str, str, str, bool], prompt_service.PromptOutput] = (
            OrderedDict()
        )
        self._texts: OrderedDict[tuple[str, int, bool], str] = OrderedDict()

    def answer(
        self, session: str, asked: PromptRequest, stamp: float | None = None
    ) -> Iterator[UIUpdate]:
        """What to show, as it comes; nothing once a newer request of this session is there.

        `stamp` orders the requests of a session; without one they count in the order they come.
        """
        alive = self._tickets.take(session, time.time() if stamp is None else stamp)
        time.sleep(DEBOUNCE)
        if not alive() or self._app.slot.state == "loading":
            return
        steps: queue.SimpleQueue[UIUpdate | None] = queue.SimpleQueue()
        threading.Thread(
            target=self._explained, args=(asked, alive, steps.put), daemon=True
        ).start()
        while (step := steps.get()) is not None:
            while not steps.empty():  # what piled up while the browser was busy is out of date
                newer = steps.get()
                if newer is None:
                    yield step
                    return
                step = newer
            if alive():
                yield step

    def _explained(
        self,
        asked: PromptRequest,
        alive: Callable[[], bool],
        show: Callable[[UIUpdate | None], None],
    ) -> None:
        try:
            self._work(asked, alive, show)
        except WorkbenchError as problem:
            show(UIUpdate(error_box=html_parts.error(problem)))
        except Exception as problem:
            log.exception("trying a prompt failed")
            what = f"That did not work: {type(problem).__name__}."
            show(
                UIUpdate(
                    error_box=html_parts.error(
                        WorkbenchError(what, do="The server's log says more. Try another prompt.")
                    )
                )
            )
        finally:
            show(None)

    def _work(
        self,
        asked: PromptRequest,
        alive: Callable[[], bool],
        show: Callable[[UIUpdate | None], None],
    ) -> None:
        model = self._app.slot.need()
        if not asked.prompt.strip():
            show(UIUpdate(html_parts.Comparison().html()))
            return
        change = change_for(self._app, asked.off, asked.run, asked.control, asked.value)
        while not model.lock.acquire(timeout=1.5):
            if not alive():
                return
            show(
                UIUpdate(
                    note=html_parts.status_line(
                        f"{self._who()}; the answer comes as soon as it is free.", busy=True
                    )
                )
            )
        try:
            before, after = self._unchanged(model, asked), None
            if change.active:
                with change.on(model):
                    after = prompt_service.read_prompt(
                        model, asked.given, (asked.memory, asked.context)
                    )
            view = html_parts.Comparison(before, after, change.says(), writing=asked.length > 0)
            past = model.past_window(len(tokenize(model, asked.given).ids) + asked.length)
            show(UIUpdate(view.html(), html_parts.status_line(past) if past else ""))
            if not asked.length:
                return

            def going_on() -> bool:
                # A run that waits for the model goes first: a continuation is easily asked for
                # again.
                return alive() and self._app.jobs.running() is None

            def left(text: str) -> None:
                show(UIUpdate(replace(view, texts=(text, None)).html()))

            text = self._unchanged_text(model, asked, going_on, left)
            view = replace(view, texts=(text, None))
            if change.active and going_on():
                with change.on(model):
                    changed = prompt_service.continuation(
                        model,
                        asked.given,
                        asked.length,
                        going_on,
                        lambda t: show(UIUpdate(replace(view, texts=(text, t)).html())),
                    )
                view = replace(view, texts=(text, changed))
        finally:
            model.lock.release()
        if alive() and self._app.jobs.running() is not None:
            past = "A run took the model; the text stops where it was."
        note = html_parts.status_line(past) if past else ""
        show(UIUpdate(replace(view, writing=False).html(), note))

    def _who(self) -> str:
        job = self._app.jobs.running()
        return (
            f"{job.analysis} has the model ({100 * job.fraction:.0f} %)"
            if job is not None
            else "The model is busy with another prompt"
        )

    def _unchanged(self, model: Any, asked: PromptRequest) -> prompt_service.PromptOutput:
        key = (asked.prompt, asked.memory, asked.context, asked.chat)
        if key not in self._looked:
            self._looked[key] = prompt_service.read_prompt(
                model, asked.given, (asked.memory, asked.context)
            )
            while len(self._looked) > REMEMBERED:
                self._looked.popitem(last=False)
        return self._looked[key]

    def _unchanged_text(
        self,
        model: Any,
        asked: PromptRequest,
        alive: Callable[[], bool],
        more: Callable[[str], None],
    ) -> str:
        key = (asked.prompt, asked.length, asked.chat)
        if key in self._texts:
            return self._texts[key]
        text = prompt_service.continuation(model, asked.given, asked.length, alive, more)
        if alive():
            self._texts[key] = text
            while len(self._texts) > REMEMBERED:
                self._texts.popitem(last=False)
        return text
