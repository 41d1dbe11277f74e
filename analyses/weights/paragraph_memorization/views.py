"""What a paragraph-memorization run looks like: the passage as text first, charts around it."""

from __future__ import annotations

from functools import partial
from typing import Any

from markupsafe import Markup

from analyses import claims
from analyses.weights.paragraph_memorization import schema, weight_edits
from analyses.weights.paragraph_memorization import selections as sel
from analyses.weights.paragraph_memorization.claims import CLAIMS, PAPER
from analyses.weights.paragraph_memorization.constants import GROUPS, MEMORIZED, NOT, PARTLY
from workbench import draw
from workbench import views as v
from workbench.draw import colour, passage
from workbench.result import Result
from workbench.selection import head_name

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


def instead(run: Result, number: int) -> Markup:
    """What is generated where that is not the suffix, and the twin's one token where it is."""
    row, twin, parts = sel.passage(run, number), sel.divergence(run, number), Markup("")
    if row["group"] != MEMORIZED:
        text_before = draw.paragraph("After the prefix, greedy decoding generates:")
        parts = text_before + passage.quoted(row["generated"])
    return parts + draw.paragraph(twin) if twin else parts


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


def text(run: Result, pick: v.Pick) -> list[v.Item]:
    """Prefix coloured by what replacing a token loses, suffix by what is reproduced."""
    tokens = sel.tokens(run, pick.prompt)
    strip = passage.strip(
        tokens, tokens.get("lost"), title=sel.about(run, pick.prompt),
        unit="tokens lost when the token is replaced (mean over draws)",
    )  # fmt: skip
    return [v.Clicks(strip, len(tokens)), instead(run, pick.prompt)]


def _draws(run: Result, pick: v.Pick) -> v.Table:
    token = sel.tokens(run, pick.prompt).set_index("pos")["token"].get(pick.pos, "")
    caption = f"Token {pick.pos}, “{token}”, replaced by others:"
    return v.Table(sel.draws(run, pick.prompt, pick.pos), caption)


def _cells(run: Result, pick: v.Pick) -> v.Clicks:
    cells = _by_layer(run, pick.prompt, pick["what"], (pick.layer, pick.pos))
    return v.Clicks(cells, len(sel.tokens(run, pick.prompt)))


def _patched(run: Result, number: int) -> Markup:
    """A passage with the stream patched, both ways."""
    tables = (
        draw.paragraph(title, small=True) + _by_layer(run, number, what, place)
        for title, what, place in sel.patched_stream(run, number)
    )
    return passage.folded(sel.passage(run, number)["name"], instead(run, number), *tables)


def _rewritten(run: Result) -> list[Markup]:
    """From what to what passages were rewritten."""
    old, new = (draw.paragraph(word, small=True) for word in ("From", "to"))
    return [
        passage.folded(row["name"], old, passage.quoted(row["suffix"]), new, passage.quoted(target))
        for row, target in sel.rewritten(run)
    ]


def _without(run: Result, pick: v.Pick) -> v.Picture | None:
    found, xlabel = sel.ablation_losses(run, pick.head), "passages of the select half, sorted"
    return v.picture("bars", **found, unit="tokens", xlabel=xlabel) if found else None


def _contrasts(run: Result, size: str, said: str) -> v.Beside:
    arrays = sel.contrasts(run, size, said)
    return draw.titled_grids(arrays, "‰", "less", "more", one_scale=True)


# Dots of what is still reproduced, and a curve for each group.
_dots = partial(v.chart, "dots", by="line")
_groups = partial(v.chart, "curves", order=GROUPS, hues=_HUES)
_along = partial(_groups, sel.by_position, "prefix_pos", xlabel="position in the prefix")


def _changes(aim: str, done: str) -> list[v.ViewPart]:
    """How much of each passage is still reproduced, by mask; and step by step."""
    return [
        v.finding(done),
        _dots(
            partial(sel.remaining_match, aim=aim), value="share",
            lines=partial(sel.others_retained, aim=aim), label="passages",
            title=f"Still reproduced of each {done} passage, by mask",
            xlabel="share of the suffix (%)",
        ),
        v.chart(
            "curves", partial(sel.match_by_step, aim=aim), "step", "prefix_match", "mask",
            names=sel.MASKS, order=list(sel.MASKS), hues=_MASK_HUES, height=280, ylabel="tokens",
            title=f"Leading tokens reproduced while the passage is {done} (mean)",
        ),
    ]  # fmt: skip


