"""What a paragraph-memorization run looks like: the passage as text first, charts around it."""

from __future__ import annotations

from collections.abc import Mapping
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
from workbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.result import Result

_HUES = {MEMORIZED: colour.MEMORY, PARTLY: colour.FUNCTION, NOT: colour.CONTEXT}
_MASK_HUES = dict(zip(
    sel.MASKS, (colour.MEMORY, colour.FUNCTION, colour.OTHER, colour.CONTEXT), strict=True
))  # fmt: skip
_GRIDS = {
    "prefix_match_change": v.Scale("Zero ablation", "tokens reproduced", "fewer", "more"),
    "trigger_attention_ratio": v.Scale(
        "Attention to triggers", "× chance − 1", "below", "above", 1.0
    ),
    "rarity_within": v.Scale(
        "Attention and token frequency", "rank correlation", "rare", "frequent"
    ),
}
_CARD = {
    "memorized passages": "{prefix_match_change:+.1f} tokens, {loss_change:+.3f} nats per token",
    "passages not memorized": "{other_loss_change:+.3f} nats per token",
    "neutral prose": "{neutral_loss_change:+.3f} nats per token",
    "attention to triggers": "{trigger_percent:.0f} %, {trigger_attention_ratio:.1f} times chance",
    "attention and token frequency": "{rarity_within:+.2f} ({rarity_within_low:+.2f} to"
    " {rarity_within_high:+.2f})"
    "; pooled {rarity_pooled:+.2f}",
}


def strip(run: Result, number: int) -> Markup:
    """A passage: prefix coloured by what replacing a token loses, suffix by what is reproduced."""
    mine, row = sel.tokens(run, number), sel.passage(run, number)
    read = passage.times_read(row.get("repeats"))
    about = f"{row['name']} – {row['group']}{read and f', {read}'}"
    lost = mine.get("prefix_match_change")
    return passage.strip(
        mine, None if lost is None else (-lost).clip(lower=0),
        title=f"{about}: {counted(row['prefix_match'], 'leading token')} reproduced.",
        unit="tokens lost when the token is replaced (mean over draws)",
    )  # fmt: skip


def instead(run: Result, number: int) -> Markup:
    """What is generated where that is not the suffix, and the twin's one token where it is."""
    row, twin, parts = sel.passage(run, number), sel.twin(run, number), Markup("")
    if row["group"] != MEMORIZED:
        said = draw.paragraph("After the prefix, greedy decoding generates:")
        parts = said + passage.quoted(row["generated"])
    return parts if twin is None else parts + draw.paragraph(
        f"Replacement that loses most: “{twin['replacement']}” for “{twin['token']}” (token"
        f" {twin['pos']}). The twin reproduces"
        f" {counted(twin['divergence_position'], 'leading token')} of the suffix and diverges at"
        f" “{twin['divergence_token']}”."
    )  # fmt: skip


def _by_layer(run: Result, number: int, what: sel.Traced | None, here: sel.Place) -> Markup:
    """Layers × tokens: gradients or effects of patching."""
    if what is None or what not in sel.traced(run, number).values():
        missing = "Activation gradients and patching are measured for memorized passages only."
        return draw.empty_state(missing, "Choose one of those.")
    return draw.effect_table(
        sel.by_layer_and_token(run, number, what), list(sel.tokens(run, number)["token"]), here,
        caption=f"{what.site}, {what.way or 'largest gradient'}, by layer and token",
        unit="nats" if what.way else "nats per token per unit", signed=bool(what.way),
    )  # fmt: skip


def _clicks(run: Result, pick: v.Pick, markup: Markup) -> v.Clicks:
    return v.Clicks(markup, len(sel.tokens(run, pick.prompt)))


def _text(run: Result, pick: v.Pick) -> list[v.Item]:
    return [_clicks(run, pick, strip(run, pick.prompt)), instead(run, pick.prompt)]


def _draws(run: Result, pick: v.Pick) -> list[v.Item]:
    token = sel.tokens(run, pick.prompt).set_index("pos")["token"].get(pick.pos, "")
    said = f"Token {pick.pos}, “{token}”, replaced by others:"
    return [said, v.Table(sel.draws(run, pick.prompt, pick.pos))]


