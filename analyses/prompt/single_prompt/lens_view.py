"""The Logit lens tab: what each layer would say next at each token, if it were the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.prompt.single_prompt.views import (
    ONE,
    choose_layer,
    choose_token,
    chosen_layer,
    chosen_pos,
    token_name,
    tokens,
)
from workbench import draw
from workbench.draw import colour
from workbench.draw.layer_token_table import WINDOW, Cell, window
from workbench.draw.view import Table

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


def table(result: Result, here: tuple[int | None, int | None]) -> Markup:
    """Layers × tokens around the chosen one: the likeliest token in each cell, coloured by its
    probability.
    """
    lens = result.tables["lens"]
    columns = window(len(tokens(result)), chosen_pos(result))
    shown = lens[lens["pos"].isin(columns)]
    cells = {}
    for at, part in shown.groupby(["layer", "pos"], sort=False):
        rows = part.sort_values("rank")
        tip = "\n".join(
            f"{r.rank}. “{r.token}” {100 * r.probability:.1f} %" for r in rows.itertuples()
        )
        first = rows.iloc[0]
        cells[at] = Cell(
            str(first["token"]),
            float(first["probability"]),
            f"layer {at[0]}, token {at[1]}\n{tip}",
            token=True,
        )
    return draw.token_table(
        tokens(result),
        cells,
        columns=columns,
        here=here,
        caption="Likeliest next token by layer and token of the prompt",
    )


def top(result: Result, layer: int, pos: int) -> pd.DataFrame:
    """The likeliest tokens of one cell, and where the answers stand."""
    import pandas as pd

    lens, answers = result.tables["lens"], result.tables["answers"]
    rows = lens[(lens["layer"] == layer) & (lens["pos"] == pos)][["rank", "token", "probability"]]
    mine = answers[(answers["layer"] == layer) & (answers["pos"] == pos)]
    rows = pd.concat([rows.assign(which=""), mine[["rank", "token", "probability", "which"]]])
    # An answer that is among the likeliest stands there once, marked.
    rows = rows.sort_values(["rank", "which"], ascending=[True, False]).drop_duplicates(
        ["rank", "token"]
    )
    shown = {
        "token": [f"“{token}”" for token in rows["token"]],
        "percent": 100 * rows["probability"],
    }
    return rows.assign(**shown)[["rank", "token", "percent", "which"]].reset_index(drop=True)


def by_layer(result: Result, pos: int) -> dict[str, Any]:
    """Frame and series of `draw.lines`: the answers' probability by layer at one token."""
    answers = result.tables["answers"]
    frame = (
        answers[answers["pos"] == pos]
        .pivot(index="layer", columns="which", values="probability")
        .reset_index()
    )
    words = answers.drop_duplicates("which").set_index("which")["token"]
    hues = {"answer": colour.BLUE_STROKE, "other": colour.OTHER}
    series = {
        which: (f"“{words[which]}”", hues[which]) for which in ("answer", "other") if which in frame
    }
    return {
        "frame": frame,
        "x": "layer",
        "series": series,
        "title": f"Probability in the lens at token {token_name(result, pos)}",
    }


def intro(result: Result) -> Markup:
    n = len(tokens(result))
    part = f" {WINDOW} of {n} tokens are shown, around the chosen one." if n > WINDOW else ""
    return draw.says(
        "Each layer's stream through the model's own final norm and unembedding: the token it"
        " would say next, darker the likelier it is. The last layer is the model's own answer."
        f" Hover for the first five.{part} {ONE}"
    )


def still(result: Result) -> list[Any]:
    pos = chosen_pos(result)
    last = int(result.tables["lens"]["layer"].max())
    curve = by_layer(result, pos)
    return [
        intro(result),
        table(result, (None, pos)),
        draw.lines(**curve, xlabel="layer", ylabel="probability", ylim=(-0.03, 1.03)),
        Table(top(result, last, pos), f"Layer {last}, token {token_name(result, pos)}"),
    ]


def live(result: Result, pictures: Sequence[Any]) -> Any:
    """Linked: a cell chooses layer and token."""
    from workbench.draw.layer_token_table import clicks, listening
    from workbench.draw.updates import fill_lines
    from workbench.draw.view import (
        html_pane,
        live_picture,
        need_panel,
        safe_columns,
        scrolling,
        tabulator,
        wrapping,
    )

    pn, pick = need_panel(), result.selection
    layers = sorted(int(v) for v in result.tables["lens"]["layer"].unique())
    cells, about = html_pane(Markup("")), html_pane(Markup(""))
    (curve,) = (live_picture(picture) for picture in pictures)
    listing = tabulator(top(result, layers[-1], chosen_pos(result)))

    def layer_here() -> int:
        return chosen_layer(result, layers, layers[-1])

    def show(*_: Any) -> None:
        layer, pos = layer_here(), chosen_pos(result)
        cells.object = str(listening(table(result, (layer, pos))))
        about.object = str(draw.says(f"Layer {layer}, token {token_name(result, pos)}:"))
        listing.value = safe_columns(top(result, layer, pos))[0]

    def show_curve(*_: Any) -> None:
        wanted = by_layer(result, chosen_pos(result))
        if curve.object.title.text == wanted["title"]:
            return
        fill_lines(curve, wanted["frame"], wanted["x"], wanted["series"], title=wanted["title"])

    def clicked(at: Sequence[int]) -> None:
        if at[-1] < len(tokens(result)):
            pick.param.update(pos=at[-1], **({"layer": at[0]} if len(at) == 2 else {}))

    pick.param.watch(show, ["pos", "layer"])
    pick.param.watch(show_curve, "pos")
    show()
    show_curve()
    return pn.Column(
        html_pane(intro(result)),
        wrapping(
            choose_token(result), choose_layer(result, layers, lambda: layers[-1]), gap="0 12px"
        ),
        clicks(cells, clicked),
        wrapping(
            pn.Column(about, listing, width=330, min_width=260),
            pn.Column(
                scrolling(curve),
                styles={"flex": "1 1 420px"},
                min_width=280,
                sizing_mode="stretch_width",
            ),
            sizing_mode="stretch_width",
        ),
        sizing_mode="stretch_width",
        min_width=0,
    )
