"""The Playground's tab Where from?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.playground import Playground, PromptForm

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.playground import PromptTest
    from workbench.result import Result


def _test(model: InstrumentedModel, run: Result) -> PromptTest:
    from analyses.prompt.provenance import live_prompt

    return live_prompt.test_of(model, run)


playground = Playground(
    form=PromptForm(
        tab="from",
        title="Where from?",
        button="Where did this answer come from?",
        empty=(
            "<strong>No answer was traced yet.</strong> Type a context and a question (or a"
            " conversation): how much of the answer came from the prompt and how much from the"
            " weights, which sentence brought it, through which heads, and what the model says"
            " without it."
        ),
        limit="As long as the model's window",
        frame="Where the answer came from: the run in the Explorer",
        leads=True,
        test=_test,
    )
)
