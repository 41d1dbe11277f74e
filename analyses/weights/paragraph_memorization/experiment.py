"""The run: its parts, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from analyses.claims import say_claims
from analyses.measures import text_source
from analyses.measures.decoding import continuations
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from analyses.measures.text_source import altered, windows_of
from analyses.measures.window_scores import Scores
from analyses.weights.paragraph_memorization import (
    claims,
    edit,
    edit_findings,
    findings,
    gradient_maps,
    heads,
    patching,
    triggers,
)
from analyses.weights.paragraph_memorization.constants import (
    KEEP_MEMORIZED,
    KEEP_NEUTRAL,
    MASKS,
    MEMORIZED,
    NAME,
    NEUTRAL,
    NOT,
    OTHERS,
    RARITY,
    TRIGGERS,
    Aim,
    Mask,
)
from analyses.weights.paragraph_memorization.costs import stages as costs
from analyses.weights.paragraph_memorization.groups import Passage, choose, neutral
from analyses.weights.paragraph_memorization.params import Params
from analyses.weights.paragraph_memorization.parts import PARTS
from analyses.weights.paragraph_memorization.random_controls import add_random_controls
from workbench.cost import of_parts, stages
from workbench.errors import BadInput
from workbench.parts import running
from workbench.result import Result

if TYPE_CHECKING:
    from analyses.measures.windows import Window
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Find the passages, then run the parts that are asked for.

    The package's docstring names them.
    """
    progress(0.0, "Reading the texts")
    limit = model.positions
    if limit and params.prefix + params.suffix + 1 > limit:
        raise BadInput(
            f"A prefix of {params.prefix} and a suffix of {params.suffix} do not fit into"
            f" {model.card.name}.",
            f"at most {limit - 1:,} tokens together",
            "Choose shorter ones.",
        )
    skipped: list[tuple[str, str]] = []
    documents, cut, short, share = windows_of(
        model,
        params,
        params.prefix,
        params.suffix,
        params.prefix + params.suffix,
        params.max_windows,
        skipped,
    )
    asked_for = running(PARTS, params)
    stage = stages(progress, model, of_parts(costs(model, params, len(cut)), asked_for))
    scores = score(model, cut, Sampler(temperature=0), progress=stage["read"])
    passages, counts = choose(documents, cut, scores, params.passages)
    own = _own(model, cut, scores, passages, stage["own"])
    result = Result(NAME)
    result.provenance.notes = {
        "texts": params.named,
        "passages": f"{params.prefix} + {params.suffix} tokens",
        "beginning token": model.beginning.says,
    }
    text_source.add_left_out(
        result, [*skipped, *((d.name, "shorter than one passage") for d in short)], share
    )
    text_source.add_altered(result, altered(model, documents))
    findings.add_passages(result, model, passages, counts, scores, own)
    every = [(window.prompt, list(window.suffix)) for window in _memorized(cut, scores)]
    found = _Found(model, params, passages, _spread(cut, passages), every)

    perturbed = None
    if "triggers" in asked_for:
        perturbed = triggers.perturb(
            model, passages, own, params.draws, params.seed, stage["perturb"]
        )
        findings.add_triggers(result, model, passages, perturbed)
    progress.checkpoint(result)
    if "gradients" in asked_for:
        _gradients(result, found, stage)
    if perturbed is not None:
        _stand_on_triggers(result, found, perturbed, asked_for, stage)
    add_random_controls(result)
    say_claims(result, claims.CLAIMS, claims.PAPER)
    progress(1.0, "Done")
    return result


@dataclass(frozen=True)
class _Found:
    """The passages that are looked at.

    Attributes:
        spread: of every kind, for comparing attention with rarity.
        every: all that is memorized, as (prompt, suffix).
    """

    model: InstrumentedModel
    params: Params
    passages: list[Passage]
    spread: list[Passage]
    every: Sequence[edit.Pair]

    @cached_property
    def memorized(self) -> list[Passage]:
        return [p for p in self.passages if p.group == MEMORIZED]

    @cached_property
    def plain(self) -> list[tuple[list[int], list[int]]]:
        """Neutral prose of the same length."""
        first = self.memorized[0]
        length = self.params.prefix + self.params.suffix
        return neutral(self.model, length, first.prompt[: first.beginning], NEUTRAL)


def _gradients(result: Result, found: _Found, stage: Mapping[str, Progress]) -> None:
    findings.add_gradients(
        result, *gradient_maps.gradient_map(found.model, found.passages, stage["weights"])
    )
    result.arrays["activation_gradients"] = patching.slopes(
        found.model, found.memorized, stage["activations"]
    )


def _stand_on_triggers(
    result: Result,
    found: _Found,
    perturbed: triggers.Perturbed,
    asked_for: set[str],
    stage: Mapping[str, Progress],
) -> None:
    model, params = found.model, found.params
    twins = []
    if asked_for & {"patching", "edits"}:
        twins = patching.twins(model, found.memorized, perturbed)
    if "patching" in asked_for and twins:
        arrays = patching.patch(model, twins[: params.traced], stage["patch"])
        findings.add_patching(result, model, twins[: params.traced], arrays)
    if "heads" in asked_for:
        _heads(result, found, perturbed, stage)
    if "edits" in asked_for:
        _change(result, found, twins, stage["edits"])


