"""What a run says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.prompt.provenance.constants import (
    BOTH,
    DRAWN,
    GUESSED,
    NEITHER,
    PROMPT,
    RANDOM,
    SLOTS,
    STANDS_OUT,
    STATE,
    UNTOLD,
    WEIGHTS,
)
from analyses.prompt.provenance.verdict import Effect, verdict
from workbench.result import Finding, Result
from workbench.wording import counted, percent, quoted

if TYPE_CHECKING:
    from analyses.prompt.provenance.design import Cells
    from analyses.prompt.provenance.prompt_parts import PromptParts
    from analyses.prompt.provenance.subject import QuestionSubject

_TRACED = 0.02  # of probability, that the noise takes at least
_SHORT = 20  # tokens, below which an answer says little of reciting
_ALIKE, _MOST = 0.1, 13.8  # nats: as good as no difference; a million times
_LOOK = {
    PROMPT: "heads that look at the context",
    WEIGHTS: "heads that look at the subject",
}
_FROM = {
    PROMPT: "came from the prompt",
    WEIGHTS: "came from the weights",
    STATE: "came from the prompt, carried by the recurrent state",
    SLOTS: "came from slots of its memory modules",
    BOTH: "came from both",
    NEITHER: "came from neither the prompt nor the weights, as far as this can be measured",
    UNTOLD: "came from somewhere that cannot be told",
}


def add_verdict(
    result: Result, found: list[Effect], cells: Cells, subject: QuestionSubject | None, words: str
) -> None:
    """Where the answer came from, and each source's effect."""
    told = verdict(found)
    named = [each.source for each in found if each.named]
    where = f"came from {' and '.join(map(_the, named))}" if told == BOTH else _FROM[told]
    as_given = cells.given if cells.has_context else cells.neutral.mean(0)
    says = f"The answer {quoted(words)} {where}."
    if told == UNTOLD:
        unclear = ", ".join(_the(each.source) for each in found if each.named is None)
        says += f" Not clear is what {unclear} gave: the neutral texts differ too much."
    result.add(Finding("verdict", {each.source: float(bool(each.named)) for each in found}, says))
    for each in found:
        result.add(_effect(each, subject))
    probability = float(np.exp(as_given.sum()))
    result.add(Finding(
        "probability", probability,
        f"The model gives this answer a probability of {_share(probability)} "
        + ("as the prompt stands." if cells.has_context else "behind neutral text."),
        unit="probability",
    ))  # fmt: skip
    if cells.has_context and subject is not None:
        values = cells.interaction.sum(-1)
        mean = float(values.mean())
        kind = (
            "each would do without the other" if mean < -1
            else "the context works through the subject" if mean > 1
            else "they add up"
        )  # fmt: skip
        result.add(Finding(
            "interaction", mean,
            f"Interaction of the two: {mean:+.1f} nats ({kind}).", unit="nats",
        ))  # fmt: skip
    if not cells.has_context:
        result.add(Finding("no_context", 1.0, "The prompt has no context before its question, so"
                           " nothing could come from there but the question itself."))  # fmt: skip


def _the(source: str) -> str:
    return f"the {source}" if source != STATE else "the recurrent state"


def _effect(each: Effect, subject: QuestionSubject | None) -> Finding:
    """What one source gives, beside its null."""
    chance = "" if np.isnan(each.null) else f"; by chance at most {each.null:+.1f}"
    span = f"{each.nats:+.1f} nats, 95\u00a0% {each.low:+.1f} to {each.high:+.1f}{chance}"
    if each.source == PROMPT:
        says = (
            f"From the prompt: with its context the answer is {_times(each.nats)} with neutral text"
            f" in its place ({span})."
        )
    elif each.source == WEIGHTS and subject is None:
        says = (
            "From the weights: this cannot be told, since the question names nobody and nothing"
            " that could be hidden."
        )
    elif each.source == WEIGHTS:
        assert subject is not None
        says = (
            f"From the weights: if it sees {quoted(subject.text)} in the question, the answer is"
            f" {_times(each.nats)} if it does not ({span})."
        )
    elif each.source == SLOTS:
        says = (
            "From memory modules: with the slots that it reads the answer is"
            f" {_times(each.nats)} with these slots masked ({span})."
        )
    else:
        says = (
            "Through the state: with the recurrent states kept the answer is"
            f" {_times(each.nats)} with states wiped before the question ({span})."
        )
    interval = None if np.isnan(each.low) else (each.low, each.high)
    return Finding(each.source.replace(" ", "_"), each.nats, says, unit="nats", interval=interval)


