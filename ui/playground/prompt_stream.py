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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hooks import model_change, prompt_output
from hooks.prompts import Prompt, tokenize
from ui.app_state import AppState
from ui.jobs import Job
from ui.model_routes import checked
from ui.model_slot import ModelSlot
from ui.playground import finished_runs, html_parts
from workbench.errors import WorkbenchError
from workbench.models.conversation import typed
from workbench.wording import percent

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
    second: str = ""
    """Another model that is given the same prompt, by its reference; "" for none."""

    @classmethod
    def of_page(
        cls,
        prompt: str | None,
        chat: bool | None,
        memory: str | None,
        context: str | None,
        heads: Mapping[str, Any] | None,
        run: str | None,
        control: str | None,
        value: float | None,
        length: float | None,
        second: str | None,
    ) -> PromptRequest:
        """From what the components of the tab hold, in their order."""
        return cls(
            prompt or "",
            memory or "",
            context or "",
            tuple((heads or {}).get("off") or ()),
            run,
            control,
            value,
            int(length or 0),
            bool(chat),
            second or "",
        )

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
    app: AppState,
    model: Any,
    off: Sequence[str],
    run_id: str | None,
    control: str | None,
    value: float | None,
) -> model_change.ModelChange:
    """What a page or a program asks to be done to the model.

    Raises:
        BadInput, NotFound, BadRun: a head, run or control that there is not.
    """
    result = finished_runs.open_cached(app.entry(run_id).path) if run_id else None
    return model_change.change_of(model, off, result, control or "", value)


