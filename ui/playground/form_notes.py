"""What a form says before it is run: how its text is cut, how long that takes and how much memory.

Both follow what is typed, and the model that is there; nothing is asked for a form out of view.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from ui import estimates
from ui.app_state import AppState
from ui.playground import html_parts
from ui.playground.theme import AT_ONCE, PLAIN
from workbench.errors import WorkbenchError
from workbench.registry import Analysis

# The line asks for what it says when it comes into view, and once there is another model. The
# browser goes on marking all fields of an event as loading or not, each with a walk through the
# page's tree: asked for all forms at once, every tick of a clock took it a second of work.
_SEEN = """
let shown = false;
new ResizeObserver(() => {
  const before = shown;
  shown = element.offsetParent !== null;
  if (shown && !before) trigger('seen', {});
}).observe(element);
addEventListener('wb-model', () => { if (element.offsetParent) trigger('seen', {}); });
"""
TELL_FORMS = "() => { dispatchEvent(new Event('wb-model')); }"
"""To run in the page once there is another model."""


class FormNotes:
    """Call `takes` and `preview` where these are to stand, then `wire` once the form is there.

    Args:
        name: ends the ids of both.
    """

    def __init__(self, app: AppState, analysis: Analysis, name: str) -> None:
        self._app, self._analysis, self._name = app, analysis, name
        self._takes: Any = None
        self._preview: Any = None

    def takes(self) -> Any:
        """Lay out the line of time and memory."""
        self._takes = gr.HTML(
            estimates.line(self._analysis, None, {}),
            elem_id=f"takes-{self._name}",
            min_width=160,
            js_on_load=_SEEN,
            **PLAIN,
        )
        return self._takes

    def preview(self) -> Any:
        """Lay out the place of the preview; it is empty where the analysis has none."""
        self._preview = gr.HTML(
            "", elem_id=f"preview-{self._name}", visible=self._analysis.has_preview, **PLAIN
        )
        return self._preview

    def wire(self, inputs: Sequence[Any], asked: Callable[..., Mapping[str, Any]]) -> None:
        """Have both follow the inputs, of which `asked` makes parameters."""

        def say(*raw: Any) -> list[str]:
            model = self._app.slot.model
            try:
                values = asked(*raw)
                takes = estimates.line(self._analysis, model, values)
                return [takes, html_parts.preview_html(self._analysis, model, values)]
            except WorkbenchError:  # something that is being typed; its own message comes with Run
                return ["", ""]

        shown = [self._takes, self._preview]
        changes = [component.change for component in inputs]
        gr.on(changes, say, list(inputs), shown, trigger_mode="always_last", **AT_ONCE)
        self._takes.seen(say, list(inputs), shown, trigger_mode="always_last", **AT_ONCE)
