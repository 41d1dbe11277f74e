"""What a run looks like."""

from __future__ import annotations

from functools import partial

import pandas as pd

from analyses.claims import view as claims_view
from analyses.training.retention import claims, lab_views, schema
from analyses.training.retention import selections as sel
from analyses.training.retention.constants import FOILS, KEPT, RESET, WARMED
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_DOSE_HUES = {
    "recognized, lately": colour.CONTEXT, "recognized, long ago": "#8fc9c4",
    "recalled, lately": colour.MEMORY, "recalled, long ago": "#e9c19a",
}  # fmt: skip
_VARIANTS = {RESET: colour.MEMORY, WARMED: colour.FUNCTION, KEPT: colour.CONTEXT}
_LIVE = {"recalled": colour.MEMORY} | dict(
    zip(FOILS, (colour.CONTEXT, colour.BLUE_STROKE, colour.OTHER), strict=True)
)
_EFFECT = {
    "effect": ("difference-in-differences, with band", colour.MEMORY),
    "plain": ("read less never read", colour.OTHER),
}
_FORECAST = {"precision": colour.CONTEXT, "recall": colour.MEMORY}
_RIGHT = {"right": draw.Span("said so", colour.CONTEXT)}
_along = partial(v.chart, "curves", xlabel="updates", height=320)


def _strip(rows: pd.DataFrame, title: str) -> v.Item:
    return draw.token_strip(
        list(rows["token"]), [float(p) for p in rows["probability"]], title=title, top=1.0,
        spans=["right" if right else "" for right in rows["right"]], marks=_RIGHT,
        notes=["" if right else f"says “{said}”" for right, said in
               zip(rows["right"], rows["said"], strict=True)],
        unit="probability",
    )  # fmt: skip


def _text(run: Result, pick: v.Pick) -> list[v.Item]:
    return [
        draw.paragraph(sel.at_step_in_words(run, pick)),
        _strip(sel.text_at(run, pick), f"Step {pick['step']:,}: what comes out"),
    ]


def _timeline(run: Result, pick: v.Pick) -> list[v.Item]:
    marks = {"match": ("tokens recited", colour.MEMORY), "mark": ("readings", colour.INK)}
    return [
        v.picture("lines", sel.timeline(run, pick), "step", marks, dash={"mark": "dotted"},
                  xlabel="updates", ylabel="tokens behind the first half",
                  title="This text along training, its readings below"),
        v.picture("lines", sel.gain_line(run, pick), "step",
                  {"gain": ("likelier than its kind", colour.BLUE_STROKE)}, xlabel="updates",
                  ylabel="nats per token", title="How much likelier it is than never-read texts"),
    ]  # fmt: skip


def _events(run: Result, pick: v.Pick) -> v.Item:
    return v.picture("lines", sel.events(run, pick), "event", {"effect": _EFFECT["effect"]},
                     bands={"effect": ("low", "high")}, ylabel="nats per token",
                     xlabel="kept steps since the first reading (−1: the base)",
                     title=f"What a first reading causes, {pick['dose']}")  # fmt: skip


def _profile(run: Result, pick: v.Pick) -> v.Item:
    return v.picture("lines", sel.profile(run, pick), "step", _EFFECT, dash={"plain": "dotted"},
                     bands={"effect": ("low", "high")}, xlabel="updates", ylabel="nats per token",
                     title=f"Texts first read before step {pick['cohort']:,}")  # fmt: skip


def _live(run: Result, pick: v.Pick) -> v.Item:
    return _strip(sel.live_text(run, pick), "What comes out of this text")


