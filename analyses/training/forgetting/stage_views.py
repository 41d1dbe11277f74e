"""What the parts look like that follow texts through stages and tasks."""

from __future__ import annotations

from analyses.training.forgetting import schema
from analyses.training.forgetting.selections import matrix_of, stage_bars, stage_curves
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_PLANTED = {
    "read in pre-training": colour.MEMORY, "read in fine-tuning": colour.CONTEXT,
    "chosen answers": colour.FUNCTION, "rejected answers": colour.BLUE_STROKE,
    "never read": colour.OTHER,
}  # fmt: skip


def _pretrained(run: Result) -> object:
    return matrix_of(run, "as it is")


def _fresh(run: Result) -> object:
    return matrix_of(run, "random weights")


VIEWS = [
    v.View("Stages", needs="stage_survival", otherwise="the part was not run", parts=[
        v.finding("stages"),
        v.chart("curves", stage_curves, "at", "gain", "planted", hues=_PLANTED, height=340,
                interval=("low", "high"), ylabel="nats per token",
                xlabel="0 before, 1 pre-training, 2 fine-tuning, 3 preference tuning",
                title="Gain over texts never read, stage by stage"),
        v.chart("intervals", stage_bars, "effect", "of", unit="nats per token", longest=64,
                title="What a stage takes or gives"),
        v.says(schema.STAGES, small=True),
        v.table("stage_survival"), v.table("stage_effects"),
    ]),
    v.View("Tasks", needs="retention_matrix", otherwise="the part was not run", parts=[
        v.finding("tasks"),
        v.row(
            v.chart("matrix", _pretrained, "behind", "asked", "said", unit="%", top=100.0,
                    title="The model as it is"),
            v.chart("matrix", _fresh, "behind", "asked", "said", unit="%", top=100.0,
                    title="From random weights"),
            widths=(420, 420),
        ),
        v.says(schema.TASKS, small=True),
        v.table("sequence"), v.table("retention_matrix"),
    ]),
]  # fmt: skip
