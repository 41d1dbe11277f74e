"""What a run looks like: five tabs that share the chosen layer, head and token."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from analyses.prompt.single_prompt import schema
from analyses.prompt.single_prompt import selections as sel
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result
from workbench.selection import head_name

_LENS_HUES = {"answer": colour.BLUE_STROKE, "other": colour.OTHER}
_NORM_HUES = dict(zip(sel.STREAMS, (colour.OTHER, colour.CONTEXT, colour.MEMORY), strict=True))
_TOKEN = v.knob("pos", "Token", sel.token_names, width=190)
_LAYER = v.knob("layer", "Layer", sel.layer_names, width=100)
_FIRST = {"pos": sel.chosen_pos, "layer": sel.chosen_layer}


def _strip(run: Result, values: Iterable[float], **options: Any) -> v.Clicks:
    words = sel.tokens(run)
    strip = draw.token_strip(words, list(values), spans=sel.template_spans(run), **options)
    return v.Clicks(strip, len(words))


def _cells(run: Result, pick: v.Pick, kind: str, values: Any, caption: str) -> v.Clicks:
    """Layers × tokens, a picture of `workbench.draw`."""
    words, at = sel.tokens(run), (pick.layer, pick.pos)
    return v.Clicks(getattr(draw, kind)(values, words, at, caption=caption), len(words))


def _written(run: Result, pick: v.Pick) -> v.Clicks:
    head = sel.head_of(run, "heads")
    return _strip(
        run, sel.written(run, head), signed=True,
        title=head_name(*head) if head else "All components together",
        unit="logits toward the same answer at each token; click a token to see all heads there",
    )  # fmt: skip


def _parts(run: Result, pick: v.Pick) -> list[v.Item]:
    bars = v.picture(
        "bars", **sel.bars_at(run, pick.pos), unit="logits",
        xlabel="components, in the order of the forward pass",
    )  # fmt: skip
    return [bars, v.Table(sel.parts_at(run, pick.pos), v.DATA, of="components")]


def _streams(run: Result, pick: v.Pick) -> list[v.Item]:
    frame = sel.norms_at(run, pick.pos)
    series = {s: (words, _NORM_HUES[s]) for s, words in sel.STREAMS.items() if s in frame}
    top = float(frame[list(series)].max().max())
    curves = v.picture(
        "lines", frame=frame, x="layer", series=series, ylim=(-0.04 * top, 1.06 * top),
        title=f"Norms at token {sel.chosen_token(run, pick)}", ylabel="norm",
    )  # fmt: skip
    return [curves, v.Table(frame, v.DATA)]


def _neuron(run: Result, pick: v.Pick) -> v.Clicks:
    values = sel.activations(run, pick["neuron"])
    return _strip(
        run, values, signed=True, title=pick["neuron"],
        top=colour.symmetric_limit(values[1:] or values),
        unit="activation, input of the MLP's last matrix",
    )  # fmt: skip


def _neurons(run: Result, pick: v.Pick) -> v.Table:
    frame = sel.ranked_neurons(run, pick.layer if pick["of"] else None)
    return v.Table(frame, "Kept neurons, strongest first", "neuron", of="neurons")


ANSWER = v.Answer(("next_token", "answer_layer", "top_head"), picture=("Logit lens", 0))
VIEWS = [
    v.View("Attention", needs="patterns", otherwise=sel.reason("patterns"), parts=[
        v.says(lambda run: f"All {run.arrays['patterns'][..., 0, 0].size} {schema.PATTERNS}"),
        v.key_pad(lambda run: sel.grid(run, "patterns"), sel.attends_most),
        v.row(
            v.show(lambda run: v.picture("pattern_grid", run.arrays["patterns"], picks="head")),
            v.column(
                v.on("head", lambda run, pick: v.picture(
                    "pattern", values=sel.pattern(run, pick.head), tokens=sel.tokens(run),
                    title=f"{head_name(*pick.head)}: attention pattern", picks="pos")),
                _TOKEN,
                v.on(["head", "pos"], lambda run, pick: _strip(
                    run, map(float, sel.pattern(run, pick.head)[pick.pos]), top=1.0,
                    title=f"{head_name(*pick.head)} from token {sel.chosen_token(run, pick)}",
                    unit="share of attention; click a token for its attention")),
            ),
            widths=(0, 420), sticky=True,
        ),
    ], first=_FIRST | {"head": sel.pattern_head}),
    v.View("Logit lens", needs="logit_lens", first=_FIRST, otherwise=sel.reason("logit_lens"),
           parts=[
        v.says(schema.LENS),
        v.says(lambda run: draw.window_note(len(sel.tokens(run)))),
        v.row(_TOKEN, _LAYER),
        v.on(["layer", "pos"], lambda run, pick: _cells(
            run, pick, "lens_table", run.tables["logit_lens"],
            "Likeliest next token by layer and token of the prompt")),
        v.row(
            v.on(["layer", "pos"], lambda run, pick: v.Table(
                sel.lens_at(run, pick.layer, pick.pos),
                f"Layer {pick.layer}, token {sel.chosen_token(run, pick)}", of="answer_lens")),
            v.on("pos", lambda run, pick: v.picture(
                "lines", frame=sel.answers_at(run, pick.pos), x="layer",
                series={k: (f"“{w}”", _LENS_HUES[k]) for k, w in sel.answers(run).items()},
                title=f"Probability in the lens at token {sel.chosen_token(run, pick)}",
                ylabel="probability", ylim=(-0.03, 1.03))),
            widths=(330, 420),
        ),
    ]),
    v.View("Heads", needs="components", otherwise=sel.reason("components"), first=_FIRST, parts=[
        v.says(lambda run: schema.WRITES.format(unit=run.arrays["components"].attrs["unit"])),
        v.says(sel.no_heads),
        v.row(
            v.column(
                v.on("pos", lambda run, pick: v.picture(
                    "head_grid", values=sel.heads_at(run, pick.pos), unit="logits", picks="head",
                    title=f"Heads at token {pick.pos}", groups=v.key_groups(run)), needs="heads"),
                v.key_pad(lambda run: sel.grid(run, "heads"), sel.writes, needs="heads"),
            ),
            v.column(_TOKEN, v.on("head", _written), v.on("pos", lambda run, pick: v.Table(
                sel.ranked_heads(run, pick.pos), "All heads, strongest first", "head",
                of="heads"), needs="heads")),
            widths=(0, 320),
        ),
        v.on("pos", _parts),
    ]),
    v.View("Residual norms", needs="norms", first=_FIRST, parts=[
        v.says(schema.NORMS),
        v.says(lambda run: draw.window_note(len(sel.tokens(run)))),
        v.row(v.knob("site", "Site", sel.norm_sites, width=260), _TOKEN, _LAYER),
        v.on(["layer", "pos", "site"], lambda run, pick: _cells(
            run, pick, "magnitude_table", run.arrays["norms"].sel(site=pick["site"], drop=True),
            f"Norm of {pick['site']} by layer and token")),
        v.on("pos", _streams),
    ]),
    v.View("Neurons", needs="neurons", otherwise=sel.reason("neurons"), parts=[
        v.says(lambda run: f"The {sel.recorded_neurons(run)} {schema.NEURONS}"),
        v.row(
            v.knob("of", "Neurons of", lambda run: {"all layers": 0, "one layer": 1}),
            v.knob("layer", "Layer", keys="of", width=100,
                   options=lambda run, pick: sel.layer_names(run, "neurons") if pick["of"] else {}),
            v.knob("neuron", "Neuron, strongest first", keys=["of", "layer"],
                   options=lambda run, pick: list(_neurons(run, pick).frame["label"])),
        ),
        v.on("neuron", _neuron, examples=sel.strongest_neurons),
        v.on(["neuron", "pos"], sel.activation, examples=v.live_only),
        v.on(["of", "layer"], _neurons),
    ], first=_FIRST | {"layer": partial(sel.chosen_layer, name="neurons")}),
]  # fmt: skip