ANSWER = v.Answer(
    ("answer", "left", "early_drop"), picture=("Readings", 0),
    beside=("readings_long_ago", "bands"),
)  # fmt: skip
VIEWS = [
    v.View("Readings", needs="dose", otherwise="no kept steps were read", parts=[
        v.finding("readings", "readings_long_ago"),
        v.chart("curves", sel.dose, "readings", "rate", "curve", interval=("low", "high"),
                scale="doublings", percent=True, hues=_DOSE_HUES, xlabel="readings", height=360,
                ylabel="pairs, texts (%)", level={"chance": 0.5},
                title="Recognition and recall at the last step, by readings"),
        v.says(schema.READINGS, small=True),
        v.row(
            _along(sel.by_dose, "step", "match", "read", ylabel="tokens",
                   title="Tokens recited, readings spread"),
            _along(sel.read_early, "step", "match", "read", ylabel="tokens",
                   title="Tokens recited, read in the first third"),
            widths=(420, 420),
        ),
        v.table("halfway", "Where the rates pass halfway"),
        v.table("logit", "What adds to the odds of recall"),
        v.table("dose"),
    ]),
    v.View("Forgetting", needs="item_steps", otherwise="no kept steps were read", parts=[
        v.finding("left", "survival", "late_against_early"),
        v.row(
            _along(sel.left, "updates", "left", "dose", interval=("low", "high"), percent=True,
                   scale="powers", ylabel="of the gain (%)",
                   xlabel="updates since the last reading",
                   title="What is left after the last reading"),
            v.chart("intervals", sel.timing_bars, "read", "of",
                    title="Late less early, at equal readings", unit="nats per token"),
            widths=(420, 420),
        ),
        v.says(schema.LEFT, small=True),
        _along("survival", "updates", "share", "group", percent=True, ylabel="texts (%)",
               xlabel="updates since it was first recalled",
               title="Texts still recalled, of those that ever were"),
        v.table("laws"), v.table("timing"), v.table("retained"),
    ]),
    v.View("One text", needs="said", otherwise="no kept steps were read", parts=[
        v.says("A text comes and goes. Choose one, and a step; marked tokens are said, hover the"
               " others for what is said instead."),
        v.row(v.knob("prompt", "Text", sel.shown, width=420), v.knob("step", "Step", sel.steps)),
        v.on(["prompt", "step"], _text),
        v.on("prompt", _timeline),
        v.chart("matrix", sel.raster, "text", "step", "match", unit="tokens", longest=30,
                title="Texts that were ever recited, by step"),
        v.table("items", "All texts", order=["-best", "item"]),
    ], first={"prompt": sel.first_shown, "step": sel.best_step}),
    v.View("Profiles", needs="events", otherwise="the part `profiles` was not run", parts=[
        v.finding("first_reading", "bands"),
        v.row(v.knob("dose", "Texts of", sel.doses), v.knob("cohort", "Cohort", sel.cohorts)),
        v.row(v.on("dose", _events), v.on(["dose", "cohort"], _profile), widths=(420, 420)),
        v.says(schema.PROFILES, small=True),
        v.table("bands", "Checks of the design"), v.table("profiles"),
    ], first={"cohort": sel.largest_cohort}),
    v.View("Forecast", needs="forecast", otherwise="the part `forecast` was not run", parts=[
        v.finding("forecast"),
        v.row(
            v.chart("lines", "forecast", "step", _FORECAST, xlabel="updates", ylabel="share",
                    bands={"precision": ("precision_low", "precision_high"),
                           "recall": ("recall_low", "recall_high")},
                    title="What a step recites, as a forecast of the last"),
            _along("rankings", "step", "auc", "score", ylabel="AUC", level={"chance": 0.5},
                   title="What ranks the texts"),
            widths=(420, 420),
        ),
        v.says(schema.FORECASTS, small=True),
        v.table("forecast"), v.table("nesting", "By tokens given"), v.table("rankings"),
    ]),
    v.View("Access", needs="access", otherwise="no text is recalled, or the part was not run",
           parts=[
        v.finding("access"),
        v.row(
            _along(sel.access_curves, "step", "said", "begun", ylabel="tokens",
                   interval=("low", "high"), title="Tokens said, by where a text is begun"),
            v.chart("curves", sel.access_last, "given", "said", "begun", xlabel="tokens given",
                    ylabel="tokens", interval=("low", "high"), scale="doublings", height=320,
                    title="The same by tokens given"),
            widths=(420, 420),
        ),
        v.table("access"),
    ]),
    v.View("Few readings", needs="few_shot", otherwise="the part `few-shot` was not run", parts=[
        v.finding("few_shot", "few_left", "early_drop"),
        v.row(
            v.chart("curves", sel.recalled_live, "readings", "rate", "curve", percent=True,
                    interval=("low", "high"), hues=_LIVE, xlabel="readings", height=340,
                    ylabel="pairs, texts (%)", level={"chance": 0.5},
                    title="Told from …, and recalled, reading by reading"),
            v.chart("curves", sel.few_later, "at", "match", "variant", scale="powers", height=340,
                    hues=_VARIANTS, order=sel.variants, xlabel="1 + updates on other text",
                    ylabel="tokens", title="Tokens recited afterwards"),
            widths=(420, 420),
        ),
        v.says(schema.LATER, small=True),
        v.row(v.knob("prompt", "Text", sel.studied, width=420),
              v.knob("moment", "When", sel.moments)),
        v.on(["prompt", "moment"], _live),
        v.chart("matrix", sel.live_raster, "text", "moment", "match", unit="tokens",
                title="Tokens recited, text by moment"),
        v.table("few_shot"), v.table("few_later"), v.table("studied", "The texts"),
    ], first={"prompt": sel.first_studied, "moment": sel.last_study}),
    *lab_views.VIEWS,
    claims_view(claims.CLAIMS, claims.ABOUT),
]  # fmt: skip