def _keep(run: Result, pick: v.Pick) -> Any:
    """A button for the chosen edit as a file."""
    if (name := pick["change"]) is None:
        return None
    label, file = "Save this edit as a file", partial(weight_edits.file, run, name)
    return draw.download_button(label, f"{name}.safetensors", file)


ANSWER = v.Answer(("heads", "unlearned"), picture=("Removal", 0), beside=("random_controls",))
VIEWS = [
    v.View("Passages", needs="passages", parts=[
        v.finding("passages", more="Darker prefix tokens lose more of the suffix when they are"
                  " replaced; hover for how many tokens."),
        v.on("prompt", text, examples=sel.example_passages),
        v.on(["prompt", "pos"], _draws, needs="perturbed", examples=v.live_only),
        v.knob("what", "Layer by token", lambda run, pick: sel.traced(run, pick.prompt),
               keys="prompt", width=330),
        v.on(["prompt", "pos", "layer", "what"], _cells, examples=sel.a_gradient),
        v.table(sel.passages, "All analysed passages", of="passages", picks="prompt",
                by="passage"),
    ], first={"prompt": sel.chosen_passage, "pos": sel.chosen_token}),
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
        v.says(f"{schema.CONTRAST} {schema.SHARES}"),
        v.show(partial(_contrasts, size="max", said="largest entry")),
        v.show(partial(_contrasts, size="rms", said="root mean square")),
        _groups(sel.by_layer, "layer", "share", "group", per="part", percent=True, height=260,
                title="Share of the group's gradients in {}, by layer (%)",
                ylabel="share of largest entries (%)"),
        v.says(schema.BATCH, small=True),
        v.table("weight_gradients", "Every component and group"),
    ]),
    v.View("Heads", needs="heads", first={"head": sel.chosen_head}, parts=[
        v.says(lambda run: draw.outline_key(
            f"{schema.ABSENCE} {sel.compared(run)}", {"selected": colour.MEMORY})),
        v.heads("heads", _GRIDS, marks=sel.head_roles, hover=sel.losses,
                describe="{prefix_match_change:+.1f} tokens", beside=[
            v.knob("head", "Head, by tokens lost without it", sel.by_name, width=240),
            v.on("head", lambda run, pick: draw.card(
                head_name(*pick.head), sel.head(run, pick.head), schema.EFFECT_FORMATS,
                schema.RANKED,
            ), examples=sel.selected_heads),
        ]),
        v.on("head", _without),
        v.finding("rarity", small=True),
        v.finding("heads"),
        _dots(sel.random_heads, value="prefix_match_share", lines=sel.beside_random,
              title="Random baseline: random heads of the same layers, held-out passages",
              xlabel="share of the suffix still reproduced (%)", needs="held_out_eval"),
        v.table(sel.ranked, "All heads, most tokens lost first", of="heads", picks="head"),
    ]),
    v.View("Patching", needs="patch_heads", otherwise=sel.untraced, parts=[
        v.finding("patching"),
        v.says(f"{schema.TWIN} {schema.PATCHED}"),
        v.show(lambda run: draw.titled_grids(
            sel.patched_heads(run), "nats", "lowers", "raises")),
        v.says("Residual stream at one layer and token, from the replaced token on:"),
        v.show(lambda run: [_patched(run, number) for number in sel.patched(run)[:3]]),
        v.table("perturbed_twins", "The perturbed twins"),
    ]),
    v.View("Removal", needs="weight_edits", otherwise=sel.unchanged, parts=[
        *_changes("unlearn", "unlearned"),
        *_changes("rewrite", "rewritten"),
        v.says(schema.MASKS, small=True),
        v.says(lambda run: schema.NEW if sel.rewritten(run) else None),
        v.show(_rewritten),
        v.says(weight_edits.usage),
        v.row(
            v.knob("change", "Edit", lambda run: list(weight_edits.names(run))),
            v.on("change", _keep, examples=v.live_only)),
        v.table("weight_edits", "All edits"),
    ]),
    claims.view(CLAIMS, claims.about(PAPER)),
]  # fmt: skip
