"""The Features tab, a page for every feature, and the Tokens tab, from which one gets there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from analyses.features.function_tokens.top_examples import BINS
from workbench import draw
from workbench.draw import colour
from workbench.draw.tokens import Span
from workbench.draw.view import Part, Table

if TYPE_CHECKING:
    import holoviews as hv
    import pandas as pd

    from workbench.result import Result

_AROUND = 14  # tokens of a context before the strongest one, and half as many after
_PROMPT = "Yesterday my brother and I went to the"
_MARKS = {"function": Span("function token", colour.FUNCTION, "solid")}
_COLUMNS = ["feature", "tokens", "function", "types", "peak", "fires_on", "promotes"]


def _missing(result: Result) -> list[Any]:
    if "features" in result.tables:
        return []
    return [draw.note("The run did not come to this.", "Run the analysis again and let it finish.")]


def labels_of(result: Result) -> list[str]:
    return list(result.tables["autoencoders"]["at"])


def middle(result: Result) -> str:
    labels = labels_of(result)
    return labels[len(labels) // 2]


def of_place(result: Result, at: str) -> pd.DataFrame:
    """The living features of a place, those with the most token types first."""
    table = result.tables["features"]
    mine = table[(table["at"] == at) & (table["tokens"] > 0)]
    return mine.sort_values(["types", "feature"], ascending=[False, True]).reset_index(drop=True)


def row_of(result: Result, at: str, feature: int) -> Any:
    table = result.tables["features"]
    found = table[(table["at"] == at) & (table["feature"] == feature)]
    return found.iloc[0] if len(found) else None


def about(result: Result, at: str, feature: int) -> Markup:
    """What is known of a feature, in a few lines."""
    row = row_of(result, at, feature)
    if row is None:
        width = int((result.tables["features"]["at"] == at).sum())
        return draw.note(
            f"There is no feature {feature} at {at}.", f"Choose one from 0 to {width - 1}."
        )
    if not row["tokens"]:
        return draw.says(
            f"Feature {feature} at {at} was active nowhere in this text. Nearest: {row['near']}."
        )
    lines = [
        f"Feature {feature} at {at}: active at {row['tokens']:,} tokens ({row['share']:.2%} of the"
        f" text), {row['function']:.0%} of them function tokens, on {row['types']:,} types;"
        f" strongest activation {row['peak']:.1f}."
    ]
    if row["promotes"]:
        lines.append(f"Raises: {row['promotes']}. Lowers: {row['suppresses']}.")
    lines.append(f"Nearest by cosine of what they write: {row['near']}.")
    name = name_of(result, at)
    goal = typical(result, at)[feature]
    steer = (
        f'with wb.open_features("{name}", model).steer({{{feature}: {goal:.3g}}}, positions=[-1]):'
        ' model.generate("…")'
    )
    return (
        Markup("").join(draw.says(line) for line in lines)
        + draw.says("Steer with it:", small=True)
        + Markup('<pre class="wb-small" style="white-space:pre-wrap"><code>{}</code></pre>').format(
            steer
        )
    )


def name_of(result: Result, at: str) -> str:
    """The autoencoder's name, as it is opened by."""
    return str(result.tables["autoencoders"].set_index("at").loc[at, "name"])


def typical(result: Result, at: str) -> np.ndarray:
    """An activation that is large for each feature: about nine tenths of its activations are below
    it, (feature,); 0 for dead ones.

    The largest one of all is no goal to steer to: it may stand on a token whose whole vector is
    huge.
    """
    table = result.tables["features"]
    peaks = table.loc[table["at"] == at].sort_values("feature")["peak"].to_numpy()
    counts = result.arrays["histogram"].sel(at=at).values[: len(peaks)].cumsum(-1)
    bins = (counts < 0.9 * counts[:, -1:]).sum(-1)
    return np.where(
        counts[:, -1] > 0, np.minimum(BINS[np.minimum(bins + 1, len(BINS) - 1)], peaks), 0.0
    )


def steer_now(result: Result, at: str, feature: int) -> Markup:
    """A form that takes this feature to the Playground, which sets it at the prompt's last
    function token and goes on.
    """
    if row_of(result, at, feature) is None:
        return Markup("")
    return Markup(
        '<form class="wb-steer" action="/playground" method="get" target="_blank"><input'
        ' type="hidden" name="features" value="{}"><input type="hidden" name="feature"'
        ' value="{}"><label>Steer with it now: prompt <input name="text" value="{}"'
        ' maxlength="2000" required></label><label>set to <input name="to" type="number" step="any"'
        ' value="{:.1f}" required></label><button>Steer and compare</button></form>'
    ).format(name_of(result, at), feature, _PROMPT, typical(result, at)[feature] or 10.0)


def histogram(result: Result, at: str, feature: int) -> hv.Rectangles:
    """How strong it is where it is active."""
    values = result.arrays["histogram"].sel(at=at).values[feature]
    places = np.flatnonzero(values)
    first, last = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 1)
    return draw.histogram(
        values[first:last],
        BINS[first : last + 1],
        title="Tokens by activation",
        xlabel="activation",
        of="tokens",
    )


