"""What a run looks like."""

from __future__ import annotations

from collections.abc import Callable

from analyses.claims import view as claims_view
from analyses.context.context_recall import claims, schema
from analyses.context.context_recall import selections as sel
from analyses.context.context_recall.constants import (
    CONDITIONS,
    FREE_CONDITIONS,
    INDUCTION,
    RANDOM,
    RETRIEVAL,
    TASKS,
)
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_CONDITION_HUES = dict(
    zip(CONDITIONS, (colour.MEMORY, colour.FUNCTION, colour.CONTEXT, colour.OTHER), strict=True)
)
_FREE_HUES = dict(zip(FREE_CONDITIONS, (colour.MEMORY, colour.FUNCTION, colour.OTHER), strict=True))
_SET_NAMES = {RETRIEVAL: "retrieval", INDUCTION: "induction", RANDOM: "random"}
_SET_HUES = {RETRIEVAL: colour.MEMORY, INDUCTION: colour.FUNCTION, RANDOM: colour.OTHER}
_CONTROLLED = {"likeliest": colour.MEMORY, "said": colour.FUNCTION}
_COMPETED = {"right": colour.MEMORY, "partners": colour.OTHER}
_TASKS = {"right": colour.MEMORY, "guess": colour.OTHER}


def _map(table: str, value: str, title: str) -> v.ViewPart:
    return v.chart("matrix", sel.map_cells(table), "depth", "length", value, title=title,
                   unit="% of questions", top=100.0)  # fmt: skip


def _cell(run: Result, pick: v.Pick) -> list[v.Item]:
    rows = sel.of_cell(run, pick)
    return [*map(draw.paragraph, sel.in_words(rows)), v.Table(rows, "This cell", of="needles")]


def _variance(table: str, title: str) -> v.ViewPart:
    return v.chart("intervals", sel.factors(table), "what", "of", title=title,
                   unit="% of the variance")  # fmt: skip


def _lost(task: str) -> v.ViewPart:
    def rows(run: Result) -> object:
        here = task in set(run.tables["ablation"]["task"])
        return sel.without_heads(run, task) if here else None

    return v.chart("curves", rows, "count", "rate", "off", percent=True, hues=_SET_HUES,
                   names=_SET_NAMES,
                   interval=("low", "high"), xlabel="heads switched off", ylabel="right (%)",
                   title=task.capitalize())  # fmt: skip


def _position(words: str) -> Callable[[Result], str]:
    return lambda run: words.format(chance=round(1 / sel.chance(run)))


