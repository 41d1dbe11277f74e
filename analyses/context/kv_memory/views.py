"""What a run looks like."""

from __future__ import annotations

from analyses.claims import view as claims_view
from analyses.context.kv_memory import claims, schema
from analyses.context.kv_memory import selections as sel
from analyses.context.kv_memory.constants import FULL, ORACLE, RANDOM, RECENCY
from workbench import draw
from workbench import views as v
from workbench.draw import colour
from workbench.draw.layer_token_table import Cell
from workbench.draw.tokens import Span
from workbench.result import Result

_HUES = {RANDOM: colour.OTHER, RECENCY: "#c8ccd2", ORACLE: "#c0504d", "snapkv": colour.FUNCTION,
         "h2o": colour.MEMORY, "keydiff": colour.CONTEXT, "streaming": colour.BLUE_STROKE,
         "sirllm": "#c9a227", "tova": "#b0708f", "key-norm": "#6f9e4f", "expected": "#a5654a",
         FULL: colour.INK}  # fmt: skip
_HITS = {"hit": ("answer's block fetched", colour.MEMORY),
         "mass": ("attention that goes to fetched blocks", colour.CONTEXT),
         "chance": ("if blocks were drawn", colour.OTHER)}  # fmt: skip
_RETRIEVAL = {"similarity": colour.FUNCTION, "with neighbours": colour.CONTEXT}
_MODES = {"as it is": colour.OTHER, "LM-Infinite": colour.FUNCTION}
_BEGINS = {"episode": Span("an episode begins", colour.MEMORY)}
_KEPT = {"kept": colour.MEMORY, "evicted": colour.OTHER}
_ANSWERED = {"answered": colour.MEMORY}
_MARKS = {"answer": Span("answer", colour.MEMORY), "evidence": Span("evidence", colour.CONTEXT,
                                                                    "dotted")}  # fmt: skip
_PRUNED = {"ThinK": colour.FUNCTION, "best truncation": colour.CONTEXT,
           "random channels": colour.OTHER}  # fmt: skip
_SHARES = {"score": ("ThinK's score", colour.FUNCTION), "even": ("if all were alike", colour.OTHER)}


def _strip(run: Result, pick: v.Pick) -> v.Item:
    table = run.tables["tokens"]
    values = sel.head_share(run, pick["policy"], pick["budget"], pick["kv_head"])
    return draw.token_strip(
        list(table["token"]), [float(x) for x in values], spans=list(table["kind"]), marks=_MARKS,
        top=1.0, title=f"What {pick['policy']} keeps", unit="share of heads that keep it",
    )  # fmt: skip


def _answer(run: Result, pick: v.Pick) -> v.Item:
    return draw.paragraph(sel.answer_in_words(run, pick["policy"], pick["budget"]))


def _channels(run: Result, pick: v.Pick) -> v.Item:
    return v.picture(
        "matrix", sel.channel_map(run, pick["channel_layer"]), "head", "pairs", "share",
        title="Pairs of channels, the fastest turning first", unit="% of the head's score",
    )  # fmt: skip


def _raster(run: Result, pick: v.Pick) -> v.Item:
    rows = sel.raster(run, pick["asked"])
    names = [f"{a}–{b - 1}" for a, b in rows[["first", "last"]].drop_duplicates().to_numpy()]
    top = max(float(rows["mass"].max()), 1e-9)
    cells = {
        (int(row.layer), int(row.block)): Cell(
            ("●" if row.fetched else "") + ("★" if row.answer else ""), row.mass / top,
            f"layer {row.layer}, tokens {row.first} to {row.last - 1}\n{row.mass:.1%} of attention",
        )
        for row in rows.itertuples()
    }  # fmt: skip
    caption = "● fetched, ★ the answer stands there; colour: attention over the whole cache"
    return draw.token_table(
        names, cells, columns=range(len(names)), chosen=(None, -1), caption=caption
    )


def _trace(run: Result) -> v.Item:
    table = run.tables["tokens"]
    if "begins" not in table:
        return None
    return draw.token_strip(
        list(table["token"]), [float(x) for x in table["surprisal"]],
        spans=["episode" if x else "" for x in table["begins"]], marks=_BEGINS,
        title="Surprisal of the first text, and where its episodes begin", unit="nats",
    )  # fmt: skip


ANSWER = v.Answer(("quarter", "in_view", "survival"), picture=("Budgets", 0),
                  beside=("full", "smearing"))  # fmt: skip
