"""What a run looks like."""

from __future__ import annotations

from analyses.state.recurrent_state import schema
from analyses.state.recurrent_state import selections as sel
from analyses.state.recurrent_state.constants import TRACES
from analyses.state.recurrent_state.gate_views import GATE_VIEWS
from analyses.state.recurrent_state.question_views import QUESTION_VIEWS
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_BARS = {"new value": colour.FUNCTION, "other pairs stay": colour.BLUE_STROKE}
_TRACES = {"write": colour.BLUE_STROKE, "decay": colour.CONTEXT, "erase": colour.MEMORY}
_AGE = {"recalled": ("the model recalls it", colour.FUNCTION),
        "held": ("the state still gives it", colour.BLUE_STROKE)}  # fmt: skip
_BANDS = {name: (f"{name}_low", f"{name}_high") for name in _AGE}
_MEMORIES = {"its own pairs": colour.MEMORY, "all others": colour.BLUE_STROKE}
_TOKEN = v.knob("pos", "Token", sel.token_names, width=190)


def _changed(run: Result, pick: v.Pick) -> list[v.Item]:
    table = sel.answers_after(run, pick)
    return [
        draw.paragraph(sel.changed_words(run, pick)),
        v.Table(table, "All pairs, asked for again", "prompt", "pair", of="answers"),
    ]


def _matrix(run: Result, pick: v.Pick) -> v.Item:
    return v.picture(
        "matrix", sel.matrix_of_answers(run, pick["change"]), "changed", "asked", "percent",
        title="Probability of its own value, by which pair was changed", unit="%", top=100.0,
    ) if "answers" in run.tables else None  # fmt: skip


def _routes(run: Result) -> list[v.Item]:
    """One strip of the text for each memory."""
    routes = run.arrays["routes"]
    return [
        draw.token_strip(
            sel.tokens(run), [float(x) for x in routes.sel(layer=layer).values[memory]], top=1.0,
            title=f"Layer {int(layer)}, memory {memory}", unit="weight of the router",
        )
        for layer in routes["layer"].values for memory in range(routes.sizes["memory"])
    ]  # fmt: skip


def _damage(run: Result, pick: v.Pick) -> v.Clicks:
    words = sel.tokens(run)
    strip = draw.token_strip(
        words, sel.change_of_margin(run, pick.prompt), signed=True,
        title=f"What each token did to {sel.pair_name(run, pick.prompt)}",
        unit="change of its margin: blue makes it clearer, red mixes it up with another",
    )  # fmt: skip
    return v.Clicks(strip, len(words))


def _traces(run: Result, pick: v.Pick) -> list[v.Item]:
    frame = sel.traces_at(run, pick.head)
    series = {name: (TRACES[name], hue) for name, hue in _TRACES.items() if name in frame}
    series = series or {"net": (TRACES["net"], colour.OTHER)}  # of states alone
    curves = v.picture(
        "lines", frame=frame, x="pos", series=series, xlabel="token", ylabel="length",
        title=sel.title_of(pick.head, "what each token writes and takes away"),
    )  # fmt: skip
    held = v.picture(
        "lines", frame=frame, x="pos", series={"norm": (TRACES["norm"], colour.OTHER)},
        xlabel="token", ylabel="length", title=sel.title_of(pick.head, "what is held"),
    )  # fmt: skip
    return [v.Beside([curves, held], width=420), v.Table(frame, v.DATA)]


def _written(run: Result, pick: v.Pick) -> v.Clicks:
    words, frame = sel.tokens(run), sel.traces_at(run, pick.head)
    strip = draw.token_strip(
        words, list(frame["write" if "write" in frame else "net"]),
        title=sel.title_of(pick.head, "how far each token changes it"), unit="length of the change",
    )  # fmt: skip
    return v.Clicks(strip, len(words))


def _shares(run: Result, pick: v.Pick) -> v.Clicks:
    words = sel.tokens(run)
    strip = draw.token_strip(
        words, list(map(float, sel.matrix(run, "shares", pick.head)[pick.pos])), top=1.0,
        title=sel.title_of(pick.head, f"what token {sel.token_name(run, pick.pos)} reads"),
        unit="share of what is read; click a token for its row",
    )  # fmt: skip
    return v.Clicks(strip, len(words))


def _spectrum(run: Result, pick: v.Pick) -> list[v.Item]:
    frame = sel.spectrum_at(run, pick.head)
    values = v.picture(
        "curves", frame, "pos", "value", "rank", xlabel="token", ylabel="singular value",
        title=sel.title_of(pick.head, "singular values of the state"),
    )  # fmt: skip
    rank = v.picture(
        "lines", frame=sel.rank_at(run, pick.head), x="pos", xlabel="token", ylabel="directions",
        series={"rank": colour.OTHER}, title=sel.title_of(pick.head, "effective rank"),
    )  # fmt: skip
    return [v.Beside([values, rank], width=420), v.Table(frame, v.DATA)]


def _probes(run: Result, pick: v.Pick) -> v.Item:
    return v.picture(
        "curves", sel.probes_at(run, pick.layer), "lag", "accuracy", "lane", percent=True,
        interval=("low", "high"), level={"chance": "chance"}, xlabel="pairs back",
        ylabel="rows whose value is found (%)", title=f"Layer {pick.layer}", height=360,
        xticks=sel.lag_ticks(run),
    )  # fmt: skip


