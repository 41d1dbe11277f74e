"""The Passages tab: one passage as text, its triggers, and layer by token what is behind each of
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.weights.paragraph_memorization.groups import GROUPS, MEMORIZED
from workbench import draw
from workbench.draw import colour
from workbench.draw.layer_token_table import WINDOW, Cell, window
from workbench.draw.tokens import Span
from workbench.draw.view import Table

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

SAID, ELSE, GIVEN = "said by the model", "the model says something else", "given"
MARKS = {
    GIVEN: Span(GIVEN, colour.OTHER, "dotted"),
    SAID: Span(SAID, colour.MEMORY, "solid"),
    ELSE: Span(ELSE, colour.CONTEXT, "double"),
}
_GRADIENT, _PATCH = "gradient", "patch"


def listed(result: Result) -> pd.DataFrame:
    """The passages as a person looks for them."""
    columns = ["passage", "name", "kind", "repeats", "group", "match", "loss", "suffix", "said"]
    table = result.tables["passages"]
    return table[[c for c in columns if c in table]]


def tokens_of(result: Result, passage: int) -> pd.DataFrame:
    table = result.tables["tokens"]
    return table[table["passage"] == passage].sort_values("pos")


def strip(result: Result, passage: int) -> Markup:
    """The passage's text: prefix coloured by what each token's replacement costs, suffix marked
    by what is said.
    """
    import numpy as np

    mine, row = (
        tokens_of(result, passage),
        result.tables["passages"].set_index("passage").loc[passage],
    )
    suffix = mine["part"] == "suffix"
    if "trigger" in mine:
        values = (-mine["trigger"]).clip(lower=0).fillna(0.0)
        unit = "tokens lost when it is replaced (mean over draws)"
    else:
        values, unit = mine["p"].where(suffix, 0.0).fillna(0.0), "probability of each token"
    notes = [
        f"p {p:.2f}; likeliest: “{word}”" if part == "suffix" else ""
        for p, word, part in zip(mine["p"], mine["likeliest"], mine["part"], strict=True)
    ]
    read = row.get("repeats")
    times = f", read {int(read)} times" if read is not None and read == read else ""
    return draw.token_strip(
        list(mine["token"]),
        [float(v) for v in values],
        spans=list(np.select([~suffix, mine["said"]], [GIVEN, SAID], ELSE)),
        marks=MARKS,
        title=f"{row['name']} – {row['group']}{times}: {row['match']} tokens said.",
        unit=unit,
        notes=notes,
    )


def instead(result: Result, passage: int) -> Markup:
    """What the model says, where that is not the text, and what stops it where it is."""
    row = result.tables["passages"].set_index("passage").loc[passage]
    parts = Markup("")
    if row["group"] != MEMORIZED:
        parts += draw.says("After the given text the model says:") + Markup(
            '<p class="wb-said-text">{}</p>'
        ).format(row["said"])
    twins = result.tables.get("twins")
    if twins is not None and passage in set(twins["passage"]):
        twin = twins.set_index("passage").loc[passage]
        parts += draw.says(
            f"What stops it soonest: “{twin['replacement']}” for “{twin['token']}” (token"
            f" {twin['pos']}); then {twin['impact']} tokens are said, up to"
            f" “{twin['impact_token']}”."
        )
    return parts


def draws(result: Result, passage: int, pos: int) -> pd.DataFrame:
    """What replacing one token does, draw by draw."""
    table = result.tables.get("perturbed")
    if table is None:
        return result.tables["passages"].iloc[:0][["passage"]]
    mine = table[(table["passage"] == passage) & (table["pos"] == pos)]
    shown = {
        "replaced by": [f"“{r}”" for r in mine["replacement"]],
        "tokens lost": -mine["match"],
        "rise in loss": mine["loss"],
    }
    return mine.assign(**shown)[list(shown)].reset_index(drop=True)


def layers(result: Result, passage: int) -> dict[str, tuple[str, str, str]]:
    """What can be drawn layer by token for a passage: title to (kind, site, direction)."""
    options: dict[str, tuple[str, str, str]] = {}
    slopes, patches = result.arrays.get("slopes"), result.arrays.get("patch_positions")
    if patches is not None and passage in patches["passage"]:
        for way in patches["direction"].values:
            options |= {
                f"patched {way}: {site}": (_PATCH, str(site), str(way))
                for site in patches["site"].values
            }
    if slopes is not None and passage in slopes["passage"]:
        options |= {
            f"gradient at {site}": (_GRADIENT, str(site), "")
            for site in reversed(slopes["site"].values)
        }
    return options


def by_token(
    result: Result,
    passage: int,
    what: tuple[str, str, str],
    pos: int,
    here: tuple[int | None, int | None],
) -> Markup:
    """Layers × tokens: gradients or effects of patching."""
    import numpy as np

    kind, site, way = what
    mine = list(tokens_of(result, passage)["token"])
    if kind == _GRADIENT:
        values = result.arrays["slopes"].sel(passage=passage, site=site)
        unit = "nats per token per unit"
    else:
        values = result.arrays["patch_positions"].sel(passage=passage, site=site, direction=way)
        unit = "nats of ln p"
    known = {int(p): i for i, p in enumerate(values["pos"].values)}
    numbers = values.transpose("layer", "pos").values
    top = float(np.nanmax(np.abs(numbers))) if np.isfinite(numbers).any() else 1.0
    measured = [p for p, i in known.items() if np.isfinite(numbers[:, i]).any()]
    # Patching begins at the replaced token: what comes before has no numbers.
    columns = window(len(mine), max(pos, min(measured, default=0) + WINDOW // 2 - 1))
    cells = {}
    for i, layer in enumerate(values["layer"].values):
        for column in columns:
            if column in known and np.isfinite(numbers[i, known[column]]):
                value = float(numbers[i, known[column]])
                text = (
                    f"{value:.2g}"
                    if kind == _GRADIENT
                    else f"{value:+.1f}"
                    if abs(value) >= 0.05
                    else "0"
                )
                tip = (
                    f"layer {layer}, token {column}: {value:{'' if kind == _GRADIENT else '+'}.4f}"
                    f" {unit}"
                )
                cells[int(layer), column] = Cell(text, abs(value) / (top or 1.0), tip)
    if not cells:
        return draw.note(
            "Nothing was measured at these tokens.",
            f"Choose a token from number {min(measured, default=0)} on.",
        )
    caption = (
        f"{site}, {'largest gradient' if kind == _GRADIENT else way}, by layer and token ({unit})"
    )
    return draw.token_table(mine, cells, columns=columns, here=here, caption=caption)


def patched(result: Result, passage: int) -> Markup:
    """A passage with the stream patched, both ways, for a still picture."""
    row = result.tables["twins"].set_index("passage").loc[passage]
    parts = instead(result, passage)
    for title, what in layers(result, passage).items():
        if what[0] == _PATCH and what[1] == "resid_pre":
            parts += draw.says(title, small=True) + by_token(
                result, passage, what, int(row["pos"]), (None, None)
            )
    name = result.tables["passages"].set_index("passage").loc[passage, "name"]
    return Markup('<details class="wb-fold"><summary>{}</summary>{}</details>').format(name, parts)


def _intro(result: Result) -> Markup:
    finding = result.findings.get("passages")
    return draw.says(
        (finding.says if finding else "")
        + " Darker tokens of the prefix are those without which it is not recited; hover for how"
        " many tokens are lost."
    )


def still(result: Result) -> list[Any]:
    if "passages" not in result.tables:
        return [draw.note("No passage was read.", "Run the analysis again and let it finish.")]
    table = listed(result)
    shown = [
        int(p)
        for group in GROUPS
        for p in table.loc[table["group"] == group, "passage"].head(4 if group == MEMORIZED else 1)
    ]
    texts = Markup("").join(strip(result, p) + instead(result, p) for p in shown)
    parts: list[Any] = [_intro(result), texts]
    options = layers(result, shown[0])
    at = (
        result.tables["twins"].set_index("passage")["pos"].get(shown[0])
        if "twins" in result.tables
        else None
    )
    pos = int(at) if at is not None else int(tokens_of(result, shown[0])["pos"].max()) // 2
    for title, what in options.items():
        if what[1] == "resid_post" and what[0] == _GRADIENT:
            parts += [
                draw.says(f"The first passage, {title}:"),
                by_token(result, shown[0], what, pos, (None, pos)),
            ]
    return [*parts, Table(table, "All passages that were looked at")]


def live(result: Result) -> Any:
    """Linked: the table chooses a passage, its text a token, a cell layer and token."""
    from workbench.draw.layer_token_table import clicks, listening
    from workbench.draw.view import (
        STYLES,
        html_pane,
        live_column,
        need_panel,
        safe_columns,
        tabulator,
    )

    if "passages" not in result.tables:
        return live_column(still(result))
    pn, pick = need_panel(), result.selection
    shown = listed(result)
    numbers = set(shown["passage"])
    table = tabulator(shown, height=360, selectable=1)
    text, other, cells = html_pane(Markup("")), html_pane(Markup("")), html_pane(Markup(""))
    about = html_pane(Markup(""))
    options = layers(result, int(shown["passage"].iloc[0]))
    what = pn.widgets.Select(
        name="Layer by token", options=options, width=330, stylesheets=[STYLES], margin=(2, 0, 6, 0)
    )
    # A table keeps the kinds of its first columns: it starts with a token that was replaced.
    replaced = result.tables["perturbed"]["pos"].iloc[0] if "perturbed" in result.tables else 0
    of_token = tabulator(draws(result, int(shown["passage"].iloc[0]), int(replaced)))

    def passage() -> int:
        return int(pick.prompt) if pick.prompt in numbers else int(shown["passage"].iloc[0])

    def pos() -> int:
        mine = tokens_of(result, passage())
        if pick.pos is not None and pick.pos <= int(mine["pos"].max()):
            return int(pick.pos)
        return int(mine["pos"].iloc[mine["trigger"].argmin()]) if "trigger" in mine else 0

    def of_passage(*_: Any) -> None:
        number = passage()
        text.object, other.object = (
            str(listening(strip(result, number))),
            str(instead(result, number)),
        )
        at = [i for i, p in enumerate(shown["passage"]) if p == number]
        if table.selection != at:
            table.selection = at
        mine = layers(result, number)
        if what.options != mine:
            what.param.update(
                options=mine, value=next(iter(mine.values()), None), visible=bool(mine)
            )
        at_token()

    def at_token(*_: Any) -> None:
        number, token = passage(), pos()
        mine = tokens_of(result, number).set_index("pos")
        about.object = str(
            draw.says(f"Token {token}, “{mine['token'].get(token, '')}”, replaced by others:")
        )
        of_token.value = safe_columns(draws(result, number, token))[0]
        by_layer()

    def by_layer(*_: Any) -> None:
        number = passage()
        if what.value is None or what.value not in layers(result, number).values():
            cells.object = str(
                draw.note(
                    "Gradients at tokens and patching were measured for memorized passages.",
                    "Choose one of those.",
                )
            )
            return
        cells.object = str(
            listening(by_token(result, number, what.value, pos(), (pick.layer, pos())))
        )

    def clicked(at: Sequence[int]) -> None:
        pick.param.update(pos=at[-1], **({"layer": at[0]} if len(at) == 2 else {}))

    def from_table(event: Any) -> None:
        if 0 <= event.row < len(shown):
            pick.param.update(prompt=int(shown["passage"].iloc[event.row]), pos=None)

    table.on_click(from_table)
    pick.param.watch(of_passage, "prompt")
    pick.param.watch(at_token, ["pos", "layer"])
    what.param.watch(by_layer, "value")
    of_passage()
    below = html_pane(
        draw.says("All passages that were looked at. Choose one to read it above.", small=True)
    )
    return pn.Column(
        html_pane(_intro(result)),
        clicks(text, clicked),
        other,
        about,
        of_token,
        what,
        clicks(cells, clicked),
        below,
        table,
        sizing_mode="stretch_width",
        min_width=0,
    )