def _times(nats: float) -> str:
    """ "about 1,600 times as likely": what nats come to."""
    if abs(nats) < _ALIKE:
        return "about as likely as"
    times = float(np.exp(min(abs(nats), _MOST)))
    size = f"{times:.1f}" if times < 10 else f"{float(f'{times:.1e}'):,.0f}"
    more = "more than " if abs(nats) > _MOST else "about "
    return (
        f"{more}{size} times {'as' if nats > 0 else 'less'} likely {'as' if nats > 0 else 'than'}"
    )


def _share(p: float) -> str:
    return (
        "less than 0.1\u00a0%" if p < 0.001 else percent(p) if p >= 0.1 else f"{100 * p:.1f}\u00a0%"
    )


def add_sentences(result: Result, words: str) -> None:
    """The sentence that counts most, and what is said without it."""
    table = result.tables["sentences"]
    costs = table["cost"].dropna()
    if not len(costs):
        return
    best = table.loc[costs.idxmax()]
    others = costs.drop(costs.idxmax())
    second = f"; the next costs {others.max():.1f}" if len(others) else ""
    result.add(Finding(
        "sentence", float(best["cost"]),
        f"The answer rests most on {quoted(str(best['text']))}: hidden from all that follows, it"
        f" costs {best['cost']:.1f} nats{second}. Without it the model goes on"
        f" {quoted(str(best['without']))}.",
        unit="nats",
    ))  # fmt: skip
    flips = int((~table["still"].dropna().astype(bool)).sum())
    result.add(Finding(
        "changing", float(flips),
        f"{flips} of {len(costs)} sentences, each hidden alone, change what the model says from"
        f" {quoted(words)} to something else.",
        unit="sentences",
    ))  # fmt: skip
    late = float(best["late_cost"])
    if np.isfinite(late) and best["cost"] > 0.5:
        passed = 1 - late / float(best["cost"])
        result.add(Finding(
            "passed_on", passed,
            f"Hidden from the question alone it costs {late:.1f} nats: {percent(max(0.0, passed))}"
            " of what it gives had been passed on to tokens between.",
            unit="share",
        ))  # fmt: skip


def add_tokens(result: Result, asked: PromptParts) -> None:
    """The token that the answer has to see, and how far the gradient agrees."""
    from analyses.measures.statistics import spearman

    table = result.tables["tokens"]
    known = table.dropna(subset=["cost"])
    if not len(known):
        return
    best = known.loc[known["cost"].idxmax()]
    result.add(Finding(
        "token", float(best["cost"]),
        f"The answer itself has most to see {quoted(str(best['token']))} ({best['part']}): hidden"
        f" from it, it costs {best['cost']:.1f} nats.",
        unit="nats",
    ))  # fmt: skip
    both = known.dropna(subset=["gradient"])
    if len(both) > 2:
        rank = spearman(both["cost"].to_numpy(), both["gradient"].to_numpy())
        result.add(Finding(
            "gradient", rank,
            f"Gradient × embedding ranks the tokens otherwise or alike: rank correlation {rank:.2f}"
            " with what hiding them costs.",
            unit="rank correlation",
        ))  # fmt: skip


