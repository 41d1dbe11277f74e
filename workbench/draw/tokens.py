"""A text with a value per token, as HTML: one renderer for pages, notebooks and reports.

Text is escaped; a newline is shown as ↵ *and* breaks the line; tokenizer glyphs are never visible.
Unsigned values are one hue whose opacity starts near zero; signed ones are white at zero with one
limit for both halves. Hover gives token, index, value and rank; whoever cannot hover finds the same
in the list under "Values".
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from workbench.draw import colour, style
from workbench.wording import quoted

_GLYPHS = str.maketrans({"Ġ": " ", "▁": " ", "Ċ": "\n", "ĉ": "\t"})

CSS = style.sheet("tokens.css")


@dataclass(frozen=True)
class Span:
    """How one kind of span is marked."""

    name: str
    colour: str
    line: str = "solid"  # differs between spans, so that the mark does not rest on colour alone


TEMPLATE = "chat format"
"""The kind of a token that the chat template put in, and nobody said."""
FUNCTION, CONTENT = "function token", "content token"
SPANS = {
    FUNCTION: Span(FUNCTION, colour.FUNCTION, "solid"),
    CONTENT: Span(CONTENT, colour.CONTEXT, "dotted"),
    TEMPLATE: Span(TEMPLATE, colour.INK, "dashed"),
    "subject": Span("subject", colour.MEMORY, "solid"),
    "context answer": Span("context answer", colour.CONTEXT, "double"),
    "question": Span("question", colour.FUNCTION, "dotted"),
}


@dataclass(frozen=True)
class Peak:
    """A stretch of text around the token at which something is strongest.

    Args:
        at: which of the tokens it is.
        spans: the kind of each token, as of `token_strip`.
    """

    tokens: Sequence[str]
    at: int
    value: float
    spans: Sequence[str]


def peak_strips(peaks: Sequence[Peak]) -> Markup:
    """HTML of several stretches under each other, each coloured at its one token, on one scale and
    headed by its value.
    """
    top = max((peak.value for peak in peaks), default=1.0)
    return Markup("").join(
        token_strip(
            peak.tokens,
            [peak.value if i == peak.at else 0.0 for i in range(len(peak.tokens))],
            spans=peak.spans,
            title=f"{peak.value:.1f}",
            top=top,
            legend=False,
        )
        for peak in peaks
    )


def token_strip(
    tokens: Sequence[str],
    values: Sequence[float] | None = None,
    *,
    signed: bool = False,
    spans: Sequence[str] | None = None,
    marks: Mapping[str, Span] = SPANS,
    title: str = "",
    unit: str = "",
    top: float | None = None,
    notes: Sequence[str] | None = None,
    legend: bool = True,
) -> Markup:
    """HTML of a text with one value per token.

    Args:
        tokens: the text of each token, in order.
        values: one number per token, or None for the text alone; NaN is marked as missing.
        signed: blue raises, red lowers; otherwise values are shares of the largest.
        spans: the kind of each token ("" for none); kinds in `marks` are underlined and named in
            the legend.
        title: what is shown; unit: what the values are in.
        top: the limit of the colour scale; default: the largest value here.
        notes: a further line to hover for each token, "" for none.
        legend: say below what the colours and lines mean; where many strips stand together, once is
            enough.
    """
    if values is not None and len(values) != len(tokens):
        raise ValueError(f"{len(values)} values for {len(tokens)} tokens: there must be one each")
    numbers = None if values is None else [float(v) for v in values]
    limit = top if top is not None else colour.symmetric_limit(numbers or [])
    ranks = _ranks(numbers or [], signed)
    parts: list[str] = []
    used: dict[str, Span] = {}
    for i, raw in enumerate(tokens):
        kind = spans[i] if spans is not None else ""
        span = marks.get(kind)
        if span is not None:
            used[span.name] = span
        look, tip = _style_and_tip(i, raw, numbers, limit, signed, ranks, kind, unit)
        if notes is not None and notes[i]:
            tip += "\n" + notes[i].translate(_GLYPHS).replace("\n", "↵")
        if span is not None:
            look += f";border-bottom:3px {span.line} {span.colour}"
        parts.append(
            f'<span class="wb-tok" style="{look}" title="{html.escape(tip)}">{_text(raw)}</span>'
        )
    body = "".join(parts)
    return Markup(
        f'<style>{CSS}</style><div class="wb-strip-box">{_title(title, unit)}'
        f'<p class="wb-strip">{body}</p>'
        f"{_legend(used, numbers, limit, signed) if legend else ''}</div>"
    )


def _title(title: str, unit: str) -> str:
    if not title and not unit:
        return ""
    return (
        f'<p class="wb-strip-title">{html.escape(title)} <span'
        f' class="wb-strip-unit">{html.escape(unit)}</span></p>'
    )


def _text(raw: str) -> str:
    text = html.escape(raw.translate(_GLYPHS))
    # The mark stands before the break, where the model saw the newline.
    return text.replace("\r", "").replace(
        "\n", '<span class="wb-nl" aria-label="line break">↵</span><br>'
    )


def _style_and_tip(
    i: int,
    raw: str,
    values: list[float] | None,
    top: float,
    signed: bool,
    ranks: dict[int, int],
    span: str,
    unit: str,
) -> tuple[str, str]:
    name = raw.translate(_GLYPHS).replace("\n", "↵")
    tip = f"token {i}: {quoted(name)}" + (f"\n{span}" if span else "")
    if values is None:
        return "", tip
    value = values[i]
    if not math.isfinite(value):
        return (
            (
                "background:repeating-linear-gradient(45deg,transparent 0 3px,rgba(128,128,128,.5)"
                " 3px 4px)"
            ),
            f"{tip}\nno value",
        )
    tip += f"\n{value:{'+' if signed else ''}.3f} {unit}\nrank {ranks[i]} of {len(ranks)}"
    if signed:
        back = colour.signed(value, top)
        return f"background:{back};color:{colour.text_on(back)}", tip
    return f"background:{colour.shade(value / top)}", tip


def _ranks(values: list[float], signed: bool) -> dict[int, int]:
    known = [i for i, v in enumerate(values) if math.isfinite(v)]
    known.sort(key=lambda i: -abs(values[i]) if signed else -values[i])
    return {i: rank for rank, i in enumerate(known, 1)}


def _legend(used: Mapping[str, Span], values: list[float] | None, top: float, signed: bool) -> str:
    items = [
        f'<li><i style="border-bottom:3px {s.line} {s.colour}"></i>{html.escape(s.name)}</li>'
        for s in used.values()
    ]
    if values is not None:
        if signed:
            ends = (f"−{top:.3g}", f"+{top:.3g}")
            ramp = ",".join(colour.signed(t, 1) for t in (-1, -0.5, 0, 0.5, 1))
        else:
            ends = ("0", f"{top:.3g}")
            ramp = f"{colour.shade(0)},{colour.shade(1)}"
        items.append(
            f'<li>{ends[0]}<span class="wb-ramp"'
            f' style="background:linear-gradient(90deg,{ramp})"></span>{ends[1]}</li>'
        )
    return f'<ul class="wb-legend">{"".join(items)}</ul>' if items else ""