def _cells(run: Result, pick: v.Pick) -> v.Clicks:
    here = pick.layer, pick.pos
    return _clicks(run, pick, _by_layer(run, pick.prompt, pick["what"], here))


def _patched(run: Result, number: int) -> Markup:
    """A passage with the stream patched, both ways."""
    tables = (
        draw.paragraph(title, small=True) + _by_layer(run, number, what, place)
        for title, what, place in sel.patched_stream(run, number)
    )
    return passage.folded(sel.passage(run, number)["name"], instead(run, number), *tables)


def _rewritten(row: pd.Series, new: str) -> Markup:
    old = draw.paragraph("From", small=True) + passage.quoted(row["suffix"])
    return passage.folded(row["name"], old, draw.paragraph("to", small=True) + passage.quoted(new))


# A curve for each group.
_groups = partial(v.chart, "curves", order=GROUPS, hues=_HUES)
_along = partial(_groups, sel.by_position, "prefix_pos", xlabel="position in the prefix")


def _grids(arrays: Mapping[str, xr.DataArray], *words: str, one_scale: bool = False) -> v.Beside:
    unit, low, high = words
    scales = [(array, v.Scale(title, unit, low, high)) for title, array in arrays.items()]
    return v.Beside(draw.grids(scales, one_scale=one_scale))


def _contrasts(run: Result, **which: str) -> v.Beside:
    return _grids(sel.contrasts(run, **which), "‰", "less", "more", one_scale=True)


def _card(run: Result, pick: v.Pick) -> Markup:
    about = "{picked}, rank {rank} of {heads} by the tokens lost without it"
    return draw.card(head_name(*pick.head), sel.head(run, pick.head), _CARD, about)


def _without(run: Result, pick: v.Pick) -> v.Picture | None:
    found = sel.ablation_losses(run, pick.head)
    return None if found is None else v.picture(
        "bars", values=found.tolist(), names=found.index.tolist(), unit="tokens",
        title=f"{head_name(*pick.head)} switched off: change of leading tokens, by passage",
        xlabel="passages of the select half, sorted",
    )  # fmt: skip


def _dots(found: tuple[pd.DataFrame, Any], value: str, title: str, of: str, **more: Any) -> Any:
    frame, strokes = found
    return v.picture("dots", frame, value, "line", title=title, xlabel=of, lines=strokes, **more)


def _changes(aim: str, done: str) -> list[v.ViewPart]:
    """How much of each passage is still reproduced, by mask; and step by step."""
    return [v.finding(done), v.show(lambda run: [
        _dots(
            sel.remaining_match(run, aim), "share",
            f"Still reproduced of each {done} passage, by mask",
            "share of the suffix (%)", label="passages",
        ),
        v.picture(
            "curves", sel.match_by_step(run, aim), "step", "prefix_match", "mask", names=sel.MASKS,
            order=list(sel.MASKS), hues=_MASK_HUES, height=280, xlabel="step", ylabel="tokens",
            title=f"Leading tokens reproduced while the passage is {done} (mean)",
        ),
    ] if aim in set(run.tables["weight_edits"]["aim"]) else None)]  # fmt: skip


def _keep(run: Result, pick: v.Pick) -> Any:
    """A button for the chosen edit as a file."""
    if (name := pick["change"]) is None:
        return None
    label, file = "Save this edit as a file", partial(weight_edits.file, run, name)
    return draw.download_button(label, f"{name}.safetensors", file)