class Answerer:
    """Answers the pages of one server."""

    def __init__(self, app: AppState) -> None:
        self._app = app
        self._tickets = Tickets()
        # The unchanged side is the same for every head and every dial: it is computed once per
        # prompt.
        self._looked: OrderedDict[tuple[Any, ...], prompt_output.PromptOutput] = OrderedDict()
        self._texts: OrderedDict[tuple[Any, ...], str] = OrderedDict()

    def answer(
        self, session: str, request: PromptRequest, stamp: float | None = None
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
            target=self._explained, args=(request, alive, steps.put), daemon=True
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
        request: PromptRequest,
        alive: Callable[[], bool],
        show: Callable[[UIUpdate | None], None],
    ) -> None:
        try:
            self._work(request, alive, show)
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
        request: PromptRequest,
        alive: Callable[[], bool],
        show: Callable[[UIUpdate | None], None],
    ) -> None:
        slot = self._app.slot
        slot.need()
        if not request.prompt.strip():
            show(UIUpdate(html_parts.Comparison().html()))
            return
        called = {str(slot.ref): slot.name for slot in self._app.shelf.loaded()}
        name = called.get(request.second, request.second)
        second = html_parts.SecondModel(name) if name else None
        with self._app.shelf.using(slot):
            answered = self._current(slot, request, second, alive, show)
        if answered is None:
            return
        view, note = answered
        problem = ""
        if second is not None and alive():
            try:
                view = self._beside(request, view, note, alive, show)
            except WorkbenchError as error:  # the current model has answered all the same
                view, problem = replace(view, second=None), html_parts.error(error)
        show(UIUpdate(replace(view, writing=False).html(), note, problem))

    def _current(
        self,
        slot: ModelSlot,
        request: PromptRequest,
        second: html_parts.SecondModel | None,
        alive: Callable[[], bool],
        show: Callable[[UIUpdate | None], None],
    ) -> tuple[html_parts.Comparison, str] | None:
        """What the current model says, as it is and as changed, with a note; None once nobody waits
        for it.
        """
        model = slot.need()
        change = change_for(
            self._app, model, request.off, request.run, request.control, request.value
        )
        if not self._acquired(slot, alive, show):
            return None
        try:
            before, after = self._unchanged(slot, request), None
            if change.active:
                with change.on(model):
                    after = prompt_output.read_prompt(
                        model, request.given, (request.memory, request.context)
                    )
            view = html_parts.Comparison(
                before,
                after,
                change.says(),
                writing=request.length > 0,
                name=slot.name,
                second=second,
            )
            past = model.past_window(len(tokenize(model, request.given).ids) + request.length)
            show(UIUpdate(view.html(), html_parts.status_line(past) if past else ""))

            def going_on() -> bool:
                # A run that waits for the model goes first: a continuation is easily asked for
                # again.
                return alive() and self._job_on(slot) is None

            def left(text: str) -> None:
                show(UIUpdate(replace(view, texts=(text, None)).html()))

            if request.length:
                text = self._unchanged_text(slot, request, going_on, left)
                view = replace(view, texts=(text, None))
            if request.length and change.active and going_on():
                with change.on(model):
                    changed = prompt_output.continuation(
                        model,
                        request.given,
                        request.length,
                        going_on,
                        lambda t: show(UIUpdate(replace(view, texts=(text, t)).html())),
                    )
                view = replace(view, texts=(text, changed))
        finally:
            model.lock.release()
        if request.length and alive() and self._job_on(slot) is not None:
            past = "A run took the model; the text stops where it was."
        return view, html_parts.status_line(past) if past else ""

    def _beside(
        self,
        request: PromptRequest,
        view: html_parts.Comparison,
        note: str,
        alive: Callable[[], bool],
        show: Callable[[UIUpdate | None], None],
    ) -> html_parts.Comparison:
        """The same with what a second model says, which is loaded first if it has to be."""
        slot = self._app.shelf.get(checked(self._app, request.second))
        with self._app.shelf.using(slot):
            while not slot.wait(0.3):
                if not alive():
                    return view
                says = slot.says or f"Loading {slot.name}"
                show(UIUpdate(note=html_parts.status_line(says, busy=True)))
            model = slot.need()
            if not self._acquired(slot, alive, show):
                return view
            try:
                looked = self._unchanged(slot, request)
                second = html_parts.SecondModel(slot.name, looked)
                view = replace(view, second=second)
                show(UIUpdate(view.html(), note))
                if not request.length:
                    return view

                def more(text: str) -> None:
                    show(UIUpdate(replace(view, second=replace(second, text=text)).html()))

                text = self._unchanged_text(
                    slot, request, lambda: alive() and self._job_on(slot) is None, more
                )
                return replace(view, second=replace(second, text=text))
            finally:
                model.lock.release()

    def _acquired(
        self,
        slot: ModelSlot,
        alive: Callable[[], bool],
        show: Callable[[UIUpdate | None], None],
    ) -> bool:
        """Wait for a model that others use, and say so; False once nobody waits for the answer."""
        while not slot.need().lock.acquire(timeout=1.5):
            if not alive():
                return False
            says = f"{self._who(slot)}; the answer comes as soon as it is free."
            show(UIUpdate(note=html_parts.status_line(says, busy=True)))
        return True

    def _job_on(self, slot: ModelSlot) -> Job | None:
        """The run that has this model now, if any."""
        job = self._app.jobs.running()
        return job if job is not None and job.slot is slot else None

    def _who(self, slot: ModelSlot) -> str:
        job = self._job_on(slot)
        return (
            f"“{job.title}” has the model ({percent(job.fraction)})"
            if job is not None
            else "The model is busy with another prompt"
        )

    def _unchanged(self, slot: ModelSlot, request: PromptRequest) -> prompt_output.PromptOutput:
        key = (slot.serial, request.prompt, request.memory, request.context, request.chat)
        if key not in self._looked:
            self._looked[key] = prompt_output.read_prompt(
                slot.need(), request.given, (request.memory, request.context)
            )
            while len(self._looked) > REMEMBERED:
                self._looked.popitem(last=False)
        return self._looked[key]

    def _unchanged_text(
        self,
        slot: ModelSlot,
        request: PromptRequest,
        alive: Callable[[], bool],
        more: Callable[[str], None],
    ) -> str:
        key = (slot.serial, request.prompt, request.length, request.chat)
        if key in self._texts:
            return self._texts[key]
        text = prompt_output.continuation(slot.need(), request.given, request.length, alive, more)
        if alive():
            self._texts[key] = text
            while len(self._texts) > REMEMBERED:
                self._texts.popitem(last=False)
        return text
