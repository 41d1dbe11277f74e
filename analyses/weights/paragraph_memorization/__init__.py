"""Where in the network is this passage stored, and can it be removed there?

Method: Stoehr et al. 2024 (Localizing Paragraph Memorization), on any model;
docs/paragraph-memorization.md has the definitions, what was measured, which claims of the paper
replicate, and where this departs.

groups.py          memorized, partly, and not memorized passages that are alike
triggers.py        which tokens of the prefix bring a passage back
gradient_maps.py   which weights its loss pulls at
patching.py        where a passage and its perturbed twin part
heads.py           rare tokens, triggers, and the exact effect of every head; held-out passages
edit.py            unlearning and rewriting with a thousandth of the weights
claims.py          which claims of the paper replicate
findings.py        from numbers to tables and findings
weight_edits.py    a finished run's changes of weights: as controls, as files
schema.py          what its tables and findings mean
views.py           how it looks (selections.py: what of the run is shown)
edit_findings.py   what unlearning and rewriting did
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from analyses.claims import say_claims
from analyses.measures import text_source
from analyses.measures.decoding import continuations
from analyses.measures.sampling import Sampler
from analyses.measures.scoring import Scores, score
from analyses.measures.text_source import Texts, altered, windows_of
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
from analyses.weights.paragraph_memorization.groups import MEMORIZED, NOT, Passage, choose, neutral
from analyses.weights.paragraph_memorization.schema import SCHEMA
from analyses.weights.paragraph_memorization.selections import CHOICES
from analyses.weights.paragraph_memorization.views import ANSWER, VIEWS
from analyses.weights.paragraph_memorization.weight_edits import changes, controls
from hooks.gradients.weights import weights
from workbench.errors import BadInput, Unfit
from workbench.result import Result

if TYPE_CHECKING:
    from analyses.measures.windows import Window
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

__all__ = [
    "ANSWER",
    "CHOICES",
    "SCHEMA",
    "VIEWS",
    "Params",
    "changes",
    "controls",
    "name",
    "question",
    "run",
    "unavailable_reason",
]

name = "paragraph-memorization"
question = "Where in the network is this passage stored, and can it be removed there?"
_NEUTRAL, _KEEP_NEUTRAL = (
    24,
    6,
)  # passages of neutral prose that are measured, and that updates are held to
_KEEP_MEMORIZED, _OTHERS = (
    10,
    60,
)  # memorized passages that updates are held to at most, and that are looked at for them
_RARITY = 200  # passages over which attention and rarity are compared
_TRIGGERS = 3  # tokens of a prefix that count as its trigger


class Params(Texts, frozen=True, extra="forbid"):
    prefix: int = Field(50, ge=2, le=1000, description="Tokens of a passage given to the model")
    suffix: int = Field(
        50,
        ge=2,
        le=1000,
        description="Tokens that follow, which it says if the passage is memorized",
    )
    passages: int = Field(
        12,
        ge=2,
        le=200,
        description="Memorized passages that are looked at; as many of the other groups",
    )
    draws: int = Field(3, ge=1, le=50, description="Replacements drawn for each token of a prefix")
    heads: int = Field(
        3, ge=1, le=100, description="Heads whose absence costs most, that are proven together"
    )
    random_sets: int = Field(
        20,
        ge=20,
        le=500,
        description="Random sets of as many heads of the same layers, as a baseline",
    )
    traced: int = Field(
        4,
        ge=0,
        le=50,
        description="Passages traced by patching between them and their perturbed twins",
    )
    edits: int = Field(
        4, ge=0, le=50, description="Passages that are unlearned, and rewritten, one at a time"
    )
    fraction: float = Field(
        0.001, gt=0, le=0.5, description="Share of the weights that a masked update may change"
    )
    rate: float = Field(
        0.0,
        ge=0,
        le=10,
        description=(
            "Size of a step, in standard deviations of the matrix that a weight is in; 0 finds the"
            " smallest that does it"
        ),
    )
    steps: int = Field(
        20,
        ge=1,
        le=1000,
        description="Updates at most; they stop when the passage is gone, or rewritten",
    )
    max_windows: int = Field(
        20_000, ge=2, le=10**6, description="Passages at most among which the groups are sought"
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="Of replacements, random heads and random masks"
    )


def unavailable_reason(model: InstrumentedModel) -> str | None:
    """Why this model cannot answer, or None."""
    if any(block.out_proj is None for block in model.layout.blocks):
        return "some of its layers have no attention heads that could be switched off."
    try:
        if not weights(model):
            return (
                "its weight matrices are stored in a way that the workbench cannot read, so"
                " gradients cannot be assigned to them."
            )
    except Unfit as error:
        return f"its weights take no gradient ({error.what})"
    limit = model.positions
    return f"its {limit} positions are too few for a passage." if limit and limit < 8 else None


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Find the passages, then ask five questions about them.

    See the package's docstring for the parts.
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
    scores = score(model, cut, Sampler(temperature=0), progress=progress.subprogress(0.0, 0.06))
    passages, counts = choose(documents, cut, scores, params.passages)
    own = _own(model, cut, scores, passages, progress.subprogress(0.06, 0.08))
    result = Result(name)
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
    memorized = [p for p in passages if p.group == MEMORIZED]

    perturbed = triggers.perturb(
        model, passages, own, params.draws, params.seed, progress.subprogress(0.08, 0.3)
    )
    strongest = [perturbed.strongest(n, _TRIGGERS) for n in range(len(passages))]
    findings.add_triggers(result, model, passages, perturbed)
    progress.checkpoint(result)

    findings.add_gradients(
        result, *gradient_maps.gradient_map(model, passages, progress.subprogress(0.3, 0.36))
    )
    twins = patching.twins(model, memorized, perturbed)
    if params.traced and twins:
        arrays = patching.patch(model, twins[: params.traced], progress.subprogress(0.36, 0.46))
        findings.add_patching(result, model, twins[: params.traced], arrays)
    result.arrays["activation_gradients"] = patching.slopes(
        model, memorized, progress.subprogress(0.46, 0.5)
    )
    progress.checkpoint(result)

    counts_ = heads.corpus_counts(model, progress.subprogress(0.5, 0.53))
    spread = _spread(cut, passages)
    rare = heads.rarity(model, spread, counts_, progress.subprogress(0.53, 0.56))
    places = [[memorized[n].beginning + at for at in strongest[n]] for n in range(len(memorized))]
    triggered = heads.on_triggers(model, memorized, places, progress.subprogress(0.56, 0.58))
    choosing, held_out = heads.halves(passages)
    others = [(p.prompt, p.suffix) for p in passages if p.group == NOT]
    plain = neutral(
        model,
        params.prefix + params.suffix,
        memorized[0].prompt[: memorized[0].beginning],
        _NEUTRAL,
    )
    effects = heads.without(
        model, choosing, others, plain[:_KEEP_NEUTRAL], progress.subprogress(0.58, 0.72)
    )
    ranked = heads.ranked(rare, triggered, effects)
    found = [(int(row.layer), int(row.head)) for row in ranked.head(params.heads).itertuples()]
    proof = None
    if held_out:
        part = progress.subprogress(0.72, 0.78)
        proof = heads.prove(model, found, held_out, plain, params.random_sets, params.seed, part)
    findings.add_heads(result, ranked, effects, rare, found, proof, len(spread))
    progress.checkpoint(result)

    if params.edits:
        every = [(window.prompt, list(window.suffix)) for window in _memorized(cut, scores)]
        _change(
            result, model, params, memorized, every, twins, plain, progress.subprogress(0.78, 1.0)
        )
    say_claims(result, claims.CLAIMS, claims.PAPER)
    progress(1.0, "Done")
    return result


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
        for i in np.linspace(0, len(where) - 1, min(len(where), _OTHERS)).round().astype(int)
    ]


def _spread(cut: Sequence[Window], passages: Sequence[Passage]) -> list[Passage]:
    """Passages of every kind for comparing attention with rarity: those looked at, and an even
    sample of the others.
    """
    import numpy as np

    looked_at = {p.window for p in passages}
    rest = [n for n in range(len(cut)) if n not in looked_at]
    some = (
        np.linspace(0, len(rest) - 1, min(len(rest), _RARITY - min(len(passages), _RARITY)))
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
    return [*passages[:_RARITY], *more]


def _change(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    memorized: Sequence[Passage],
    every: Sequence[edit.Pair],
    twins: Sequence[patching.Twin],
    plain: Sequence[edit.Pair],
    progress: Progress,
) -> None:
    """Unlearn and rewrite a few passages, each with every mask.

    `every` holds all that is memorized.
    """
    from analyses.measures.decoding import greedy

    changed = edit.Weights(model)
    chosen = memorized[: params.edits]
    twin_of = {twin.passage.number: twin for twin in twins}
    tasks = []
    for passage in chosen:
        # One half of the other memorized passages is held to what it was; the other half is
        # measured and never seen.
        rest = [pair for pair in every if list(pair[0]) != passage.prompt]
        keep = [*plain[-_KEEP_NEUTRAL:], *rest[::2][:_KEEP_MEMORIZED]]
        aims: list[tuple[edit.Aim, list[int]]] = [("unlearn", [])]
        if passage.number in twin_of:
            twin = twin_of[passage.number]
            aims.append(("rewrite", greedy(model, [twin.prompt], len(passage.suffix))[0]))
        tasks += [
            edit.Task(passage, aim, instead, keep, rest[1::2], plain[:-_KEEP_NEUTRAL])
            for aim, instead in aims
        ]
    rates = (params.rate,) if params.rate else edit.RATES
    outcomes: list[tuple[edit.Task, edit.Mask, edit.Outcome]] = []
    for n, task in enumerate(tasks):
        first = 0
        for k, mask in enumerate(edit.MASKS):
            part = progress.subprogress(
                (n + k / len(edit.MASKS)) / len(tasks),
                (n + (k + 1) / len(edit.MASKS)) / len(tasks),
            )
            outcome = edit.tuned(
                changed, task, mask, params.fraction, rates, params.steps, params.seed + n,
                at_least=first if mask == "random" else 0, progress=part,
            )  # fmt: skip
            first = first or len(outcome.curve)
            outcomes.append((task, mask, outcome))
    edit_findings.add_changes(result, model, changed, outcomes)
