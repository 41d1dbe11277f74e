"""The run: its parts, one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analyses.measures import text_source, windows
from analyses.measures.compression import MOST, Compressed, compress
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from analyses.measures.window_scores import Scores
from analyses.weights.extraction import access, access_findings, comparisons, findings
from analyses.weights.extraction.constants import NAME
from analyses.weights.extraction.costs import stages as costs
from analyses.weights.extraction.documents import add_documents
from analyses.weights.extraction.params import Params
from analyses.weights.extraction.parts import PARTS, training_steps
from analyses.weights.extraction.scored_windows import ScoredWindows
from analyses.weights.extraction.titled_passages import add_titles, measure_titles
from hooks.model import load
from workbench.cost import Cost, of_parts, stages
from workbench.errors import BadInput
from workbench.organisms import ledger as ledgers
from workbench.parts import running
from workbench.result import Result

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.texts import Document

# of the tries a person has: a suffix less likely than this in all of them together is not looked at
# further
_RARE = 0.01


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Read every window once, then say what that means.

    The package's docstring names the parts.
    """
    progress(0.0, "Reading the texts")
    longest = max(params.context)
    limit = model.positions
    if limit and longest + params.suffix + 1 > limit:
        raise BadInput(
            f"{longest} tokens of context and a suffix of {params.suffix} do not fit into"
            f" {model.card.name}.",
            f"at most {limit - 1:,} tokens together",
            "Choose a shorter context or suffix.",
        )
    asked_for = running(PARTS, params)
    strings = _strings(model, params) if "compression" in asked_for else {}
    skipped: list[tuple[str, str]] = []
    documents, cut, short, share = text_source.windows_of(
        model,
        params,
        max(params.context),
        params.suffix,
        params.stride,
        params.max_windows,
        skipped,
    )
    part = _stages(model, params, len(cut), asked_for, progress)
    whole = "membership" in asked_for
    scores = _scores(model, cut, params, whole, part["read"])
    found = ScoredWindows(model, params, documents, cut, scores)
    result = Result(NAME)
    result.provenance.notes = {
        "texts": params.named,
        "windows": f"{longest} + {params.suffix} tokens, every {params.stride}",
        "sampler": str(params.sampler),
        "beginning token": model.beginning.says,
    }
    left_out = [
        *skipped,
        *((document.name, "shorter than one window") for document in short),
        *_not_sampled(documents, cut),
    ]
    text_source.add_left_out(result, left_out, share)
    text_source.add_altered(
        result, [*text_source.altered(model, documents), *_altered_strings(model, strings)]
    )
    findings.add_textless(result, found)
    findings.add_extracted(result, found)
    if params.text.strip() or params.path is not None:
        add_documents(result, found)
    progress.checkpoint(result)
    if "near_verbatim" in asked_for:
        findings.decode(result, found, part["decode"])
    comparisons.add_by_context(result, found, _other_contexts(model, params, cut, part["context"]))
    theirs = None
    if "reference" in asked_for:
        theirs = _compare(result, found, params, whole, part["reference"])
    if whole:
        findings.add_membership(result, found, theirs)
    if "checkpoints" in asked_for:
        comparisons.add_steps(
            result, found, _along_training(model, training_steps(model), cut, part["checkpoints"])
        )
    if strings:
        findings.add_compressed(
            result, found, _compressed(model, params, strings, part["compress"])
        )
    if "access" in asked_for:
        _add_access(result, found, part["access"])
    progress(1.0, "Done")
    return result


def _add_access(result: Result, found: ScoredWindows, progress: Progress) -> None:
    """From where passages come out; and after their titles, which take a hundredth of the time."""
    measured = access.measure(found, progress.subprogress(0.0, 0.98))
    if measured is None:
        return
    access_findings.add_access(result, measured)
    rows, tokens = measured.rows.tolist(), measured.grid.recited
    titled = measure_titles(found, rows, tokens, progress.subprogress(0.98, 1.0))
    if titled is not None:
        add_titles(result, titled)


