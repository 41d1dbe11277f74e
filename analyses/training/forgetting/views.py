"""What a run looks like."""

from __future__ import annotations

from analyses.claims import view as claims_view
from analyses.training.forgetting import claims, schema, stage_views
from analyses.training.forgetting import selections as sel
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_LAYERS = "layer"
_TEXTS = {"neutral": colour.MEMORY, "task": colour.CONTEXT, "own": colour.OTHER}
_TESTS = {"before": colour.OTHER, "after": colour.MEMORY, "floor": "#c9a227"}
_PROBE = {
    "base": ("base", colour.OTHER),
    "fine-tuned": ("fine-tuned", colour.MEMORY),
    "shuffled": ("shuffled labels", "#c9a227"),
    "untrained": ("random weights", "#b0708f"),
}
_PATH = {
    "neutral": ("neutral text", colour.MEMORY),
    "task": ("text like the new task's", colour.CONTEXT),
}


def _grid(run: Result, pick: v.Pick) -> v.Clicks:
    names = sel.parts(run)
    said = next(words for words, name in sel.MEASURES.items() if name == pick["measure"])
    table = draw.effect_table(
        sel.cells(run, pick["measure"]), names, (pick.layer, pick.pos), signed=True,
        caption=f"One module as it was before: {said}", unit="%",
    )  # fmt: skip
    return v.Clicks(table, len(names))


def _module(run: Result, pick: v.Pick) -> v.Item:
    return draw.paragraph(sel.in_words(run, pick))


def _said(run: Result, pick: v.Pick) -> v.Item:
    return v.Table(sel.answers(run, pick), "What is said: before, after, and with it put back")


ANSWER = v.Answer(("cost", "where", "verdict"), picture=("Reset map", 0), beside=("halving", "law"))
VIEWS = [
    v.View("Cost", needs="points", otherwise="no pair was compared", parts=[
        v.finding("cost"),
        v.row(
            v.chart("intervals", sel.cost_bars, "what", "of", title="Forgetting at the end",
                    unit="nats per token"),
            v.chart("curves", sel.points_of_pair, "step", "kl", "text", hues=_TEXTS,
                    interval=("low", "high"), xlabel="updates", ylabel="KL from the base (nats)",
                    title="Forgetting along the training"),
            widths=(420, 420),
        ),
        v.finding("facts", small=True),
        v.table("points"),
    ]),
    v.View("Law", needs="law", parts=[
        v.finding("law"),
        v.says(schema.LAW),
        v.chart("curves", sel.law_curves, "nats", "kl", "run", height=400,
                xlabel="loss on held-out text of the new task (nats)",
                ylabel="forgetting on neutral text (nats)", title="Forgetting against learning"),
        v.table("fits", "Forms of the law"),
    ]),
    v.View("Reset map", needs="reset", first={"layer": sel.layer, "pos": sel.pos}, parts=[
        v.finding("where", "halving"),
        v.says(schema.MAP),
        v.row(
            v.chart("curves", sel.map_lines, "layer", "recovery", "part", xlabel=_LAYERS,
                    ylabel="of the forgetting (%)", title="What one module put back brings back"),
            v.chart("curves", sel.map_lines, "layer", "cost", "part", xlabel=_LAYERS,
                    ylabel="of the new task's gain (%)", title="What of the new task it costs"),
            widths=(420, 420),
        ),
        v.says("Click a cell: what this module brings back."),
        v.knob("measure", "Shown", lambda run: sel.MEASURES, width=320),
        v.row(
            v.on(["measure", "layer", "pos"], _grid),
            v.column(
                v.on(["layer", "pos"], _module),
                v.chart("intervals", sel.halves, "kind", "what",
                        title="Half of everything put back",
                        unit="% (with the 95 % interval over draws)"),
            ),
            widths=(420, 420),
        ),
        v.on(["layer", "pos"], _said),
        v.table("reset", "All modules, most first", order=["-recovery"]),
    ]),
    v.View("Mirror", needs="cumulative", parts=[
        v.finding("mirror", "shuffled"),
        v.row(
            v.chart("curves", sel.cumulative, "layers", "recovery", "order",
                    xlabel="layers put back", ylabel="of the forgetting (%)",
                    title="Layers put back one after the other"),
            v.chart("curves", sel.mirror, "layer", "alone", "part", xlabel=_LAYERS,
                    ylabel="of the whole forgetting (%)", title="Each module's update alone"),
            widths=(420, 420),
        ),
        v.table("cumulative"),
    ]),
    v.View("Lost or misplaced", needs="tests", parts=[
        v.finding("verdict"),
        v.says(schema.TESTS),
        v.row(
            v.chart("rate_bars", sel.tests, names="test", words=_TESTS, of="facts",
                    title="Old facts, asked in several ways (%)"),
            v.chart("lines", "probe", "layer", _PROBE, xlabel=_LAYERS, ylabel="accuracy",
                    title="A probe of the last token's state"),
            widths=(420, 420),
        ),
        v.table("tests"),
        v.table("items", "Every fact"),
    ]),
    v.View("Path", needs="path", parts=[
        v.finding("path"),
        v.says(schema.PATH),
        v.row(
            v.chart("lines", sel.path, "share", _PATH, xlabel="share of the update",
                    ylabel="nats per token", title="Losses on the line between"),
            v.chart("lines", sel.path, "share", {"right": ("old facts said", colour.MEMORY)},
                    xlabel="share of the update", ylabel="facts (%)",
                    title="Old facts on the line between"),
            widths=(420, 420),
        ),
        v.table("path"),
    ]),
    v.View("Layers", needs="cka", parts=[
        v.finding("cka"),
        v.chart("curves", "cka", "layer", "cka", "tokens", xlabel=_LAYERS, ylabel="CKA",
                title="How alike states before and after are"),
        v.table("cka"),
    ]),
    v.View("First steps", needs="steps", parts=[
        v.finding("first_steps"),
        v.row(
            v.chart("lines", "steps", "step", {"log_p": ("old answers", colour.MEMORY)},
                    xlabel="updates", ylabel="ln p (nats)", title="Old answers, step by step"),
            v.chart("lines", "steps", "step", {"kl": ("neutral text", colour.OTHER)},
                    xlabel="updates", ylabel="KL from the base (nats)",
                    title="Forgetting, step by step"),
            widths=(420, 420),
        ),
        v.chart("curves", "angles", "layer", "angle", "part", xlabel=_LAYERS, ylabel="degrees",
                title="Angle of the later update to the early one"),
        v.table("angles"),
    ]),
    v.View("Remedies", needs="remedies", parts=[
        v.finding("remedies"),
        v.says(schema.REMEDIES),
        v.chart("intervals", sel.remedies, "method", "what",
                title="How far each method ends below the line of plain fine-tuning",
                unit="nats per token; right of 0 is better"),
        v.table("remedies", "All methods", order=["-below"]),
    ]),
    v.View("Format", needs="format", parts=[
        v.finding("format"),
        v.table("format"),
        v.table("texts", "The texts"),
    ]),
    *stage_views.VIEWS,
    claims_view(claims.CLAIMS, claims.ABOUT),
]  # fmt: skip