def _heads(
    result: Result, found: _Found, perturbed: triggers.Perturbed, stage: Mapping[str, Progress]
) -> None:
    """Attention to rare tokens and to triggers, and what each head's absence does."""
    model, params, memorized = found.model, found.params, found.memorized
    counts = heads.corpus_counts(model, stage["rarity"].subprogress(0.0, 0.2))
    rare = heads.rare_token_attention(
        model, found.spread, counts, stage["rarity"].subprogress(0.2, 1.0)
    )
    places = [
        [passage.beginning + at for at in perturbed.strongest(n, TRIGGERS)]
        for n, passage in enumerate(memorized)
    ]
    triggered = heads.trigger_attention(model, memorized, places, stage["attention"])
    choosing, held_out = heads.halves(found.passages)
    others = [(p.prompt, p.suffix) for p in found.passages if p.group == NOT]
    effects = heads.ablate_each(
        model, choosing, others, found.plain[:KEEP_NEUTRAL], stage["zeroed"]
    )
    ranked = heads.ranked(rare, triggered, effects)
    strongest = [(int(row.layer), int(row.head)) for row in ranked.head(params.heads).itertuples()]
    proof = None
    if held_out:
        proof = heads.held_out_eval(
            model, strongest, held_out, found.plain, params.random_sets, params.seed,
            stage["random"],
        )  # fmt: skip
    findings.add_heads(result, ranked, effects, rare, strongest, proof, len(found.spread))


def _own(
    model: InstrumentedModel,
    cut: Sequence[Window],
    scores: Scores,
    passages: Sequence[Passage],
    progress: Progress,
) -> list[list[int]]:
    """What the model says by itself after each prefix, as many tokens as the suffix has."""
    said = continuations(model, cut, scores, [p.window for p in passages], progress)
    return [said[p.window] for p in passages]


def _memorized(cut: Sequence[Window], scores: Scores) -> list[Window]:
    """Windows that are said wholly, an even sample of them where there are many."""
    import numpy as np

    where = [n for n, window in enumerate(cut) if scores.match[n] == len(window.suffix)]
    return [
        cut[where[i]]
        for i in np.linspace(0, len(where) - 1, min(len(where), OTHERS)).round().astype(int)
    ]


def _spread(cut: Sequence[Window], passages: Sequence[Passage]) -> list[Passage]:
    """Passages of every kind for comparing attention with rarity: those looked at, and an even
    sample of the others.
    """
    import numpy as np

    looked_at = {p.window for p in passages}
    rest = [n for n in range(len(cut)) if n not in looked_at]
    some = (
        np.linspace(0, len(rest) - 1, min(len(rest), RARITY - min(len(passages), RARITY)))
        .round()
        .astype(int)
    )
    windows = [(rest[i], cut[rest[i]]) for i in some]
    more = [
        Passage(
            -1,
            n,
            "",
            "",
            None,
            "",
            window.prompt,
            list(window.suffix),
            0,
            0.0,
            len(window.beginning),
            window.document,
        )
        for n, window in windows
    ]
    return [*passages[:RARITY], *more]


def _change(
    result: Result, found: _Found, twins: Sequence[patching.Twin], progress: Progress
) -> None:
    """Unlearn and rewrite a few passages, each with every mask."""
    from analyses.measures.decoding import greedy

    model, params, plain = found.model, found.params, found.plain
    changed = edit.Weights(model)
    chosen = found.memorized[: params.edits]
    twin_of = {twin.passage.number: twin for twin in twins}
    tasks = []
    for passage in chosen:
        # One half of the other memorized passages is held to what it was; the other half is
        # measured and never seen.
        rest = [pair for pair in found.every if list(pair[0]) != passage.prompt]
        keep = [*plain[-KEEP_NEUTRAL:], *rest[::2][:KEEP_MEMORIZED]]
        aims: list[tuple[Aim, list[int]]] = [("unlearn", [])]
        if passage.number in twin_of:
            twin = twin_of[passage.number]
            aims.append(("rewrite", greedy(model, [twin.prompt], len(passage.suffix))[0]))
        tasks += [
            edit.Task(passage, aim, instead, keep, rest[1::2], plain[:-KEEP_NEUTRAL])
            for aim, instead in aims
        ]
    rates = (params.rate,) if params.rate else edit.RATES
    outcomes: list[tuple[edit.Task, Mask, edit.Outcome]] = []
    for n, task in enumerate(tasks):
        first = 0
        for k, mask in enumerate(MASKS):
            part = progress.subprogress(
                (n + k / len(MASKS)) / len(tasks),
                (n + (k + 1) / len(MASKS)) / len(tasks),
            )
            outcome = edit.tune_rate(
                changed, task, mask, params.fraction, rates, params.steps, params.seed + n,
                at_least=first if mask == "random" else 0, progress=part,
            )  # fmt: skip
            first = first or len(outcome.curve)
            outcomes.append((task, mask, outcome))
    edit_findings.add_changes(result, model, changed, outcomes)