# The control of both, as many random heads and weights, is among the claims.
ANSWER = v.Answer(("heads", "unlearned"), picture=("Removal", 0), beside=("claims",))
VIEWS = [
    v.View("Passages", needs="passages", parts=[
        v.finding("passages", more="Darker prefix tokens lose more of the suffix when they are"
                  " replaced; hover for how many tokens."),
        v.on("prompt", _text, examples=sel.example_passages),
        v.on(["prompt", "pos"], _draws, needs="perturbed", examples=lambda run: []),
        v.knob("what", "Layer by token", lambda run, pick: sel.traced(run, pick.prompt),
               keys=["prompt"], width=330),
        v.on(["prompt", "pos", "layer", "what"], _cells, examples=sel.a_gradient),
        v.table(sel.passages, "All analysed passages", picks="prompt", by="passage",
                height=360, of="passages"),
    ], first={
        "prompt": lambda run, pick: sel.chosen_passage(run),
        "pos": lambda run, pick: sel.chosen_token(run, pick.prompt),
    }),
    v.View("Triggers", needs="by_position", parts=[
        v.finding("triggers"),
        _along("lost", "group", ylabel="tokens lost",
               title="Leading tokens lost when one token of the prefix is replaced"),
        _along("loss_change", "group", ylabel="nats per token",
               title="Rise in loss of the model's own continuation (nats per token)"),
        v.says(lambda run: f"{schema.REPLACED} Draws: {run.params.get('draws', 0)}.", small=True),
        v.table("by_position", "The data behind these pictures"),
    ]),
    v.View("Weights", needs="weight_gradients", parts=[
        v.finding("gradients"),
        v.says("Share of each component in the gradients of a group, in thousandths: memorized −"
               " not memorized. Blue: larger for memorized passages; red: smaller."
               f" {schema.SHARES}"),
        *(v.show(partial(_contrasts, size=size, said=said))
          for size, said in (("max", "largest entry"), ("rms", "root mean square"))),
        *(_groups(partial(sel.by_layer, matrices=matrices), "layer", "share", "group",
                  title=f"Share of the group's gradients in {what}, by layer (%)", xlabel="layer",
                  ylabel="share of largest entries (%)", height=260, percent=True)
          for what, matrices in (("attention", sel.PER_HEAD), ("MLP", sel.MLP))),
        v.says(schema.BATCH, small=True),
        v.table("weight_gradients", "Every component and group"),
    ]),
    v.View("Heads", needs="heads", first={"head": lambda run, pick: sel.chosen_head(run)}, parts=[
        v.says(lambda run: draw.outline_key(
            f"{schema.ABSENCE} {len(run.tables['heads'])} heads were compared.",
            {"selected": colour.MEMORY})),
        v.row(
            v.heads("heads", _GRIDS, marks=sel.head_roles, hover=sel.losses,
                    describe=lambda row: f"{row['prefix_match_change']:+.1f} tokens"),
            v.column(
                v.knob("head", "Head, by tokens lost without it",
                       lambda run, pick: sel.by_name(run), width=240),
                v.on("head", _card, examples=lambda run: [
                    {"head": h} for h in sel.head_roles(run)
                ]),
            ),
            widths=(640, 300)),
        v.on("head", _without),
        v.finding("rarity", small=True),
        v.finding("heads"),
        v.show(lambda run: _dots(
            sel.control(run), "prefix_match_share",
            "Random baseline: random heads of the same layers, held-out passages",
            "share of the suffix still reproduced (%)"), needs="held_out_eval"),
        v.table(sel.ranked, "All heads, most tokens lost first", picks="head",
                by="label", height=420, of="heads"),
    ]),
    v.View("Patching", needs="patch_heads", otherwise=sel.untraced, parts=[
        v.finding("patching"),
        v.says(f"{schema.TWIN} One activation of one run is patched into the other. The effect is"
               " the change of the log-probability of the first token at which they diverge, in"
               " nats: blue raises it, red lowers it. Left and right have separate scales."),
        v.show(lambda run: _grids(sel.patched_heads(run), "nats", "lowers", "raises")),
        v.says("Residual stream at one layer and token, from the replaced token on:"),
        v.show(lambda run: [_patched(run, number) for number in sel.patched(run)[:3]]),
        v.table("perturbed_twins", "The perturbed twins"),
    ]),
    v.View("Removal", needs="weight_edits", otherwise=sel.unchanged, parts=[
        *_changes("unlearn", "unlearned"),
        *_changes("rewrite", "rewritten"),
        v.says(schema.MASKS, small=True),
        v.says(lambda run: schema.NEW if sel.rewritten(run) else None),
        v.show(lambda run: [_rewritten(*each) for each in sel.rewritten(run)]),
        v.says(weight_edits.usage),
        v.row(
            v.knob("change", "Edit", lambda run, pick: {n: n for n in weight_edits.names(run)}),
            v.on("change", _keep, examples=v.live_only)),
        v.table("weight_edits", "All edits"),
    ]),
    claims.view(CLAIMS, claims.about(PAPER)),
]  # fmt: skip
