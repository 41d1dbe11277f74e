"""The Playground's tab Where from?"""

from __future__ import annotations

from workbench.playground import Playground, PromptForm

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
    )
)
