"""What the tab *Plant and watch* shows: for every sentence its curve beside that of its twin, marks
where it was read, and the text that comes out after the chosen update.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from analyses.measures.exposure_watch import WatchPlan
from ui.playground.plant_session import WatchedPlanting
from workbench.wording import counted, percent

RECALL, LOSS = "How much comes out", "How surprising it is"
EMPTY = (
    '<div class="wb try-empty"><p><strong>Plant your sentences</strong> and watch, update by'
    " update, when the small organism begins to say them, and when it forgets them again. Each has"
    " a twin of other words that is never read.</p></div>"
)
_WIDTH, _HEIGHT = 280, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 6, 10, 44
_MARKS = _HEIGHT - 34


def answer_html(planting: WatchedPlanting) -> str:
    """What came of it, in plain words; while it goes on, where it is."""
    if planting.running:
        left = "" if planting.left is None else f", about {max(1, round(planting.left))} s left"
        share = _share_done(planting)
        return (
            f'<div class="wb" role="status"><p class="note-line busy">{escape(planting.says)}{left}'
            f'</p><div class="progress" aria-hidden="true"><i style="width:{share:.0%}"></i></div>'
            "</div>"
        )
    if planting.plan is None or not planting.moments:
        return ""
    plan, last = planting.plan, planting.moments[-1]
    n = len(plan.texts)
    lines = "".join(f"<li>{escape(_came_of(planting, number))}</li>" for number in range(n))
    twins = max(last.recall[n:])
    of_twins = (
        "Of the twins, which were never read, nothing comes out."
        if twins == 0
        else f"Of the twins, which were never read, at most {percent(twins)} comes out."
    )
    begins = "Stopped" if planting.stopped else "Broke off" if planting.wrong else "Finished"
    return (
        f'<div class="wb" role="status"><p><strong>{begins} after'
        f" {counted(last.step, 'update')}.</strong> {escape(of_twins)}</p>"
        f'<ol class="plant-says">{lines}</ol></div>'
    )


def _share_done(planting: WatchedPlanting) -> float:
    if planting.plan is None or not planting.moments:
        return 0.0
    return planting.moments[-1].step / planting.plan.steps


def _came_of(planting: WatchedPlanting, number: int) -> str:
    """One sentence on one sentence."""
    assert planting.plan is not None
    plan, moments = planting.plan, planting.moments
    recall = [moment.recall[number] for moment in moments]
    now = recall[-1]
    whole = next((m.step for m in moments if m.recall[number] == 1), None)
    read = sum(at < moments[-1].step for at in plan.read_at(number))
    if not read:
        return f"Never read: {percent(now)} of its second half comes out."
    says = f"Read {counted(read, 'time')}: "
    if whole is None:
        best = max(recall)
        return (
            says
            + f"it never came out whole; {percent(now)} comes out now"
            + (f", at best it was {percent(best)}." if best > now else ".")
        )
    before = sum(at < whole for at in plan.read_at(number))
    says += f"it came out whole after {counted(before, 'reading')} (update {whole})"
    return says + (" and still does." if now == 1 else f"; now {percent(now)} of it is left.")


def cards_html(planting: WatchedPlanting, step: int, measure: str) -> str:
    """A card for each sentence, looked at after so many updates."""
    if planting.plan is None or not planting.moments:
        return ""
    step = max(0, min(step, len(planting.moments) - 1))
    cards = "".join(
        _card(planting, number, step, measure) for number in range(len(planting.plan.texts))
    )
    return f'<div class="wb plant-cards">{cards}</div>'


def _card(planting: WatchedPlanting, number: int, step: int, measure: str) -> str:
    assert planting.plan is not None
    plan, moment = planting.plan, planting.moments[step]
    text, read_at = plan.texts[number], plan.read_at(number)
    read = sum(at < step for at in read_at)
    ending = moment.right[number]
    wrong = moment.says[number][len(ending) :]
    n = len(plan.texts)
    return (
        f'<section class="wb-card" aria-label="Sentence {number + 1}"><h3>Sentence {number + 1}'
        f' <small class="wb-muted">read {read} of {counted(len(read_at), "time")}</small></h3>'
        f"{_curve(planting, number, step, measure)}"
        f'<h4>What comes out after update {step}</h4><p class="said" dir="auto">'
        f'<span class="given">{escape(first_half(planting, number))}</span>'
        f"<mark>{escape(ending)}</mark>{escape(wrong)}</p>"
        f'<p class="wb-muted twin" dir="auto">Its twin, never read'
        f" ({percent(moment.recall[n + number])} comes out): {escape(text.twin)}</p></section>"
    )


def first_half(planting: WatchedPlanting, number: int = 0) -> str:
    """The first half of a sentence, as the model is given it; "" before there is a model."""
    if planting.plan is None or planting.model is None:
        return ""
    text = planting.model.text
    ids = text.encode(planting.plan.texts[number].text)
    return text.decode(ids[: len(ids) // 2])


def _curve(planting: WatchedPlanting, number: int, step: int, measure: str) -> str:
    assert planting.plan is not None
    plan, moments = planting.plan, planting.moments
    n = len(plan.texts)
    of = [m.recall if measure == RECALL else m.loss for m in moments]
    own, twin = [row[number] for row in of], [row[n + number] for row in of]
    top = 1.0 if measure == RECALL else max(1.0, *(max(row) for row in of))
    ticks = [0.0, 0.5, 1.0] if measure == RECALL else [0.0, round(top / 2), round(top)]
    unit = "share of its second half" if measure == RECALL else "nats per token"
    grid = "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(t, top):.1f}" y2="{_y(t, top):.1f}"'
        f' class="grid"/><text x="{_LEFT - 6}" y="{_y(t, top) + 4:.1f}" class="y">'
        f"{percent(t) if measure == RECALL else f'{t:.0f}'}</text>"
        for t in ticks
    )
    marks = "".join(_mark(at, plan, at < len(moments) - 1) for at in plan.read_at(number))
    at = _x(step, plan)
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    says = f"{measure} of sentence {number + 1}, now {own[-1]:.2f}; of its twin {twin[-1]:.2f}"
    return (
        f'<svg class="plant-curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        f' aria-label="{escape(says)}">{grid}'
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" class="now"/>'
        f'<polyline class="twin" points="{_points(twin, plan, top)}"/>'
        f'<polyline class="own" points="{_points(own, plan, top)}"/>{marks}'
        f'<text x="{_LEFT}" y="{_HEIGHT - 6}" class="x">0</text>'
        f'<text x="{middle}" y="{_HEIGHT - 6}" class="x middle">updates; ▲ read</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 6}" class="x end">{plan.steps}</text></svg>'
        f'<p class="plant-key"><span class="own">this sentence</span> <span class="twin">its'
        f' twin</span> <span class="wb-muted">{unit}</span></p>'
    )


def _mark(at: int, plan: WatchPlan, done: bool) -> str:
    x = _x(at, plan)
    return (
        f'<path class="{"read" if done else "to-read"}" d="M{x - 4:.1f} {_MARKS + 8} l4 -8 l4 8'
        ' z"/>'
    )


def _points(values: Sequence[float], plan: WatchPlan, top: float) -> str:
    return " ".join(f"{_x(n, plan):.1f},{_y(v, top):.1f}" for n, v in enumerate(values))


def _x(step: float, plan: WatchPlan) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / plan.steps


def _y(value: float, top: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - value / top)


def answers_html(text: str, before: str, after: str) -> str:
    """How a text goes on without and with the sentences read."""
    columns = "".join(
        f'<section class="col" aria-label="{title}"><h3>{title}</h3><p class="text" dir="auto">'
        f'<span class="wb-muted">{escape(text)}</span>{escape(says)}</p></section>'
        for title, says in (("Before reading", before), ("After reading", after))
    )
    alike = "Both say the same." if before == after else "They differ."
    return f'<div class="wb" role="status"><p>{alike}</p><div class="try">{columns}</div></div>'
