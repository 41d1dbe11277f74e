"""What a run looks like, tab by tab; all tabs read and write the chosen layer, head and token of
`result.selection`.

Touches no model. What the model does not have is said in the run's table `left_out`, and its tab is
left out with that reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.draw.tokens import TEMPLATE
from workbench.draw.view import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.result import Result

ONE = "One prompt: a description, not a finding about the model."


def views(result: Result) -> dict[str, Any]:
    """Tabs, by the title a person reads. Nothing is drawn until a tab is looked at."""
    from analyses.prompt.single_prompt import (
        attention_view,
        heads_view,
        lens_view,
        neurons_view,
        norms_view,
    )

    return {
        "Attention": View(
            lambda: attention_view.still(result),
            live=lambda pictures: narrow(attention_view.live(result, pictures)),
            why_not=why(result, "patterns", "patterns" in result.arrays),
        ),
        "Logit lens": View(
            lambda: lens_view.still(result),
            live=lambda pictures: narrow(lens_view.live(result, pictures)),
            why_not=why(result, "lens", "lens" in result.tables),
        ),
        "Heads": View(
            lambda: heads_view.still(result),
            live=lambda pictures: narrow(heads_view.live(result, pictures)),
            why_not=why(result, "parts", "parts" in result.arrays),
        ),
        "Residual norms": View(
            lambda: norms_view.still(result),
            live=lambda pictures: narrow(norms_view.live(result, pictures)),
            why_not=why(result, "norms", "norms" in result.arrays),
        ),
        "Neurons": View(
            lambda: neurons_view.still(result),
            live=lambda _: narrow(neurons_view.live(result)),
            why_not=why(result, "neurons", "neurons" in result.arrays),
        ),
    }


def why(result: Result, what: str, there: bool) -> str:
    """Why a tab has nothing to show; "" if it has."""
    if there:
        return ""
    table = result.tables.get("left_out")
    told = {} if table is None else dict(zip(table["what"], table["why"], strict=True))
    return str(told.get(what, "the run was stopped before it was measured"))


def narrow(page: Any) -> Any:
    """The page, allowed to be narrower than its widest picture, which then scrolls by itself.

    Panel makes a column at least as wide as what stands in it, and takes a given 0 for "not given".
    """
    from workbench.draw.view import need_panel

    pn = need_panel()
    for box in page.select(pn.layout.base.ListPanel):
        box.stylesheets = [*box.stylesheets, ":host { min-width: 0 !important; }"]
    return page


def tokens(result: Result) -> list[str]:
    """The prompt's tokens as text."""
    return list(result.tables["tokens"]["token"])


def spans(result: Result) -> list[str] | None:
    """What of a conversation is its format, for token strips; None for a plain text."""
    table = result.tables["tokens"]
    return (
        [TEMPLATE if part == "template" else "" for part in table["part"]]
        if "part" in table
        else None
    )


def chosen_pos(result: Result) -> int:
    """The chosen token; the last one if none is chosen or a link names one that is not there."""
    n, pos = len(result.tables["tokens"]), result.selection.pos
    return n - 1 if pos is None or not 0 <= pos < n else pos


def token_name(result: Result, pos: int) -> str:
    """ "4 “ is”", for lists and sentences."""
    text = tokens(result)[pos].replace("\n", "↵")
    return f"{pos} “{text}”"


def choose_token(result: Result) -> Any:
    """A list of the tokens, linked with the selection."""
    pn, look = _widgets()
    options = {token_name(result, pos): pos for pos in range(len(tokens(result)))}
    return linked(
        result,
        pn.widgets.Select(name="Token", options=options, width=190, **look),
        "pos",
        lambda: chosen_pos(result),
    )


def choose_layer(result: Result, layers: list[int], default: Callable[[], int]) -> Any:
    """A list of layers, linked with the selection."""
    pn, look = _widgets()
    widget = pn.widgets.Select(
        name="Layer", options={str(layer): layer for layer in layers}, width=100, **look
    )
    return linked(result, widget, "layer", lambda: chosen_layer(result, layers, default()))


def chosen_layer(result: Result, layers: list[int], default: int) -> int:
    """The chosen layer if it is among these."""
    layer = result.selection.layer
    return layer if layer in layers else default


def linked(result: Result, widget: Any, name: str, value: Callable[[], int]) -> Any:
    """The widget, which shows what is chosen and chooses what is set."""

    def shown(*_: Any) -> None:
        if widget.value != value():
            widget.value = value()

    def picked(event: Any) -> None:
        if event.new is not None and event.new != value():
            setattr(result.selection, name, event.new)

    shown()
    widget.param.watch(picked, "value")
    result.selection.param.watch(shown, name)
    return widget


def _widgets() -> tuple[Any, dict[str, Any]]:
    from workbench.draw.view import STYLES, need_panel

    return need_panel(), {"stylesheets": [STYLES], "margin": (2, 0, 6, 0)}
