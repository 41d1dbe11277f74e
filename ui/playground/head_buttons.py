"""The layer × head grid of the Playground: one real button per head, switched off by a click or
Enter.

Its value is `{"layers", "heads", "kv", "off", "roles"}`, heads as "L23H4"; each role is `{"name",
"head", "colour", "heads"}`. An `off` of None from the server leaves off what the visitor switched
off; from the browser it means that nothing is off. The buttons are built in the browser from
numbers and checked names, never from a template: what goes through a template could be read as
code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from ui.web.style import STATIC
from workbench.playground import Head, HeadRole
from workbench.selection import head_name

EMPTY: dict[str, Any] = {"layers": 0, "heads": 0, "kv": 0, "off": [], "roles": []}


def value_for(
    model: Any | None,
    off: Sequence[str] | None = (),
    roles: Mapping[HeadRole, Sequence[Head]] | None = None,
) -> dict[str, Any]:
    """The grid of a model, with these heads off and these outlined as found by a run."""
    if model is None:
        return dict(EMPTY)
    return {
        "layers": model.n_layers,
        "heads": model.n_heads,
        "kv": model.n_kv_heads,
        "off": None if off is None else list(off),
        "roles": [
            {
                "name": role.name,
                "head": role.head,
                "colour": role.colour,
                "heads": [head_name(*head) for head in heads],
            }
            for role, heads in (roles or {}).items()
        ],
    }


def role_off(value: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The grid with the heads of one role off, and all others on."""
    heads = [
        h
        for outlined in value.get("roles", [])
        if outlined["name"] == role
        for h in outlined["heads"]
    ]
    return {**value, "off": heads}


def head_grid() -> Any:
    """The component; its event is `heads` (something was switched by hand)."""
    return gr.HTML(
        value=dict(EMPTY),
        html_template=(
            '<div class="head-grid" role="group" aria-label="Attention heads, layer 0 on'
            ' top"></div><p class="head-grid-says" aria-live="polite"></p>'
        ),
        js_on_load=(STATIC / "head_grid.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id="head-grid",
    )