def _not_sampled(
    documents: Sequence[Document], cut: Sequence[windows.Window]
) -> list[tuple[str, str]]:
    """Documents of which no window is left; one too long for memory comes as several of the same
    name.
    """
    read = {documents[window.document].name for window in cut}
    names = dict.fromkeys(document.name for document in documents)
    return [
        (name, "none of its windows is in the even sample") for name in names if name not in read
    ]


def _stages(
    model: InstrumentedModel, params: Params, n: int, asked_for: set[str], progress: Progress
) -> dict[str, Progress]:
    """A progress for each stage, of so many windows."""
    each = of_parts(costs(model, params, n), asked_for)
    # Suffixes are read to their end in the same pass.
    each["read"] += each.pop("suffixes", Cost())
    return stages(progress, model, each)


def _scores(
    model: InstrumentedModel,
    cut: Sequence[windows.Window],
    params: Params,
    whole: bool,
    progress: Progress,
    ref: str = "",
) -> Scores:
    return score(
        model,
        cut,
        params.sampler,
        whole=whole,
        floor=math.log(_RARE / params.tries),
        ref=ref,
        progress=progress,
    )


def _other_contexts(
    model: InstrumentedModel, params: Params, cut: list[windows.Window], progress: Progress
) -> dict[int, Scores]:
    """The same suffixes after less of the text before them."""
    shorter = params.context[:-1]
    scores = {}
    for number, length in enumerate(shorter):
        part = progress.subprogress(number / len(shorter), (number + 1) / len(shorter))
        same = [windows.Window(w.document, w.start, (), w.prefix[-length:], w.suffix) for w in cut]
        scores[length] = _scores(model, same, params, False, part)
    return scores


def _compare(
    result: Result, found: ScoredWindows, params: Params, whole: bool, progress: Progress
) -> Scores:
    """Read the same texts with the reference model; its own tokenizer cuts its own windows where
    the two differ.
    """
    progress(0.0, f"Loading {params.reference}")
    other = load(params.reference, device=str(found.model.device))
    same = ledgers.fingerprint(other.tokenizer) == ledgers.fingerprint(found.model.tokenizer)
    theirs = found.windows if same else comparisons.retokenized(found, other)
    scores = _scores(other, theirs, params, whole, progress, params.reference)
    comparisons.add_overlap(result, found, params.reference, theirs, scores)
    return scores


def _along_training(
    model: InstrumentedModel, steps: list[str], cut: list[windows.Window], progress: Progress
) -> dict[int, Scores]:
    """The same windows at every kept step of training."""
    scores: dict[int, Scores] = {}
    for number, ref in enumerate(steps):
        step = int(ref.rpartition("-")[2])
        part = progress.subprogress(number / len(steps), (number + 1) / len(steps))
        part(0.0, f"Opening step {step:,}")
        then = load(ref, device=str(model.device))
        scores[step] = score(then, cut, Sampler(temperature=0), whole=True, ref=ref, progress=part)
    return scores


def _strings(model: InstrumentedModel, params: Params) -> dict[str, list[int]]:
    """The strings to compress, as tokens."""
    strings = {text: model.continuation_tokens(text) for text in params.compress}
    for text, target in strings.items():
        if not 1 <= len(target) <= MOST:
            raise BadInput(
                f"{text[:40]!r} has {len(target)} tokens.",
                f"1 to {MOST}, since a prompt is searched for it",
                "Give a shorter string.",
            )
    return strings


def _altered_strings(model: InstrumentedModel, strings: dict[str, list[int]]) -> list[str]:
    """Strings that are others once the tokenizer gives them back: what a prompt is searched for
    is their tokens.
    """
    back = {text: model.text.decode_continuation(ids) for text, ids in strings.items()}
    return [
        repr(text[:40]) for text, given in back.items() if given.lstrip(" ") != text.lstrip(" ")
    ]


def _compressed(
    model: InstrumentedModel, params: Params, strings: dict[str, list[int]], progress: Progress
) -> dict[str, Compressed]:
    """The shortest prompt found for each string."""
    found = {}
    for number, (text, target) in enumerate(strings.items()):
        part = progress.subprogress(number / len(strings), (number + 1) / len(strings))
        found[text] = compress(model, target, params.compress_steps, params.seed, part)
    return found
