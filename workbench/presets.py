"""Named sets of values for the parameters of an analysis: *quick* and *paper*, and what a third
party adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.form_fields import label
from workbench.parts import PAPER

if TYPE_CHECKING:
    from workbench.registry import Analysis

QUICK = "quick"
"""The preset that takes under about a minute on the default model, on two idle cores."""
_MEANS = {QUICK: "a first look", PAPER: "all parts, at the sizes of the paper"}


def says(analysis: Analysis, name: str, model: Any = None) -> str:
    """What a preset is, and in what it differs from a run with the defaults, in one line.

    Args:
        model: whose parts; None where it is not known yet.
    """
    default, params = analysis.parse({}), analysis.parse(analysis.preset(name, model, {}))
    usual, running = analysis.running(default), analysis.running(params)
    titles = {part.name: part.title for part in analysis.parts}
    differs = [
        f"{sign} {', '.join(titles[part] for part in titles if part in parts)}"
        for sign, parts in (("without:", usual - running), ("also:", running - usual))
        if parts
    ]
    changed = [
        f"{label(field, info)} {_short(getattr(params, field))} instead of"
        f" {_short(getattr(default, field))}"
        for field, info in analysis.Params.model_fields.items()
        if field != "parts" and getattr(params, field) != getattr(default, field)
    ]
    words = [_MEANS.get(name, ""), *differs, *changed]
    return "; ".join(word for word in words if word)


def _short(value: Any) -> str:
    """A value in few words."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(_short(one) for one in value) or "none"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
