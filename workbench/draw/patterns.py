"""Attention patterns: all heads as small multiples in one picture, and one of them large.

The small ones are a single image with a tile per head, not a figure each; tiles of long prompts are
reduced by the largest value, so that a narrow stripe does not vanish. One scale for all:
probability, steeper near zero so that weak attention is seen. What a causal model masks is grey in
the tiles, and left out of the large one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.draw import colour, style
from workbench.selection import head_name
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    import holoviews as hv
    import numpy as np
    import xarray as xr

_TILE = 40  # pixels of data along a tile's side, at most
_MASKED = "#e3e5ea"
"""Light on every page, so that the ring of what is chosen is seen around a tile."""
_PIXELS = 400_000  # of all tiles together


def pattern_grid(patterns: xr.DataArray, *, title: str = "Attention patterns") -> hv.Element:
    """Every head's pattern as a tile: layers from the top, heads from the left.

    `draw.link_grid` links it.

    Args:
        patterns: probabilities, (layer, head, query, key); coordinates of `layer` are true layer
            numbers.
    """
    style.load()
    import holoviews as hv

    layers = [int(v) for v in patterns["layer"].values]
    n_heads = patterns.sizes["head"]
    pixels = _mosaic(patterns.values, layers)
    first, last = layers[0], layers[-1]
    cell = max(14, min(56, 720 // n_heads, max(1080 // (1 + last - first), 18)))
    every = 1 if len(layers) <= 36 else 4
    step = 1 if n_heads <= 16 else 4
    shared: dict[str, Any] = {
        "xlim": (-0.5, n_heads - 0.5),
        "ylim": (first - 0.5, last + 0.5),
        "invert_yaxis": True,
        "xticks": [(h, str(h)) for h in range(0, n_heads, step)],
        "yticks": [(layer, str(layer)) for layer in layers[::every]],
        "xlabel": "head",
        "ylabel": "layer",
        "title": title,
    }
    size = {"width": 64 + cell * n_heads, "height": 70 + cell * (1 + last - first)}
    palette, low = list(_scale()), {"min": _MASKED}
    image = hv.Image(pixels[::-1], bounds=(-0.5, first - 0.5, n_heads - 0.5, last + 0.5)).opts(
        backend="bokeh", cmap=palette, clim=(1, 255), clipping_colors=low, colorbar=False
    )
    image = image.opts(backend="matplotlib", cmap=palette, clim=(1, 255), colorbar=False)
    cells = hv.Rectangles(
        _cells(patterns), ["x0", "y0", "x1", "y1"], ["name", "rank", "most", "spread"]
    ).opts(
        backend="bokeh",
        fill_alpha=0,
        line_color=colour.GRID,
        line_alpha=0.5,
        line_width=0.6,
        tools=["hover"],
        hover_tooltips=[("head", "@name"), ("attends most to", "@most"), ("entropy", "@spread")],
    )
    cells = cells.opts(backend="matplotlib", facecolor="none", edgecolor=colour.GRID, linewidth=0.3)
    return (
        hv.Overlay([image, cells])
        .opts(hv.opts.Overlay(**style.bokeh(grid=False, show_legend=False, **size, **shared)))
        .opts(hv.opts.Overlay(**style.matplotlib(grid=False, show_legend=False, **size, **shared)))
    )


def pattern(
    values: np.ndarray,
    tokens: Sequence[str],
    *,
    title: str,
    axes: tuple[str, str] = ("query token", "key token (attended to)"),
    value: str = "attention",
) -> hv.Element:
    """One pattern large: the query token on y (first on top), the key token on x.

    Hover names both.

    Args:
        values: between 0 and 1, (query, key).
        axes: what the rows and the columns are, where they are something else.
        value: what a number is.
    """
    style.load()
    import holoviews as hv

    n = len(tokens)
    many = n > 32
    step = 1 if not many else max(1, n // 16)
    names = [(i, str(i) if many else style.plain(tokens[i], 12) or "·") for i in range(0, n, step)]
    shared: dict[str, Any] = {
        "invert_yaxis": True,
        "xticks": names,
        "yticks": names,
        "xlabel": axes[1],
        "ylabel": axes[0],
        "title": title,
        "xrotation": 0 if many else 60,
        "cmap": list(_scale()),
        "clim": (0.0, 1.0),
        "clipping_colors": {"NaN": "#00000000"},
    }
    side = max(300, min(520, 150 + 30 * n))
    image = hv.Image(_masked(values)[::-1], bounds=(-0.5, -0.5, n - 0.5, n - 0.5))
    bar: dict[str, Any] = {"colorbar": True, "colorbar_opts": {"width": 10, **style.COLOUR_BAR}}
    image = image.opts(
        **style.bokeh(
            width=side + 60,
            height=side,
            grid=False,
            tools=["hover"],
            hooks=[_hover(tokens, axes, value)],
            **bar,
            **shared,
        )
    )
    return image.opts(
        **style.matplotlib(width=side + 60, height=side, grid=False, colorbar=True, **shared)
    )


def fill_pattern(pane: Any, values: np.ndarray, title: str) -> None:
    """Put another pattern of the same tokens into a picture that is drawn already.

    Args:
        pane: a Panel pane whose object is the Bokeh figure of `pattern`.
    """
    from workbench.draw.notify import notify_changed

    source = image_of(pane.object)
    source.data = {**source.data, "image": [_masked(values)]}
    pane.object.title.text = title
    notify_changed(pane)


def image_of(figure: Any) -> Any:
    """The data source of a drawn pattern."""
    return next(r.data_source for r in figure.renderers if "image" in r.data_source.data)


def _scale() -> tuple[str, ...]:
    """The scale of probabilities, steeper near zero: the colour of p is where the square root of
    p stands on it.
    """
    plain = colour.single_scale()
    return tuple(plain[round((i / 255) ** 0.5 * (len(plain) - 1))] for i in range(256))


def _masked(values: np.ndarray) -> np.ndarray:
    """As float32 with NaN where a token cannot attend: after itself, unless the model does."""
    import numpy as np

    shown = np.asarray(values, "float32").copy()
    shown[np.triu(np.ones_like(shown, bool), 1) & (shown == 0)] = np.nan
    return shown


def _mosaic(values: np.ndarray, layers: Sequence[int]) -> np.ndarray:
    """All tiles as one image of bytes, 0 where nothing is shown: (rows, columns), layer by layer
    from the top.
    """
    import numpy as np

    n_layers, n_heads, n, _ = values.shape
    side = max(4, min(n, _TILE, int((_PIXELS / max(1, n_layers * n_heads)) ** 0.5)))
    if side < n:  # the largest value of each block, so that no stripe is lost
        starts = np.arange(side) * n // side
        values = np.maximum.reduceat(np.maximum.reduceat(values, starts, axis=2), starts, axis=3)
    side = values.shape[2]
    shades = np.clip(np.round(values.astype("float32") * 255), 1, 255).astype("uint8")
    above = np.triu(np.ones((side, side), bool), 1)
    shades[:, :, above & (values.max((0, 1)) == 0)] = 0
    rows = 1 + layers[-1] - layers[0]
    tiles = np.zeros((rows, n_heads, side + 2, side + 2), "uint8")
    tiles[[layer - layers[0] for layer in layers], :, 1:-1, 1:-1] = shades
    return tiles.transpose(0, 2, 1, 3).reshape(rows * (side + 2), n_heads * (side + 2))


def _cells(patterns: xr.DataArray) -> list[tuple[Any, ...]]:
    """One invisible box per head, with what hovering says: the token that gets most from all,
    and the mean entropy.
    """
    import numpy as np

    values = patterns.values.astype("float32")
    shares = values.mean(2)  # (layer, head, key): mean over the queries
    entropy = -(values * np.log(np.maximum(values, 1e-12))).sum(-1).mean(-1)
    order = (-shares.max(-1)).ravel().argsort().argsort().reshape(entropy.shape) + 1
    rows = []
    for i, layer in enumerate(patterns["layer"].values.astype(int)):
        for h in range(values.shape[1]):
            top = int(shares[i, h].argmax())
            top_token = f"token {top} ({percent(shares[i, h, top])} on average)"
            box = (h - 0.5, layer - 0.5, h + 0.5, layer + 0.5)
            rows.append(
                (
                    *box,
                    head_name(layer, h),
                    str(order[i, h]),
                    top_token,
                    f"{entropy[i, h]:.2f} nats on average",
                )
            )
    return rows


def _hover(tokens: Sequence[str], axes: tuple[str, str], value: str) -> Any:
    """A hook that names both tokens on hover."""

    def hook(plot: Any, element: Any) -> None:
        from bokeh.models import CustomJSHover, HoverTool

        names = [f"{i} {quoted(style.plain(t, 30))}" for i, t in enumerate(tokens)]
        code = (
            'return names[Math.max(0, Math.min(names.length - 1, Math.round(special_vars["{}"])))]'
        )
        tool = next(t for t in plot.state.tools if isinstance(t, HoverTool))
        tool.tooltips = [
            (axes[0].partition(" (")[0], "$y{custom}"),
            (axes[1].partition(" (")[0], "$x{custom}"),
            (value, "@image{0.0000}"),
        ]
        tool.formatters = {
            f"${axis}": CustomJSHover(args={"names": names}, code=code.replace("{}", axis))
            for axis in ("x", "y")
        }

    return hook