def add_heads(result: Result) -> None:
    """What the groups of heads do, beside random ones."""
    table = result.tables["groups"]
    whole = float(table.loc[table["group"] == "none", "logp"].iloc[0])
    for number, name in enumerate(table.loc[~table["group"].isin(["none", RANDOM]), "group"]):
        rows = table[table["group"] == name]
        lost = whole - float(rows["logp"].iloc[0])
        drawn = whole - table.loc[(table["group"] == RANDOM) & (table["of"] == name), "logp"]
        heads = str(rows["heads"].iloc[0]).split()
        which = _LOOK.get(name, str(name))
        beside = f"; as many random heads {drawn.min():.1f} to {drawn.max():.1f}" * bool(len(drawn))
        shown = ", ".join(heads[:4]) + (" …" if len(heads) > 4 else "")
        result.add(Finding(
            f"{name}_heads" if name in _LOOK else f"found_heads_{number}", lost,
            f"{len(heads)} {which} ({shown}) cost the answer {lost:.1f} nats when they are off at"
            f" the end{beside}. Then the model says {quoted(str(rows['said'].iloc[0]))}.",
            unit="nats",
        ))  # fmt: skip


def add_features(result: Result) -> None:
    """The feature that counts most, beside those drawn by lot."""
    table = result.tables["features"]
    again, n = int(table["again"].sum()), len(table)
    result.add(Finding(
        "again", again / max(1, n),
        f"{again} of {n} features that are active at the prompt's last token are active in the"
        " context as well.",
        unit="share",
    ))  # fmt: skip
    pushed = table[table["why"] == GUESSED]
    if not len(pushed):
        return
    best, drawn = pushed.loc[pushed["effect"].idxmin()], table[table["why"] == DRAWN]["effect"]
    beside = f"; those drawn by lot {drawn.min():+.1f} to {drawn.max():+.1f}" * bool(len(drawn))
    makes = f", which makes {best['promotes']} likelier," * bool(best["promotes"])
    missed = " So the gradient missed one that counts more."
    result.add(Finding(
        "feature", float(best["effect"]),
        f"Of the features that the gradient names, {best['feature']} of"
        f" {best['autoencoder']}{makes} counts most: taken out at the end, the answer's"
        f" log-probability changes by {best['effect']:+.1f} nats{beside}."
        + missed * bool(len(drawn) and drawn.min() < best["effect"]),
        unit="nats",
    ))  # fmt: skip


def add_training(result: Result) -> None:
    """The text that pulls most toward the answer, beside those that were never read."""
    table = result.tables["training"]
    read, never = table[table["repeats"] > 0], table[table["repeats"] == 0]
    best, begins = read.iloc[0], " ".join(str(read.iloc[0]["words"]).split()[:8])
    named = f"{best['text']} (“{begins} …”, read {counted(int(best['repeats']), 'time')})"
    if not len(never):
        result.add(Finding(
            "taught", float(best["pull"]),
            f"Of what it read in training, {named} pulls most toward this answer. All texts of the"
            " ledger were read, so there is nothing to compare it with.",
        ))  # fmt: skip
        return
    highest = float(never["pull"].max())
    times = float(best["pull"]) / highest if highest > 0 else float("inf")
    beside = f"the strongest of {len(never)} texts that it never read"
    if best["pull"] > 0 and times > STANDS_OUT:
        how = f"{times:.1f} times as much as {beside}" if highest > 0 else f"{beside} does not"
        says = f"Of what it read in training, {named} pulls most toward this answer: {how}."
    else:
        says = (
            f"No text of its training stands out: {named} pulls most, but not {STANDS_OUT:g} times"
            f" as much as {beside}."
        )
    result.add(Finding("taught", float(best["pull"]), says))
    above = int((read["pull"] > highest).sum())
    result.add(Finding(
        "above_never", above,
        f"{above} of {len(read)} texts that it read pull more than any that it never read; by"
        f" chance it would be about {len(read) / (len(never) + 1):.0f}.",
        unit="texts",
    ))  # fmt: skip