VIEWS = [
    v.View("Budgets", needs="recall", parts=[
        v.finding("quarter", "in_view", "full"),
        v.chart("curves", sel.recall_unknown, "percent", "rate", "policy", percent=True,
                hues=_HUES, xlabel="kept of the cache (%)", ylabel="questions answered (%)",
                height=420, title="Before the question is known"),
        v.says(schema.BUDGETS),
        v.chart("curves", sel.recall_in_view, "percent", "rate", "policy", percent=True,
                hues=_HUES, xlabel="kept of the cache (%)", ylabel="questions answered (%)",
                height=380, title="With the question in view"),
        v.table("recall", "All policies and budgets"),
        v.table("answers", "Every question"),
    ]),
    v.View("What is kept", needs=("kept_from", "shown"), parts=[
        v.says(schema.KEPT),
        v.row(v.knob("budget", "Kept", sel.budgets), v.knob("policy", "Policy", sel.policies),
              v.knob("kv_head", "Head", sel.heads)),
        v.on(["policy", "budget"], _answer),
        v.on(["policy", "budget", "kv_head"], _strip),
        v.table("shown", "The answer under every policy and budget"),
    ]),
    v.View("Survival", needs="survival", parts=[
        v.finding("survival", "smearing"),
        v.row(
            v.chart("rate_bars", sel.survival, names="policy", words=_KEPT, of="cases",
                    title="Answered where the answer is kept, and where not (%)"),
            v.chart("rate_bars", sel.smearing, names="kept", words=_ANSWERED, of="questions",
                    title="Answered without the evidence itself (%)"),
            widths=(420, 420),
        ),
        v.table("survival"), v.table("smearing"),
    ]),
    v.View("Turns", needs="turns", otherwise="no policy that looks at the question, or one question"
           " a text", parts=[
        v.finding("turns"),
        v.chart("curves", sel.turns, "turn", "logprob", "policy", hues=_HUES, xlabel="turn",
                ylabel="log-probability of the answer (nats)",
                title="A cache thinned out for the first question"),
        v.table("turns"),
    ]),
    v.View("Channels", needs="channels", parts=[
        v.finding("channels"),
        v.row(
            v.chart("curves", sel.pruned, "percent", "logprob", "method", hues=_PRUNED,
                    order=list(_PRUNED), xlabel="channels gone (%)",
                    ylabel="log-probability of the answer (nats)", title="The answer"),
            v.chart("curves", sel.pruned, "percent", "error", "method", percent=True,
                    hues=_PRUNED, order=list(_PRUNED), xlabel="channels gone (%)",
                    ylabel="error of the scores (%)", title="Scores of attention"),
            widths=(420, 420),
        ),
        v.knob("channel_layer", "Layer", sel.layers_of_channels),
        v.row(
            v.on("channel_layer", _channels),
            v.chart("lines", sel.channel_curve, "channels", _SHARES, xlabel="best channels (%)",
                    ylabel="of the score (%)", title="Few channels have most of the score"),
            widths=(420, 420),
        ),
        v.table("channels"),
    ]),
    v.View("Bits", needs="bits", parts=[
        v.finding("bits"),
        v.chart("rate_bars", sel.bit_rates, names="name", words=_ANSWERED, of="questions",
                title="Answered from a cache of few bits (%)"),
        v.table("bits"),
    ]),
    v.View("Blocks", needs="lookups", parts=[
        v.finding("blocks"),
        v.knob("asked", "First text", sel.raster_questions),
        v.on("asked", _raster),
        v.row(
            v.chart("lines", sel.hits_by_layer, "layer", _HITS, ylabel="percent",
                    title="Answer's block fetched, by layer"),
            v.chart("rate_bars", sel.by_hits, names="case", words=_ANSWERED, of="questions",
                    title="Answered from what is seen (%)"),
            widths=(420, 420),
        ),
        v.table("fetched"), v.table("lookups"),
    ]),
    v.View("Episodes", needs="episodes", parts=[
        v.finding("episodes"),
        v.chart("rate_bars", sel.episode_hits, names="boundaries", words=_RETRIEVAL,
                of="questions", xlabel="share of layers",
                title="Layers that fetch the answer's episode (%)"),
        v.says(schema.EPISODES),
        v.show(_trace, needs="tokens"),
        v.table("episodes"),
    ]),
    v.View("Past the window", needs="past", parts=[
        v.finding("past_window"),
        v.chart("curves", sel.past, "windows", "loss", "mode", hues=_MODES,
                xlabel="position, in trained lengths", ylabel="loss (nats)",
                title="Loss along the text"),
        v.table("past_needles", "A needle in it"), v.table("past"),
    ]),
    claims_view(claims.CLAIMS, claims.ABOUT),
]  # fmt: skip
