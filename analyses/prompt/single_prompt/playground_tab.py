"""The Playground's tab Inside one prompt."""

from __future__ import annotations

from workbench.playground import Playground, PromptForm

playground = Playground(
    form=PromptForm(
        tab="trace",
        title="Inside one prompt",
        button="Look inside",
        empty=(
            "<strong>No prompt was looked at yet.</strong> Press <b>Look inside</b>: attention"
            " patterns, the logit lens, each head's direct logit attribution, norms and neurons"
            " appear below, and are saved as a run."
        ),
        limit="At most 256 tokens",
        frame="What happens inside the model: the run in the Explorer",
    )
)