def add_closed_book(result: Result) -> None:
    """What the question alone gives."""
    table = result.tables["closed_book"]
    same, n = int(table["same"].sum()), len(table)
    p = float(table["probability"].mean())
    says = f"Asked without the context, the model gives this answer in {same} of {n} wordings"
    says += f" (mean probability {_share(p)})."
    if same < n:
        other = table.loc[~table["same"], "said"].iloc[0]
        says += f" Otherwise it says, for one, {quoted(str(other).strip())}."
    result.add(Finding("closed_book", same / n, says, unit="share"))


def add_recited(result: Result, run: tuple[int, int], zlib: float) -> None:
    """How much of the answer comes out word for word, and how surprising it is."""
    table = result.tables["surprise"]
    n, nats, plain = len(table), float(table["nats"].sum()), float(table["unigram"].sum())
    says = (
        f"The model says {run[1]} of the answer's {n} tokens in a row with greedy decoding. It is"
        f" surprised by {nats:.1f} nats, where counts of tokens are by {plain:.1f} and a compressor"
        f" takes {zlib:.0f}."
    )
    if n < _SHORT:
        says += f" So few tokens ({n}) cannot tell reciting from knowing."
    result.add(Finding("recited", run[1] / n, says, unit="share"))


def add_spans(result: Result, words: str) -> None:
    """Where the answer stands in the corpus."""
    table = result.tables["spans"]
    if not len(table):
        result.add(Finding("corpus", 0.0, f"Nothing of {quoted(words.strip())} stands in the corpus"
                           " in a span of 8 bytes or more.", unit="spans"))  # fmt: skip
        return
    first = table.iloc[0]
    times = "once" if first["count"] == 1 else f"{int(first['count']):,} times"
    result.add(Finding(
        "corpus", float(table["span"].nunique()),
        f"In the corpus stands {quoted(str(first['text']).strip())}, {times}; first in"
        f" {first['place']}.",
        unit="spans",
    ))  # fmt: skip


def add_trace(result: Result, clean: float, noisy: float) -> None:
    """Where what the noise took comes back, in the question alone."""
    values = result.arrays["trace"]
    best = values.isel(layer=slice(1, None)).max(("layer", "pos"))
    says = (
        f"Asked alone, the answer's first token has a probability of {_share(clean)}; with noise on"
        f" the subject, {_share(noisy)}."
    )
    if clean - noisy < _TRACED:
        says += " There is too little to trace: the weights alone do not give this answer."
        result.add(Finding("trace", clean - noisy, says, unit="probability"))
        return
    inside = values.isel(layer=slice(1, None), pos=slice(0, -1))
    tokens = result.tables["trace_tokens"]["token"]
    at = inside.where(inside == inside.max(), drop=True).isel(layer=0, pos=0)
    says += (
        f" Of single states before the last token, {quoted(str(tokens[int(at['pos'])]))} at layer"
        f" {int(at['layer'])} brings back most: {float(at):.0f} points of probability."
    )
    result.add(Finding("trace", float(best) / 100, says, unit="probability"))


def add_coverage(result: Result, name: str, least: int) -> None:
    """How much of what the model says by itself stands in the corpus."""
    table = result.tables["coverage"]
    own = table[table["model"] == name]
    if own["share"].isna().all():
        says = f"No sample has {least} tokens, so none can hold a span that counts."
        result.add(Finding("coverage", float("nan"), says, unit="share"))
        return
    best = own.loc[own["share"].fillna(-1).idxmax()]
    says = (
        f"Of what the model says by itself after {best['start']}, {percent(float(best['share']))}"
        f" (95\u00a0% {percent(float(best['low']))} to {percent(float(best['high']))}, over"
        f" {int(best['n'])} texts) stands in the corpus in spans of {least} tokens or more"
    )
    other = table[(table["model"] != name) & (table["start"] == best["start"])]
    if len(other):
        row = other.iloc[0]
        says += f"; of {row['model']}, {percent(float(row['share']))}"
    interval = (float(best["low"]), float(best["high"]))
    result.add(Finding("coverage", float(best["share"]), f"{says}.", unit="share",
                       interval=interval))  # fmt: skip