ANSWER = v.Answer(
    ("found", "kinds", "interference", "lists", "contiguity", "passkey", "own"),
    picture=("Needles", 0),
    beside=("false_alarms",),
    otherwise=(("Position", 0), ("Interference", 0), ("Contiguity", 0), ("Passkey", 0)),
)
VIEWS = [
    v.View("Needles", needs="cells", parts=[
        v.finding("found", "kinds"),
        v.says(schema.NEEDLES),
        v.row(_map("cells", "found", "Facts found"),
              _map("cells", "said", "Said word for word by greedy decoding"),
              widths=(420, 420)),
        v.says("One cell, the worst first: what was read, asked and said."),
        v.knob("cell", "Cell", sel.cell_options, width=420),
        v.on("cell", _cell),
        v.table("cells", "All cells"),
        v.table("needles", "All questions"),
    ]),
    v.View("Controls", needs="controls", parts=[
        v.finding("false_alarms"),
        v.chart("rate_bars", sel.controls, names="control", words=_CONTROLLED, of="questions",
                title="Texts whose truth is known (%)"),
        v.says("“likeliest” is the answer among its candidates, “said” what greedy decoding says.",
               small=True),
        v.table("controls"),
    ]),
    v.View("What matters", needs="wordings", parts=[
        v.finding("wordings", "question"),
        v.says(schema.MATTERS),
        v.row(_variance("wordings", "In short texts"),
              _variance("matters", "Over depths and lengths"), widths=(420, 420)),
        v.finding("matters"),
        v.table("wordings", "In short texts"),
        v.table("matters", "Over depths and lengths"),
    ]),
    v.View("Position", needs="position", parts=[
        v.finding("lists", "primacy", "recency", "last_word"),
        v.says(_position(schema.POSITION)),
        v.chart("curves", "position", "position", "rate", "condition", percent=True,
                hues=_CONDITION_HUES, order=CONDITIONS, interval=("low", "high"), height=380,
                xlabel="place in the list", ylabel="recalled (%)", level=sel.level,
                title="Recall by place"),
        v.chart("intervals", "ends", "effect", "condition", _CONDITION_HUES,
                title="Ends of the list less its middle", unit="share of pairs"),
        v.says(schema.INTRUSIONS),
        v.row(v.chart("matrix", sel.confusion, "asked", "answered", "percent",
                      title="Whose word is given", unit="% of questions", top=100.0),
              widths=(900,)),
        v.table("position"),
        v.table("ends"),
    ]),
    v.View("Interference", needs="distance", parts=[
        v.finding("interference", "competition"),
        v.says(schema.DISTANCE),
        v.row(
            v.chart("curves", sel.by_distance, "items", "rate", "between", percent=True,
                    interval=("low", "high"), xlabel="pairs between a pair and its question",
                    ylabel="recalled (%)", title="Items between, by neutral text"),
            v.chart("intervals", sel.coefficients, "what", "of", title="What changes recall",
                    unit="log-odds"),
            widths=(420, 420),
        ),
        v.says(schema.COMPETITION),
        v.chart("rate_bars", sel.competing, names="name", words=_COMPETED, of="questions",
                title="Pairs that compete (%)"),
        v.says("“right” is the pair's own word, “partners” the competing pair's.", small=True),
        v.table(sel.competition, of="competition"),
        v.table("distance", "Items and neutral text between"),
        v.table("distance_fit", "The regression"),
    ]),
    v.View("Heads", needs="heads", parts=[
        v.finding("heads"),
        v.says(schema.HEADS),
        v.heads("heads", {
            "retrieval": v.Scale("Retrieval", "share of answers", "", "more"),
            "induction": v.Scale("Induction", "attention", "", "more"),
            "causal": v.Scale("Causal", "nats", "", "loses"),
        }, marks=sel.roles,
            describe="retrieval {retrieval:.0%} (other facts {held_out:.0%}, another fact asked"
            " {other:.0%}); attention {attention:.2f}; induction {induction:.2f}; the answer loses"
            " {causal:.2f} nats"),
        v.table("heads", "All heads", order=["-retrieval", "-attention"], picks="head"),
    ]),
    v.View("Without them", needs="ablation", parts=[
        v.finding("ablation"),
        v.says(schema.ABLATION),
        v.row(*map(_lost, TASKS), widths=(320, 320, 320)),
        v.table("ablation"),
    ]),
    v.View("Passkey", needs="passkey", parts=[
        v.finding("passkey"),
        v.row(_map("passkey", "found", "Passkeys found"),
              _map("passkey", "said", "Said word for word by greedy decoding"),
              widths=(420, 420)),
        v.table("passkey"),
    ]),
    v.View("Contiguity", needs="contiguity", parts=[
        v.finding("contiguity"),
        v.says(schema.FREE),
        v.chart("curves", "contiguity", "lag", "share", "condition", percent=True,
                hues=_FREE_HUES, order=FREE_CONDITIONS, interval=("low", "high"), height=380,
                xlabel="lag (places; negative is back)", ylabel="comes next (%)",
                title="Which word comes next, by its distance in the list"),
        v.table("contiguity"),
    ]),
    v.View("Further tasks", needs="tasks", otherwise="none of them was asked for", parts=[
        v.finding("task_*"),
        v.says(schema.TASKS),
        v.chart("rate_bars", sel.tasks, names="name", words=_TASKS, of="questions", per="part",
                title="{}: right answers (%)"),
        v.table("tasks"),
    ]),
    v.View("Your own", needs="own", parts=[
        v.finding("own"),
        v.table("own", "Every question"),
    ]),
    claims_view(claims.CLAIMS, claims.ABOUT),
]  # fmt: skip
