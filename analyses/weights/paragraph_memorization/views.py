"""What a paragraph-memorization run looks like: the passage as text first, charts around it.

Touches no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.weights.paragraph_memorization import heads_view, passage_view
from analyses.weights.paragraph_memorization.groups import GROUPS, MEMORIZED, NOT, PARTLY
from workbench import draw
from workbench.draw import colour
from workbench.draw.view import Row, Table, View

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.result import Result

AGAIN = "The run was stopped before it came to this; run the analysis again and let it finish."
HUES = {MEMORIZED: colour.MEMORY, PARTLY: colour.FUNCTION, NOT: colour.CONTEXT}
MASKS = {
    "contrast": ("gradient, against others", colour.MEMORY),
    "gradient": ("gradient alone", colour.FUNCTION),
    "random": ("random weights", colour.OTHER),
    "all": ("all weights", colour.CONTEXT),
}
_PER_HEAD, _MLP = ("W_Q", "W_K", "W_V", "W_O"), ("W_gate", "W_in", "W_out")


def views(result: Result) -> dict[str, Any]:
    """Tabs, by the title a person reads. Nothing is computed until a tab is looked at."""
    from analyses.weights.paragraph_memorization.removal_view import live, still

    asked = result.params
    no_traces = (
        "no passages were traced (the parameter traced is 0)" if asked.get("traced") == 0 else ""
    )
    no_edits = (
        "nothing was to be removed (the parameter edits is 0)" if asked.get("edits") == 0 else ""
    )
    return {
        "Passages": View(
            lambda: passage_view.still(result), live=lambda _: passage_view.live(result)
        ),
        "Triggers": View(lambda: _triggers(result)),
        "Weights": View(lambda: _weights(result)),
        "Heads": View(
            lambda: heads_view.still(result),
            live=lambda pictures: heads_view.live(result, pictures),
        ),
        "Patching": View(lambda: _patching(result), why_not=no_traces),
        "Removal": View(
            lambda: still(result), live=lambda pictures: live(result, pictures), why_not=no_edits
        ),
        "Claims": View(lambda: _claims(result)),
    }


def _says(result: Result, *names: str) -> list[Any]:
    return [draw.says(result.findings[name].says) for name in names if name in result.findings]


def _triggers(result: Result) -> list[Any]:
    if "along" not in result.tables:
        return [draw.note("No token was replaced.", AGAIN)]
    along = result.tables["along"]
    parts: list[Any] = _says(result, "triggers")
    for column, title, ylabel, sign in (
        (
            "match",
            "Leading tokens lost when one token of the prefix is replaced",
            "tokens lost",
            -1,
        ),
        (
            "loss",
            "Rise in loss of what the model would have said (nats per token)",
            "nats per token",
            1,
        ),
    ):
        wide = (sign * along.pivot(index="prefix", columns="group", values=column)).reset_index()
        series = {group: (group, HUES[group]) for group in GROUPS if group in wide}
        parts.append(
            draw.lines(
                wide, "prefix", series, title=title, xlabel="token of the prefix", ylabel=ylabel
            )
        )
    drawn = result.params.get("draws", 0)
    parts.append(
        draw.says(
            f"Each token of a prefix is replaced by {drawn} others, drawn from the whole"
            " vocabulary; means over draws and passages. What is lost is counted in the model's"
            " own continuation of the whole prefix, which for memorized passages is the text"
            " itself.",
            small=True,
        )
    )
    return [*parts, Table(along, "The data behind these pictures")]


def _weights(result: Result) -> list[Any]:
    if "weights" not in result.tables:
        return [draw.note("Gradients were not measured.", AGAIN)]
    table = result.tables["weights"]
    parts: list[Any] = _says(result, "gradients")
    parts.append(
        draw.says(
            "Where memorized passages pull more (blue) or less (red) than those that are not"
            " memorized: share of a component in the group's gradients, memorized less not, in"
            " thousandths. Shares, since the loss of what is not memorized is larger and so are all"
            " its gradients. A gradient says what training would move, not what the model uses.",
        )
    )
    for size, said in (("max", "largest entry"), ("rms", "root mean square")):
        contrast = {w: _contrast(table, w, size) for w in _PER_HEAD if w in set(table["weight"])}
        if contrast:
            top = colour.limit(v for array in contrast.values() for v in array.values.ravel())
            grids = [
                draw.head_grid(
                    array,
                    title=f"{w}, {said}",
                    unit="‰",
                    low_word="less",
                    high_word="more",
                    top=top,
                    labels=i == 0,
                )
                for i, (w, array) in enumerate(contrast.items())
            ]
            parts.append(Row(grids))
    parts += [_by_layer(table, "attention", _PER_HEAD), _by_layer(table, "MLP", _MLP)]
    note = (
        "Each passage's own gradient, then the mean. Columns batch_max and batch_rms of the table"
        " are of the mean gradient."
    )
    return [*parts, draw.says(note, small=True), Table(table, "Every component and group")]


def _contrast(table: pd.DataFrame, weight: str, size: str) -> xr.DataArray:
    """Share of each head's weight, memorized less not memorized, in thousandths, (layer, head)."""
    mine = table[table["weight"] == weight].set_index(["layer", "head"])
    shares = [
        1000 * mine.loc[mine["group"] == group, f"share_{size}"] for group in (MEMORIZED, NOT)
    ]
    return (shares[0] - shares[1]).sort_index().to_xarray()