def fires_on(result: Result, at: str, feature: int) -> pd.DataFrame:
    """The token types it is active on most often: columns token, class, active, of."""
    import pandas as pd

    pairs = result.arrays["feature_tokens"].sel(at=at).values[feature]
    pairs = pairs[pairs[:, 0] >= 0]
    tokens = result.tables["tokens"].set_index("id").loc[pairs[:, 0]]
    return pd.DataFrame(
        {
            "token": [f"“{t}”" for t in tokens["token"]],
            "class": list(tokens["class"]),
            "active at": pairs[:, 1],
            "of its occurrences, %": 100 * pairs[:, 1] / tokens["occurrences"].to_numpy(),
        }
    )


def contexts(result: Result, at: str, feature: int) -> Markup:
    """Where it is strongest, from different windows; function tokens are underlined."""
    table = result.tables["examples"]
    mine = table[(table["at"] == at) & (table["feature"] == feature)]
    windows = result.arrays["windows"]
    texts = result.tables["vocabulary"].set_index("id")["token"]
    classes = result.tables["tokens"].set_index("id")["class"]
    top = float(mine["activation"].max()) if len(mine) else 1.0
    parts = Markup("")
    for row in mine.itertuples():
        ids = windows.sel(window=row.window).values
        start, end = max(0, row.pos - _AROUND), min(len(ids), row.pos + _AROUND // 2 + 1)
        some = ids[start:end]
        values = [float(row.activation) if start + k == row.pos else 0.0 for k in range(len(some))]
        spans = ["function" if classes.get(int(i)) == "function" else "" for i in some]
        parts += draw.token_strip(
            [str(texts[int(i)]) for i in some],
            values,
            spans=spans,
            marks=_MARKS,
            title=f"{row.activation:.1f}",
            top=top,
            legend=False,
        )
    return parts


def still(result: Result) -> list[Any]:
    """Of the middle place: the feature on the most token types, and two on the fewest."""
    if missing := _missing(result):
        return missing
    at = middle(result)
    listed = of_place(result, at)
    shown = [*listed["feature"].head(1), *_specific(listed)["feature"].head(2)]
    parts: list[Any] = []
    for feature in shown:
        parts += [
            about(result, at, int(feature)),
            histogram(result, at, int(feature)),
            contexts(result, at, int(feature)),
        ]
    table = (
        listed[_COLUMNS]
        .head(200)
        .assign(function=100 * listed["function"])
        .rename(columns={"function": "function, %"})
    )
    return [*parts, Table(table, f"The features of {at} that are active on the most token types")]


def _specific(listed: pd.DataFrame) -> pd.DataFrame:
    """Features on few types of content tokens, the fewest first, of those that are active often
    enough to tell.
    """
    some = listed[(listed["function"] < 0.1) & (listed["tokens"] >= 100)]
    return some.sort_values(["types", "tokens"], ascending=[True, False])


def live(result: Result) -> Any:
    """Linked: place and feature, its histogram, tokens and contexts."""
    from workbench.draw.view import (
        STYLES,
        html_pane,
        live_column,
        live_picture,
        need_panel,
        safe_columns,
        scrolling,
        tabulator,
        wrapping,
    )

    if missing := _missing(result):
        return live_column(missing)
    pn, pick = need_panel(), result.selection
    on_server = (
        pn.state.curdoc is not None and pn.state.curdoc.session_context is not None
    )  # not in a notebook
    labels = labels_of(result)
    at, feature = chosen(result)
    place = pn.widgets.Select(name="At", options=labels, value=at, width=120, stylesheets=[STYLES])
    number = pn.widgets.IntInput(
        name="Feature", value=feature, start=0, width=120, stylesheets=[STYLES]
    )
    head, where = html_pane(Markup("")), html_pane(Markup(""))
    bars = live_picture(histogram(result, at, feature))
    half = {
        "sizing_mode": "stretch_width",
        "min_width": 0,
        "max_width": 560,
        "styles": {"flex": "1 1 320px"},
    }
    tokens = tabulator(fires_on(result, at, feature))
    listing = tabulator(_listed(result, at), height=360, selectable=1)

    def show(*_: Any) -> None:
        at, feature = chosen(result)
        place.value, number.value = at, feature
        head.object = str(
            about(result, at, feature)
            + (steer_now(result, at, feature) if on_server else Markup(""))
        )
        where.object = str(contexts(result, at, feature))
        known = row_of(result, at, feature) is not None
        if known:
            tokens.value = safe_columns(fires_on(result, at, feature))[0]
            bars.object = live_picture(histogram(result, at, feature)).object

    def of_place_(event: Any) -> None:
        listing.value = safe_columns(_listed(result, event.new))[0]
        pick.feature = (event.new, int(of_place(result, event.new)["feature"].iloc[0]))

    def typed(event: Any) -> None:
        pick.feature = (place.value, int(event.new or 0))

    def from_table(event: Any) -> None:
        table = of_place(result, place.value)
        if 0 <= event.row < len(table):
            pick.feature = (place.value, int(table["feature"].iloc[event.row]))

    place.param.watch(of_place_, "value")
    number.param.watch(typed, "value")
    listing.on_click(from_table)
    pick.param.watch(show, "feature")
    show()
    return pn.Column(
        wrapping(place, number),
        head,
        wrapping(
            pn.Column(scrolling(bars), **half),
            pn.Column(tokens, **half),
            sizing_mode="stretch_width",
        ),
        html_pane(draw.says("Where it is strongest, each from another window of the text:")),
        where,
        html_pane(
            draw.says(
                "All living features, those on the most token types first. Choose one.", small=True
            )
        ),
        listing,
        sizing_mode="stretch_width",
        min_width=0,
    )


def _listed(result: Result, at: str) -> pd.DataFrame:
    table = of_place(result, at)[_COLUMNS]
    return table.assign(function=100 * table["function"]).rename(
        columns={"function": "function, %"}
    )


def chosen(result: Result) -> tuple[str, int]:
    """The chosen feature, or one on few types at the middle place."""
    pick = result.selection.feature
    if pick is not None and pick[0] in labels_of(result) and row_of(result, *pick) is not None:
        return pick
    at = middle(result)
    listed = of_place(result, at)
    some = _specific(listed)
    first = some if len(some) else listed
    return at, int(first["feature"].iloc[0]) if len(first) else 0


def of_token(result: Result, at: str, token: int) -> pd.DataFrame:
    """The features most often active on a token type: columns feature, active (%), fires_on,
    promotes.
    """
    import pandas as pd

    kept = result.arrays["token_features"]
    if token not in kept["type"].values:
        return pd.DataFrame(columns=["feature", "of its occurrences, %", "fires_on", "promotes"])
    pairs = kept.sel(at=at, type=token).values
    pairs = pairs[pairs[:, 0] >= 0]
    occurrences = int(result.tables["tokens"].set_index("id").loc[token, "occurrences"])
    described = result.tables["features"]
    described = described[described["at"] == at].set_index("feature").loc[pairs[:, 0]]
    return pd.DataFrame(
        {
            "feature": pairs[:, 0],
            "of its occurrences, %": 100 * pairs[:, 1] / occurrences,
            "fires_on": list(described["fires_on"]),
            "promotes": list(described["promotes"]),
        }
    )


def live_tokens(result: Result, pictures: Sequence[Part], degrees: Callable[..., Any]) -> Any:
    """Linked: a table of tokens, the features of the chosen one, and from there to the Features
    tab.
    """
    from analyses.features.function_tokens.views import listed_tokens
    from workbench.draw.view import (
        STYLES,
        html_pane,
        live_column,
        live_part,
        need_panel,
        safe_columns,
        tabulator,
        wrapping,
    )

    if missing := _missing(result):
        return live_column(missing)
    pn, pick = need_panel(), result.selection
    labels = labels_of(result)
    shown = listed_tokens(result)
    ids = result.tables["tokens"]["id"].head(len(shown)).tolist()
    place = pn.widgets.Select(
        name="At", options=labels, value=middle(result), width=120, stylesheets=[STYLES]
    )
    table = tabulator(shown, height=420, selectable=1)
    said = html_pane(Markup(""))
    features = tabulator(of_token(result, place.value, ids[0]), selectable=1)
    state = {"token": ids[0]}

    def show(*_: Any) -> None:
        row = shown.iloc[ids.index(state["token"])]
        found = of_token(result, place.value, state["token"])
        said.object = str(
            draw.says(
                f"“{row['token']}”, a {row['class']} token, {row['occurrences']:,} occurrences: the"
                f" features most often active on it at {place.value}. Choose one; the tab Features"
                " then shows it."
            )
        )
        features.value = safe_columns(found)[0]

    def token_chosen(event: Any) -> None:
        if 0 <= event.row < len(ids):
            state["token"] = ids[event.row]
            show()

    def feature_chosen(event: Any) -> None:
        found = of_token(result, place.value, state["token"])
        if 0 <= event.row < len(found):
            pick.feature = (place.value, int(found["feature"].iloc[event.row]))

    place.param.watch(show, "value")
    table.on_click(token_chosen)
    features.on_click(feature_chosen)
    show()
    drawn = [live_part(picture) for picture in pictures]
    pairs = [wrapping(*drawn[n : n + 2]) for n in range(0, len(drawn), 2)]
    sentences = [
        html_pane(draw.says(result.findings[name].says))
        for name in ("list", "equal")
        if name in result.findings
    ]
    sentences.append(
        html_pane(draw.says("Points are function tokens, shaded are content tokens.", small=True))
    )
    return pn.Column(
        *sentences, *pairs, place, said, features, table, sizing_mode="stretch_width", min_width=0
    )
