"""What a form says before it is run: how its text is cut, how long that takes and how much memory.

Both follow what is typed, and the model that is there.
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
            **PLAIN,
        )
        return self._takes

    def preview(self) -> Any:
        """Lay out the place of the preview; it is empty where the analysis has none."""
        self._preview = gr.HTML(
            "", elem_id=f"preview-{self._name}", visible=self._analysis.has_preview, **PLAIN
        )
        return self._preview

    def wire(
        self, inputs: Sequence[Any], asked: Callable[..., Mapping[str, Any]]
    ) -> Callable[[Any], None]:
        """Have both follow the inputs, of which `asked` makes parameters.

        Returns:
            what is called with the event after which another model is there.
        """

        def say(*raw: Any) -> list[str]:
            model = self._app.slot.model
            try:
                values = asked(*raw)
                takes = estimates.line(self._analysis, model, values)
                return [takes, html_parts.preview_html(self._analysis, model, values)]
            except WorkbenchError:  # something that is being typed; its own message comes with Run
                return ["", ""]

        shown = {"fn": say, "inputs": list(inputs), "outputs": [self._takes, self._preview]}
        gr.on(
            [component.change for component in inputs],
            **shown,
            trigger_mode="always_last",
            **AT_ONCE,
        )

        def ready(event: Any) -> None:
            event.then(**shown, **AT_ONCE)

        return ready