def _by_layer(table: pd.DataFrame, name: str, weights: tuple[str, ...]) -> Any:
    mine = table[table["weight"].isin(weights)]
    wide = (
        100 * mine.pivot_table(index="layer", columns="group", values="share_max", aggfunc="sum")
    ).reset_index()
    series = {group: (group, HUES[group]) for group in GROUPS if group in wide}
    title = f"Share of the group's gradients in {name}, by layer (%)"
    return draw.lines(
        wide,
        "layer",
        series,
        title=title,
        xlabel="layer",
        ylabel="share of largest entries (%)",
        height=260,
    )


def _patching(result: Result) -> list[Any]:
    if "patch_heads" not in result.arrays:
        return [
            draw.note(
                "No passage was traced.",
                "No single token stops any of these passages, or the run was stopped before.",
            )
        ]
    mean = result.arrays["patch_heads"].mean("passage")
    titles = {"passage into twin": "Passage into twin", "twin into passage": "Twin into passage"}
    grids = [
        draw.head_grid(
            mean.sel(direction=way),
            title=titles[str(way)],
            unit="nats",
            low_word="away",
            high_word="back",
            labels=i == 0,
        )
        for i, way in enumerate(mean["direction"].values)
    ]
    marked = Markup("").join(
        passage_view.patched(result, int(n))
        for n in result.arrays["patch_positions"]["passage"].values[:3]
    )
    return [
        *_says(result, "patching"),
        draw.says(
            "A passage and its twin differ in one token of the prefix, the one whose replacement"
            " costs most. One value of the one run is put into the other, and what the model gives"
            " to the first token that changes is read: blue brings it back, red takes it away (nats"
            " of ln p). Left and right have scales of their own."
        ),
        Row(grids),
        draw.says("One place at one token, from the replaced token on:"),
        marked,
        Table(result.tables["twins"], "The twins"),
    ]


def _claims(result: Result) -> list[Any]:
    if "claims" not in result.tables:
        return [draw.note("The run did not come to its end.", AGAIN)]
    about = (
        "The claims of Stoehr et al. 2024 about GPT-Neo 125M, and what this run says of each on its"
        " own model. A claim that comes out again on one model is no law; one that does not may"
        " have been about the other model's size or training."
    )
    return [
        *_says(result, "claims"),
        draw.says(about, small=True),
        Table(result.tables["claims"], "Claim by claim"),
    ]
