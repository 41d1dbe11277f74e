"""Colours, settled once.

Signed values: one scale, symmetric around zero, blue raises and red lowers, white at zero.
Probabilities: one hue. Categories have fixed colours outside both scales. Figures have transparent
backgrounds and mid-grey text, so that the same picture is legible on a light and on a dark page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

MEMORY, CONTEXT, FUNCTION, OTHER = "#e08a3c", "#2f9f98", "#8b68d0", "#8f97a3"
CATEGORY = {"memory": MEMORY, "context": CONTEXT, "function": FUNCTION, "other": OTHER, "": OTHER}
QUESTION = "#b0708f"
"""A span that belongs to neither answer."""
BLUE_STROKE = "#4d86c6"

INK = "#7a828f"
"""Axis text: at least 3.8:1 against both the light and the dark page."""
GRID = "#8f97a3"
RING = "#20242c"
"""The outline of what is chosen; cells are never as dark."""

RED, WHITE, BLUE = (178, 42, 46), (250, 250, 250), (33, 95, 165)
_RED_MIDDLE, _BLUE_MIDDLE = (231, 138, 120), (125, 173, 219)
HUE = (78, 121, 196)
"""The one hue of probabilities and attention."""


def symmetric_limit(values: Iterable[float]) -> float:
    """The limit of a signed scale for these values, the same for both halves.

    1 if nothing is known.
    """
    top = max((abs(float(v)) for v in values if math.isfinite(v)), default=0.0)
    return top or 1.0


def _between(a: tuple[int, int, int], b: tuple[int, int, int], t: float) -> tuple[int, int, int]:
    return (
        round(a[0] + (b[0] - a[0]) * t),
        round(a[1] + (b[1] - a[1]) * t),
        round(a[2] + (b[2] - a[2]) * t),
    )


def signed(value: float, top: float) -> str:
    """Hex colour of a signed value.

    `top` is the limit of the scale. Beyond it the colour is clipped.
    """
    t = max(-1.0, min(1.0, value / top if top else 0.0))
    middle, end = (_BLUE_MIDDLE, BLUE) if t >= 0 else (_RED_MIDDLE, RED)
    t = abs(t)
    rgb = _between(WHITE, middle, t * 2) if t < 0.5 else _between(middle, end, t * 2 - 1)
    return "#{:02x}{:02x}{:02x}".format(*rgb)


@cache
def signed_scale(steps: int = 255) -> tuple[str, ...]:
    """The signed scale as a list of colours, lowest first; odd, so that zero is exactly white."""
    return tuple(signed(2 * i / (steps - 1) - 1, 1.0) for i in range(steps))


@cache
def single_scale(steps: int = 128) -> tuple[str, ...]:
    """The scale of probabilities: from nearly white to the one hue, dark at its end."""
    dark = _between(HUE, (20, 30, 70), 0.45)
    return tuple(
        "#{:02x}{:02x}{:02x}".format(
            *(_between(WHITE, HUE, 2 * t) if t < 0.5 else _between(HUE, dark, 2 * t - 1))
        )
        for t in (i / (steps - 1) for i in range(steps))
    )


def shade(share: float, hue: tuple[int, int, int] = HUE) -> str:
    """The one hue, as strong as `share` of the strongest.

    Never opaque: text on it keeps the page's own colour.
    """
    return "rgba({},{},{},{:.3f})".format(*hue, 0.72 * max(0.0, min(1.0, share)))


def text_on(background: str) -> str:
    """Dark or white, whichever is legible on this opaque colour (`#rrggbb`)."""
    channels = [int(background[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#16191f" if luminance > 0.2 else "#ffffff"
