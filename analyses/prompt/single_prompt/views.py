"""What a run looks like: five tabs that share the chosen layer, head and token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analyses.prompt.single_prompt import schema
from analyses.prompt.single_prompt import selections as sel
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.draw.layer_token_table import WINDOW
from workbench.selection import head_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.result import Result

_DATA = "The data behind this picture"
_STRIPS = 8  # neurons on a still page
_LENS_HUES = {"answer": colour.BLUE_STROKE, "other": colour.OTHER}
_NORM_HUES = dict(zip(sel.STREAMS, (colour.OTHER, colour.CONTEXT, colour.MEMORY), strict=True))
_TOKEN = v.knob("pos", "Token", lambda run, pick: sel.token_names(run), width=190)
_LAYER = v.knob("layer", "Layer", lambda run, pick: sel.layer_names(run), width=100)
_FIRST = {
    "pos": lambda run, pick: sel.chosen_pos(run),
    "layer": lambda run, pick: sel.chosen_layer(run),
}


def _around(run: Result) -> str:
    n = len(sel.tokens(run))
    return f"Shown are {WINDOW} of {n} tokens, around the chosen one." if n > WINDOW else ""


def _no_heads(run: Result) -> str:
    missing = "" if "heads" in run.arrays else sel.reason("heads")(run)
    return f"Single heads are not shown: {missing}." if missing else ""


def _strip(run: Result, values: Iterable[float], **options: Any) -> v.Clicks:
    words = sel.tokens(run)
    strip = draw.token_strip(words, list(values), spans=sel.template_spans(run), **options)
    return v.Clicks(strip, len(words))


def _cells(run: Result, pick: v.Pick, kind: str, values: Any, caption: str) -> v.Clicks:
    """Layers × tokens, a picture of `workbench.draw`."""
    words, at = sel.tokens(run), (pick.layer, pick.pos)
    return v.Clicks(getattr(draw, kind)(values, words, at, caption=caption), len(words))


def _at(run: Result, pick: v.Pick) -> str:
    return sel.token_name(run, pick.pos)


def _looks_most(run: Result, pick: v.Pick, head: tuple[int, int]) -> str:
    row = sel.pattern(run, head)[pick.pos]
    most = sel.token_name(run, int(row.argmax()))
    return f"token {pick.pos} attends most to {most}, {100 * row.max():.0f} %"


def _writes(run: Result, pick: v.Pick, head: tuple[int, int]) -> str:
    return f"{float(sel.heads_at(run, pick.pos).sel(layer=head[0], head=head[1])):+.3f} logits"


def _written(run: Result, pick: v.Pick) -> v.Clicks:
    head = sel.head_of(run, "heads")
    return _strip(
        run, sel.written(run, head), signed=True,
        title=head_name(*head) if head else "All components together",
        unit="logits toward the same answer at each token; click a token to see all heads there",
    )  # fmt: skip


def _parts(run: Result, pick: v.Pick) -> list[v.Item]:
    table = sel.parts_at(run, pick.pos)
    bars = v.picture(
        "bars", values=list(table["logits"]), unit="logits",
        names=[part.replace(" ", " of layer ") for part in table["component"]],
        title=f"Components at token {_at(run, pick)}: together {table['logits'].sum():+.2f} logits",
        xlabel="components, in the order of the forward pass",
    )  # fmt: skip
    return [bars, v.Table(table, _DATA, of="components")]


def _streams(run: Result, pick: v.Pick) -> list[v.Item]:
    frame = sel.norms_at(run, pick.pos)
    series = {s: (said, _NORM_HUES[s]) for s, said in sel.STREAMS.items() if s in frame}
    top = float(frame[list(series)].max().max())
    curves = v.picture(
        "lines", frame=frame, x="layer", series=series, ylim=(-0.04 * top, 1.06 * top),
        title=f"Norms at token {_at(run, pick)}", xlabel="layer", ylabel="norm",
    )  # fmt: skip
    return [curves, v.Table(frame, _DATA)]


def _neuron(run: Result, pick: v.Pick) -> v.Clicks:
    values = sel.activations(run, pick["neuron"])
    return _strip(
        run, values, signed=True, title=pick["neuron"],
        top=colour.symmetric_limit(values[1:] or values),
        unit="activation, input of the MLP's last matrix",
    )  # fmt: skip


def _value(run: Result, pick: v.Pick) -> str:
    value = sel.activations(run, pick["neuron"])[pick.pos]
    return f"{pick['neuron']} at token {_at(run, pick)}: {value:+.3f}"


def _neurons(run: Result, pick: v.Pick) -> v.Table:
    frame = sel.ranked_neurons(run, pick.layer if pick["of"] else None)
    return v.Table(frame, "Kept neurons, strongest first", "neuron", "label", 420, "neurons")


ANSWER = v.Answer(("next_token", "answer_layer", "top_head"), picture=("Logit lens", 0))
VIEWS = [
    v.View("Attention", needs="patterns", otherwise=sel.reason("patterns"), parts=[
        v.says(lambda run: f"All {run.arrays['patterns'][..., 0, 0].size} {schema.PATTERNS}"),
        v.key_pad(lambda run: sel.grid(run, "patterns"), _looks_most),
        v.row(
            v.show(lambda run: v.picture("pattern_grid", run.arrays["patterns"], picks="head")),
            v.column(
                v.on("head", lambda run, pick: v.picture(
                    "pattern", values=sel.pattern(run, pick.head), tokens=sel.tokens(run),
                    title=f"{head_name(*pick.head)}: attention pattern", picks="pos")),
                _TOKEN,
                v.on(["head", "pos"], lambda run, pick: _strip(
                    run, map(float, sel.pattern(run, pick.head)[pick.pos]), top=1.0,
                    title=f"{head_name(*pick.head)} from token {_at(run, pick)}",
                    unit="share of attention; click a token for its attention")),
            ),
            widths=(0, 420), sticky=True,
        ),
    ], first=_FIRST | {"head": lambda run, pick: sel.pattern_head(run)}),
    v.View("Logit lens", needs="logit_lens", first=_FIRST, otherwise=sel.reason("logit_lens"),
           parts=[
        v.says(schema.LENS),
        v.says(_around),
        v.row(_TOKEN, _LAYER),
        v.on(["layer", "pos"], lambda run, pick: _cells(
            run, pick, "lens_table", run.tables["logit_lens"],
            "Likeliest next token by layer and token of the prompt")),
        v.row(
            v.on(["layer", "pos"], lambda run, pick: v.Table(
                sel.lens_at(run, pick.layer, pick.pos),
                f"Layer {pick.layer}, token {_at(run, pick)}", of="answer_lens")),
            v.on("pos", lambda run, pick: v.picture(
                "lines", frame=sel.answers_at(run, pick.pos), x="layer", xlabel="layer",
                series={k: (f"“{w}”", _LENS_HUES[k]) for k, w in sel.answers(run).items()},
                title=f"Probability in the lens at token {_at(run, pick)}",
                ylabel="probability", ylim=(-0.03, 1.03))),
            widths=(330, 420),
        ),
    ]),
    v.View("Heads", needs="components", otherwise=sel.reason("components"), first=_FIRST, parts=[
        v.says(lambda run: schema.WRITES.format(unit=run.arrays["components"].attrs["unit"])),
        v.says(_no_heads),
        v.row(
            v.column(
                v.on("pos", lambda run, pick: v.picture(
                    "head_grid", values=sel.heads_at(run, pick.pos), unit="logits", picks="head",
                    title=f"Heads at token {pick.pos}", groups=v.key_groups(run)), needs="heads"),
                v.key_pad(lambda run: sel.grid(run, "heads"), _writes, needs="heads"),
            ),
            v.column(_TOKEN, v.on("head", _written), v.on("pos", lambda run, pick: v.Table(
                sel.ranked_heads(run, pick.pos), "All heads, strongest first", "head", "label",
                420, "heads"), needs="heads")),
            widths=(0, 320),
        ),
        v.on("pos", _parts),
    ]),
    v.View("Residual norms", needs="norms", first=_FIRST, parts=[
        v.says(schema.NORMS),
        v.says(_around),
        v.row(v.knob("site", "Site", lambda run, pick: sel.norm_sites(run), width=260),
              _TOKEN, _LAYER),
        v.on(["layer", "pos", "site"], lambda run, pick: _cells(
            run, pick, "magnitude_table", run.arrays["norms"].sel(site=pick["site"], drop=True),
            f"Norm of {pick['site']} by layer and token")),
        v.on("pos", _streams),
    ]),
    v.View("Neurons", needs="neurons", otherwise=sel.reason("neurons"), parts=[
        v.says(lambda run: f"The {sel.recorded_neurons(run)} {schema.NEURONS}"),
        v.row(
            v.knob("of", "Neurons of", lambda run, pick: {"all layers": 0, "one layer": 1}),
            v.knob("layer", "Layer", keys="of", width=100,
                   options=lambda run, pick: sel.layer_names(run, "neurons") if pick["of"] else {}),
            v.knob("neuron", "Neuron, strongest first", keys=["of", "layer"],
                   options=lambda run, pick: {n: n for n in _neurons(run, pick).frame["label"]}),
        ),
        v.on("neuron", _neuron, examples=lambda run: [
            {"neuron": label} for label in sel.ranked_neurons(run)["label"].head(_STRIPS)]),
        v.on(["neuron", "pos"], _value, examples=v.live_only),
        v.on(["of", "layer"], _neurons),
    ], first=_FIRST | {"layer": lambda run, pick: sel.chosen_layer(run, "neurons")}),
]  # fmt: skip
