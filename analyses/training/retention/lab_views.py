"""What the parts look like that train a small model many times."""

from __future__ import annotations

from functools import partial

from analyses.training.retention import lab_schema as schema
from analyses.training.retention import lab_selections as sel
from workbench import views as v
from workbench.draw import colour

_REMEDIES = {
    "plain, cold": colour.OTHER, "plain, recited first": colour.MEMORY,
    "permuted, cold": colour.CONTEXT, "permuted, recited first": "#8fc9c4",
}  # fmt: skip
_TESTS = {
    "as it was read": "as read", "in a question": "question",
    "in a question, after tuning on others": "tuned", "the other way": "reversed",
    "two facts put together": "two facts",
}  # fmt: skip
_rates = partial(v.chart, "curves", percent=True, height=330)
_nats = partial(v.chart, "curves", ylabel="nats per token", height=330)
_WIDE = (420, 420)

VIEWS = [
    v.View("Dose and time", needs="dose_timing", otherwise="the part was not run", parts=[
        v.finding("dose_timing"),
        v.row(
            _nats(sel.of_shorter, "readings", "gain", "read", scale="doublings",
                  xlabel="readings", title="What is left at the end, by when it was read"),
            _nats(sel.by_length, "readings", "gain", "training", scale="doublings",
                  xlabel="readings", title="The same in a longer training"),
            widths=_WIDE,
        ),
        v.chart("intervals", sel.effects, "effect", "of", unit="nats per token", longest=64,
                title="What number, time and length cause"),
        v.says(schema.DOSE, small=True),
        v.table("dose_effects"), v.table("dose_logit", "What adds to the odds of recall"),
        v.table("dose_timing"),
    ]),
    v.View("Remedies", needs="access_remedies", otherwise="the part was not run", parts=[
        v.finding("access_remedies"),
        _rates(sel.remedies, "piece", "said", "curve", xlabel="piece of the passage",
               ylabel="of its tokens (%)", interval=("low", "high"), hues=_REMEDIES,
               title="How much of a piece is said"),
        v.says(schema.REMEDIES, small=True),
        v.table("access_effects"), v.table("access_remedies"),
    ]),
    v.View("Knowledge base", needs="triples", otherwise="the part was not run", parts=[
        v.finding("triples"),
        _rates(sel.triples_by_readings, "readings", "right", "test", scale="doublings",
               xlabel="readings; 0: never", ylabel="right (%)", level={"chance": "chance"},
               names=_TESTS,
               title="Right answers by readings"),
        v.says(schema.TRIPLES, small=True),
        v.table("triples"),
    ]),
    v.View("Batch and rate", needs="training_choices", otherwise="the part was not run", parts=[
        v.finding("training_choices"),
        v.row(
            _nats(sel.choices, "batch", "gain", "trained", scale="doublings",
                  interval=("low", "high"), xlabel="rows of an update",
                  title="Gained, texts read most often"),
            _rates(sel.choices, "batch", "left", "trained", scale="doublings",
                   xlabel="rows of an update", ylabel="of the gain (%)",
                   title="Left of it behind other text"),
            widths=_WIDE,
        ),
        v.says(schema.CHOICES, small=True),
        v.table("training_choices"),
    ]),
    v.View("Repeated data", needs="repeated_data", otherwise="the part was not run", parts=[
        v.finding("repeated_data"),
        v.row(
            _nats(sel.repeated, "repeats", "loss", "model", scale="doublings", xlabel="repeats",
                  title="Loss on prose that nobody reads"),
            _nats(sel.repeated, "repeats", "copying", "model", scale="doublings",
                  xlabel="repeats", title="What a second copy helps"),
            widths=_WIDE,
        ),
        v.row(
            _rates(sel.repeated, "repeats", "effective", "model", scale="doublings",
                   xlabel="repeats", ylabel="of its weights (%)", title="Effective size"),
            v.chart("curves", sel.repeated, "repeats", "induction", "model", scale="doublings",
                    height=330, xlabel="repeats", ylabel="attention",
                    title="Strongest induction head"),
            widths=_WIDE,
        ),
        v.says(schema.REPEATED, small=True),
        v.table("repeated_data"),
    ]),
]  # fmt: skip
