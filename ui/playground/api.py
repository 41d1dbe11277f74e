"""The Playground for programs: named endpoints that `gradio_client` calls.

See docs/reference/api.md.
"""

# No `from __future__ import annotations`: Gradio shows the annotations of these functions as the
# endpoints' types.

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import gradio as gr

from hooks import prompt_output
from ui.app_state import AppState
from ui.jobs import Job
from ui.playground.prompt_stream import change_for
from workbench import registry
from workbench.errors import BadInput, WorkbenchError
from workbench.models.conversation import typed

T = TypeVar("T")


def add(app: AppState) -> None:
    """Register the endpoints; call it inside the `gr.Blocks`."""
    endpoints = _Endpoints(app)
    gr.api(endpoints.next_tokens, api_name="next_tokens", concurrency_limit=4)
    gr.api(endpoints.answers, api_name="answers", concurrency_limit=4)
    gr.api(endpoints.generate, api_name="generate", concurrency_limit=4)
    gr.api(endpoints.model, api_name="model")
    gr.api(endpoints.analyses, api_name="analyses")
    gr.api(endpoints.run, api_name="run", concurrency_limit=4)


def _explained(work: Callable[[], T]) -> T:
    """What the work gives. Only gr.Error's own message reaches a client; a stack trace never
    does.
    """
    try:
        return work()
    except WorkbenchError as error:
        raise gr.Error(str(error), print_exception=False) from error


class _Endpoints:
    """What programs may ask of one server."""

    def __init__(self, app: AppState) -> None:
        self._app = app

    def next_tokens(
        self,
        prompt: str,
        heads_off: list[str] | None = None,
        run: str | None = None,
        dial: float | None = None,
        k: int = 10,
        chat: bool = False,
    ) -> list[dict[str, Any]]:
        """The k likeliest next tokens as {"token", "probability"}. heads_off: ["L23H4", ...];
        run, dial, chat: see docs.
        """

        def work() -> list[dict[str, Any]]:
            model = self._app.slot.need()
            change = change_for(self._app, model, heads_off or [], run, None, dial)
            with model.lock, change.on(model):
                looked = prompt_output.read_prompt(
                    model, typed(prompt, chat), k=max(1, min(int(k), 100))
                )
            return [{"token": token, "probability": p} for token, p in looked.tokens]

        return _explained(work)

    def answers(
        self,
        prompt: str,
        memory: str,
        context: str,
        heads_off: list[str] | None = None,
        run: str | None = None,
        dial: float | None = None,
        chat: bool = False,
    ) -> dict[str, dict[str, Any]]:
        """How likely two answers are: {"memory": {"text", "first_token", "p_first", "logp",
        "n_tokens"}, "context": ...}.
        """

        def work() -> dict[str, dict[str, Any]]:
            if not memory.strip() or not context.strip():
                raise BadInput(
                    "An answer is empty.", "a memory answer and a context answer", "Give both."
                )
            model = self._app.slot.need()
            change = change_for(self._app, model, heads_off or [], run, None, dial)
            with model.lock, change.on(model):
                looked = prompt_output.read_prompt(model, typed(prompt, chat), (memory, context))
            return {
                side: vars(answer)
                for side, answer in zip(("memory", "context"), looked.answers, strict=True)
            }

        return _explained(work)

    def generate(
        self,
        prompt: str,
        heads_off: list[str] | None = None,
        run: str | None = None,
        dial: float | None = None,
        max_new_tokens: int = 40,
        chat: bool = False,
    ) -> str:
        """The greedy continuation of the prompt by the model as changed."""

        def work() -> str:
            model = self._app.slot.need()
            change = change_for(self._app, model, heads_off or [], run, None, dial)
            with model.lock, change.on(model):
                return prompt_output.continuation(
                    model, typed(prompt, chat), max(1, min(int(max_new_tokens), 1000))
                )

        return _explained(work)

    def model(self) -> dict[str, Any]:
        """The model that answers: {"name", "state", "weight_hash", "dtype", "device", "loading"};
        the last is the name of another one while that loads.
        """
        slot, loading = self._app.slot, self._app.shelf.loading
        card = getattr(slot.model, "card", None)
        return {
            "name": slot.name,
            "state": slot.state,
            **{key: getattr(card, key, None) for key in ("weight_hash", "dtype", "device")},
            "loading": loading.name if loading is not None else None,
        }

    def analyses(self) -> list[dict[str, Any]]:
        """Every question: {"name", "question", "unavailable_reason", "params"}, params as a JSON
        schema; what does not load has "broken".
        """
        good, broken = registry.all_analyses()
        model = self._app.slot.model
        listed: list[dict[str, Any]] = [
            {
                "name": a.name,
                "question": a.question,
                "unavailable_reason": a.unavailable_reason(model) if model is not None else None,
                "params": a.Params.model_json_schema(),
            }
            for a in good
        ]
        return listed + [{"name": name, "broken": reason} for name, reason in broken.items()]

    def run(
        self, analysis: str, params_json: str = "{}", seed: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Ask a question: {"run", "state", "model", "findings"} in the end, {"state", "model",
        "fraction", "says", "left"} until then.

        The run is kept in the runs folder; closing the connection does not stop it.
        """

        def begin() -> Job:
            try:
                values = json.loads(params_json or "{}")
            except ValueError as error:
                raise BadInput(
                    f"params_json is not JSON: {error}.", '{"name": value}', "Correct it."
                ) from error
            if not isinstance(values, dict):
                raise BadInput("params_json is not an object.", '{"name": value}', "Correct it.")
            return self._app.jobs.submit(analysis, values, None if seed is None else int(seed))

        job = _explained(begin)
        while not job.finished.wait(0.3):
            yield {
                "state": job.state,
                "model": job.model,
                "fraction": job.fraction,
                "says": job.says,
                "left": job.left,
            }
        if job.error is not None:
            raise gr.Error(str(job.error), print_exception=False)
        yield {
            "run": job.run_id,
            "state": job.state,
            "model": job.model,
            "findings": job.findings,
        }
