"""What a paragraph-memorization run looks like: the passage as text first, charts around it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses import claims
from analyses.weights.paragraph_memorization import schema, weight_edits
from analyses.weights.paragraph_memorization import selections as sel
from analyses.weights.paragraph_memorization.claims import CLAIMS, PAPER
from analyses.weights.paragraph_memorization.groups import GROUPS, MEMORIZED, NOT, PARTLY
from workbench import draw
from workbench import views as v
from workbench.draw import colour, passage
from workbench.selection import head_name

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

_HUES = {MEMORIZED: colour.MEMORY, PARTLY: colour.FUNCTION, NOT: colour.CONTEXT}
_MASK_HUES = [colour.MEMORY, colour.FUNCTION, colour.OTHER, colour.CONTEXT]
_GRIDS = {
    "prefix_match_change": v.Scale("Without it", "tokens said", "fewer", "more"),
    "trigger_attention_ratio": v.Scale(
        "Attention on triggers", "× chance, less 1", "below", "above", 1.0
    ),
    "rarity_within": v.Scale("Attention and rarity", "rank correlation", "rare", "frequent"),
}
_CARD = {
    "memorized passages": "{prefix_match_change:+.1f} tokens, {loss_change:+.3f} nats per token",
    "passages not memorized": "{other_loss_change:+.3f} nats per token",
    "neutral prose": "{neutral_loss_change:+.3f} nats per token",
    "attention on triggers": "{trigger_percent:.0f} %, {trigger_attention_ratio:.1f} times chance",
    "attention and rarity": "{rarity_within:+.2f} ({rarity_within_low:+.2f} to"
    " {rarity_within_high:+.2f})"
    "; pooled {rarity_pooled:+.2f}",
}


def strip(run: Result, number: int) -> Markup:
    """A passage: prefix coloured by what replacing a token costs, suffix marked by what is said."""
    mine, row = sel.tokens(run, number), sel.passage(run, number)
    read = passage.times_read(row.get("repeats"))
    title = (
        f"{row['name']} – {row['group']}{read and f', {read}'}: {row['prefix_match']} tokens said."
    )
    if "prefix_match_change" not in mine:
        return passage.strip(mine, title=title)
    unit = "tokens lost when it is replaced (mean over draws)"
    return passage.strip(
        mine, title=title, values=(-mine["prefix_match_change"]).clip(lower=0), unit=unit
    )


def instead(run: Result, number: int) -> Markup:
    """What the model says, where that is not the text, and what stops it where it is."""
    row, twin, parts = sel.passage(run, number), sel.twin(run, number), Markup("")
    if row["group"] != MEMORIZED:
        parts += draw.says("After the given text the model says:") + passage.quoted(
            row["generated"]
        )
    return parts if twin is None else parts + draw.says(
        f"What stops it soonest: “{twin['replacement']}” for “{twin['token']}” (token"
        f" {twin['pos']}); then {twin['divergence_position']} tokens are said, up to"
        f" “{twin['divergence_token']}”."
    )  # fmt: skip


def _by_layer(run: Result, number: int, what: sel.Traced | None, here: sel.Place) -> Markup:
    """Layers × tokens: gradients or effects of patching."""
    if what is None or what not in sel.traced(run, number).values():
        missing = "Gradients at tokens and patching were measured for memorized passages."
        return draw.note(missing, "Choose one of those.")
    return draw.effect_table(
        sel.by_layer_and_token(run, number, what), list(sel.tokens(run, number)["token"]), here,
        caption=f"{what.site}, {what.way or 'largest gradient'}, by layer and token",
        unit="nats of ln p" if what.way else "nats per token per unit", signed=bool(what.way),
    )  # fmt: skip


def _clicks(run: Result, pick: v.Pick, markup: Markup) -> v.Clicks:
    return v.Clicks(markup, len(sel.tokens(run, pick.prompt)))


def _text(run: Result, pick: v.Pick) -> list[Any]:
    return [_clicks(run, pick, strip(run, pick.prompt)), instead(run, pick.prompt)]


def _draws(run: Result, pick: v.Pick) -> list[Any]:
    token = sel.tokens(run, pick.prompt).set_index("pos")["token"].get(pick.pos, "")
    said = f"Token {pick.pos}, “{token}”, replaced by others:"
    return [said, v.Table(sel.draws(run, pick.prompt, pick.pos))]


def _cells(run: Result, pick: v.Pick) -> v.Clicks:
    here = pick.layer, pick.pos
    return _clicks(run, pick, _by_layer(run, pick.prompt, pick["what"], here))


def _patched(run: Result, number: int) -> Markup:
    """A passage with the stream patched, both ways."""
    tables = (
        draw.says(title, small=True) + _by_layer(run, number, what, place)
        for title, what, place in sel.patched_stream(run, number)
    )
    return passage.folded(sel.passage(run, number)["name"], instead(run, number), *tables)


def _rewritten(row: pd.Series, new: str) -> Markup:
    old = draw.says("From", small=True) + passage.quoted(row["suffix"])
    return passage.folded(row["name"], old, draw.says("to", small=True) + passage.quoted(new))


def _curves(make: Callable[[Result], pd.DataFrame], x: str, y: str, **more: Any) -> v.Part:
    """A curve for each group."""
    given = {"order": GROUPS, "hues": _HUES, **more}
    return v.show(lambda run: v.picture("curves", make(run), x, y, "group", **given))


def _grids(make: Callable[[Result], Any], unit: str, low: str, high: str, **more: Any) -> v.Part:
    def scaled(run: Result) -> v.Beside:
        scales = [(array, v.Scale(title, unit, low, high)) for title, array in make(run).items()]
        return v.grids(scales, **more)

    return v.show(scaled)


def _card(run: Result, pick: v.Pick) -> Markup:
    about = "{picked}, {rank} of {heads} by what its absence costs"
    return draw.card(head_name(*pick.head), sel.head(run, pick.head), _CARD, about)


def _without(run: Result, pick: v.Pick) -> v.Picture | None:
    found = sel.without(run, pick.head)
    return None if found is None else v.picture(
        "bars", values=found.tolist(), names=found.index.tolist(), unit="tokens",
        title=f"Without {head_name(*pick.head)}: leading tokens of each passage (change)",
        xlabel="passages that chose, sorted",
    )  # fmt: skip


def _dots(found: tuple[pd.DataFrame, Any], value: str, title: str, of: str, **more: Any) -> Any:
    frame, strokes = found
    return v.picture("dots", frame, value, "line", title=title, xlabel=of, lines=strokes, **more)


def _changes(aim: str, done: str) -> list[v.Part]:
    """What is still said of each passage afterwards, by mask; and step by step."""
    return [v.finding(done), v.show(lambda run: [
        _dots(
            sel.left(run, aim), "share", f"What is still said of each {done} passage",
            "share of the suffix (%)", label="passages",
        ),
        v.picture(
            "curves", sel.step_by_step(run, aim), "step", "prefix_match", "mask",
            order=list(sel.MASKS), names=sel.MASKS,
            hues=dict(zip(sel.MASKS, _MASK_HUES, strict=True)), height=280,
            xlabel="step", ylabel="tokens",
            title=f"Leading tokens said while the passage is {done} (mean)",
        ),
    ] if aim in set(run.tables["weight_edits"]["aim"]) else None)]  # fmt: skip


ANSWER = v.Answer(("heads", "unlearned"), picture=("Removal", 0))
VIEWS = [
    v.View("Passages", needs="passages", parts=[
        v.finding("passages", more="Darker tokens of the prefix are those without which it is not"
                  " recited; hover for how many tokens are lost."),
        v.on("prompt", _text, examples=sel.some_of_each_group),
        v.on(["prompt", "pos"], _draws, needs="perturbed", examples=lambda run: []),
        v.knob("what", "Layer by token", lambda run, pick: sel.traced(run, pick.prompt),
               keys=["prompt"], width=330),
        v.on(["prompt", "pos", "layer", "what"], _cells, examples=sel.a_gradient),
        v.table(sel.passages, "All passages that were looked at", picks="prompt", by="passage",
                height=360, of="passages"),
    ], first={
        "prompt": lambda run, pick: sel.chosen_passage(run),
        "pos": lambda run, pick: sel.chosen_token(run, pick.prompt),
    }),
    v.View("Triggers", needs="by_position", parts=[
        v.finding("triggers"),
        _curves(sel.by_position, "prefix_pos", "lost", xlabel="token of the prefix",
                ylabel="tokens lost",
                title="Leading tokens lost when one token of the prefix is replaced"),
        _curves(sel.by_position, "prefix_pos", "loss_change", xlabel="token of the prefix",
                ylabel="nats per token",
                title="Rise in loss of what the model would have said (nats per token)"),
        v.says(lambda run: f"{schema.REPLACED} Draws: {run.params.get('draws', 0)}.", small=True),
        v.table("by_position", "The data behind these pictures"),
    ]),
    v.View("Weights", needs="weight_gradients", parts=[
        v.finding("gradients"),
        v.says("Where memorized passages pull more (blue) or less (red) than those that are not"
               " memorized: share of a component in the group's gradients, memorized less not, in"
               f" thousandths. {schema.SHARES}"),
        *(_grids(partial(sel.contrasts, size=size, said=said), "‰", "less", "more", one_scale=True)
          for size, said in (("max", "largest entry"), ("rms", "root mean square"))),
        *(_curves(partial(sel.by_layer, matrices=matrices), "layer", "share", percent=True,
                  title=f"Share of the group's gradients in {what}, by layer (%)", xlabel="layer",
                  ylabel="share of largest entries (%)", height=260)
          for what, matrices in (("attention", sel.PER_HEAD), ("MLP", sel.MLP))),
        v.says(schema.BATCH, small=True),
        v.table("weight_gradients", "Every component and group"),
    ]),
    v.View("Heads", needs="heads", first={"head": lambda run, pick: sel.chosen_head(run)}, parts=[
        v.says(lambda run: draw.outline_key(
            f"{schema.ABSENCE} {len(run.tables['heads'])} heads were compared.",
            {"picked": colour.MEMORY})),
        v.row(
            v.heads("heads", _GRIDS, marks=sel.marks, hover=sel.losses,
                    describe=lambda row: f"without it {row['prefix_match_change']:+.1f} tokens"),
            v.column(
                v.knob("head", "Head, by what its absence costs",
                       lambda run, pick: sel.by_name(run), width=240),
                v.on("head", _card, examples=lambda run: [{"head": h} for h in sel.marks(run)]),
            ),
            widths=(640, 300)),
        v.on("head", _without),
        v.finding("rarity", small=True),
        v.finding("heads"),
        v.show(lambda run: _dots(
            sel.control(run), "prefix_match_share",
            "The control: random heads of the same layers, on passages held out",
            "share of the suffix that is still said (%)"), needs="held_out_eval"),
        v.table(sel.ranked, "All heads, the one whose absence costs most first", picks="head",
                by="label", height=420, of="heads"),
    ]),
    v.View("Patching", needs="patch_heads", otherwise=sel.untraced, parts=[
        v.finding("patching"),
        v.says(f"{schema.TWIN} One value of the one run is put into the other, and what the model"
               " gives to the first token that changes is read: blue brings it back, red takes it"
               " away (nats of ln p). Left and right have scales of their own."),
        _grids(sel.patched_heads, "nats", "away", "back"),
        v.says("One place at one token, from the replaced token on:"),
        v.show(lambda run: [_patched(run, number) for number in sel.patched(run)[:3]]),
        v.table("perturbed_twins", "The twins"),
    ]),
    v.View("Removal", needs="weight_edits", otherwise=sel.unchanged, parts=[
        *_changes("unlearn", "unlearned"),
        *_changes("rewrite", "rewritten"),
        v.says(schema.MASKS, small=True),
        v.says(lambda run: schema.NEW if sel.rewritten(run) else None),
        v.show(lambda run: [_rewritten(*each) for each in sel.rewritten(run)]),
        v.says(weight_edits.how_to_keep),
        v.row(
            v.knob("change", "Change", lambda run, pick: {n: n for n in weight_edits.names(run)}),
            v.download("Keep this change as a file",
                       lambda run, pick: f"{pick['change']}.safetensors",
                       lambda run, pick: weight_edits.file(run, pick["change"]), keys=["change"],
                       needs=lambda run: bool(weight_edits.names(run)))),
        v.table("weight_edits", "Every update"),
    ]),
    claims.view(CLAIMS, PAPER),
]  # fmt: skip