ANSWER = v.Answer(("rewritten", "held", "half_life"), picture=("Pairs", 0), beside=("others",))
VIEWS = [
    v.View("Pairs", needs="edits", parts=[
        v.finding("rewritten", "others", "erased", "not_recalled"),
        v.chart("rate_bars", sel.edits, names="change", words=_BARS, of="pairs",
                title="What the model answers after a change of the state, held-out rows (%)"),
        v.row(
            v.column(v.knob("change", "What was done", sel.changes), v.on("change", _matrix)),
            v.on(["prompt", "change"], _changed, needs="answers"),
            widths=(560, 420),
        ),
        v.chart("curves", sel.rewrites, "layer", "new", "kind", percent=True,
                interval=("new_low", "new_high"), ylabel="answers that follow (%)",
                xticks=sel.layer_ticks, title="Rewriting a pair, by layer"),
        v.table("edits", "All layers and changes"),
        v.finding("wiped_is_fresh", small=True),
    ], first={"prompt": sel.chosen_pair}),
    v.View("Forgotten", needs="predictors", parts=[
        v.finding("held", "foretold", "too_few_forgotten"),
        v.row(
            v.chart("lines", "forgotten", "age", _AGE, bands=_BANDS, ylim=(-0.03, 1.03),
                    xlabel="pairs read after it", ylabel="share of pairs",
                    title="By how many pairs were read after it"),
            v.chart("intervals", sel.predictors, "what", "layer", unit="AUC above chance (0.5)",
                    title="What tells which pairs fail, held-out rows"),
            widths=(420, 420),
        ),
        v.chart("curves", sel.margins, "pos", "margin", "pair", level={"forgotten below": 0.0},
                xlabel="token", ylabel="margin (cosine)", needs="margins", height=360,
                title="The row that is shown: what each pair's question would read"),
        v.on("prompt", _damage, needs="margins"),
        v.table("pairs", "The pairs that are shown", picks="prompt", by="pair"),
        v.table("predictors", "What tells pairs that fail"),
    ], first={"prompt": sel.chosen_pair}),
    v.View("Reading", needs="shares", first={"pos": sel.chosen_pos, "head": sel.head_in("shares")},
           otherwise="the text is longer than what is shown token by token", parts=[
        v.finding("needle"),
        v.says(schema.SHARES),
        v.key_pad(sel.places("shares"), sel.reads_most),
        v.row(
            v.show(lambda run: v.picture("pattern_grid", run.arrays["shares"], picks="head",
                                         title="Shares")),
            v.column(
                v.on("head", lambda run, pick: v.picture(
                    "pattern", values=sel.matrix(run, "shares", pick.head),
                    tokens=sel.tokens(run), picks="pos",
                    title=sel.title_of(pick.head, "implicit attention"))),
                _TOKEN,
                v.on(["head", "pos"], _shares),
            ),
            widths=(0, 420), sticky=True,
        ),
        v.table("needles", "What questions read, by head", order=["-own"], picks="head"),
        v.show(lambda run: v.picture("pattern_grid", run.arrays["patterns"],
                                     title="Softmax attention of the other layers"),
               needs="patterns"),
    ]),
    v.View("Ledger", needs="traces", first={"head": sel.head_in("traces"), "pos": sel.chosen_pos},
           parts=[
        v.finding("half_life", "lost", "worst_token", "left_out"),
        v.says(schema.LEDGER),
        v.heads("heads", {
            "stays": v.Scale("Stays", "share of what is written", "more is lost", "all"),
            "key_overlap": v.Scale("Keys", "mean |cosine| of two keys", "", "alike"),
        }, describe="half-life {half_life:.3g} tokens, overlap of keys {key_overlap:.2f}", beside=[
            v.on("head", _written),
        ]),
        v.on("head", _traces),
        v.table("heads", "All heads", picks="head"),
    ]),
    v.View("Damage", needs="damage", first={"head": sel.head_in("damage"), "pos": sel.chosen_pos},
           otherwise="the text is longer than what is shown token by token", parts=[
        v.finding("worst_token"),
        v.says(schema.DAMAGE),
        v.key_pad(sel.places("damage"), sel.describe_head),
        v.row(
            v.on("head", lambda run, pick: v.picture(
                "pattern", values=sel.damage_shares(run, pick.head), tokens=sel.tokens(run),
                title=sel.title_of(pick.head, "who wrote under whose key"),
                axes=("token that writes", "key of token"), value="share of the largest")),
            v.on("head", lambda run, pick: v.picture(
                "pattern", values=sel.retained(run, pick.head), tokens=sel.tokens(run),
                title=sel.title_of(pick.head, "what keys still read"),
                axes=("after token", "key of token"), value="cosine to its value")),
            widths=(420, 420),
        ),
    ]),
    v.View("Spectrum", needs="spectra", first={"head": sel.head_in("spectra")}, parts=[
        v.finding("rank"),
        v.says(schema.SPECTRUM),
        v.key_pad(sel.places("spectra"), sel.describe_head),
        v.on("head", _spectrum),
    ]),
    v.View("Probes", needs="probes", parts=[
        v.finding("decoded"),
        v.knob("layer", "Layer", sel.probe_layers, width=100),
        v.on("layer", _probes),
        v.table("probes"),
    ], first={"layer": lambda run, pick: pick.selection.layer
              if pick.selection.layer in sel.probe_layers(run).values()
              else next(iter(sel.probe_layers(run).values()))}),
    v.View("Fading", needs="fading", parts=[
        v.finding("fades"),
        v.chart("curves", "fading", "gap", "rate", "kind", scale="doublings", percent=True,
                interval=("low", "high"), xlabel="tokens of other text behind the pairs",
                ylabel="pairs (%)", title="Recall behind other text", height=360),
        v.table("fading"),
    ]),
    v.View("Memories", needs="memories", parts=[
        v.finding("router_*"),
        v.chart("rate_bars", sel.memories, names="name", words=_MEMORIES, of="questions",
                title="Recall with one memory silenced (%)"),
        v.show(_routes),
        v.table("memories"),
    ]),
    *QUESTION_VIEWS,
    *GATE_VIEWS,
]  # fmt: skip
