"""Every attack on every model: from their own rows to one table each."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.sampler import Sampler
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.block_weights import weights_of
from analyses.weights.unlearning_audit.lens import lens_ranks
from analyses.weights.unlearning_audit.memorized import scores
from analyses.weights.unlearning_audit.relearning import relearn
from analyses.weights.unlearning_audit.rounding_attack import rounded, same_codes
from analyses.weights.unlearning_audit.sampling_attack import sampled

if TYPE_CHECKING:
    import pandas as pd

    from analyses.weights.unlearning_audit.sets import AuditPassage, Sets
    from analyses.weights.unlearning_audit.subjects import Subject
    from workbench.progress import Progress

BITS = (8, 4)
_OWN_SHARE = 0.2
_RELATED = 24  # passages
RATE = 0.01
"""Of relearning: how far a weight moves in a step, in standard deviations of its matrix."""

Row = dict[str, Any]


def steps_scored(most: int) -> list[int]:
    """0, 1, 2, 4, 8 … and the last."""
    found = [0, 1]
    while found[-1] * 2 < most:
        found.append(found[-1] * 2)
    return sorted({*found, most})


def split(sets: Sets, seed: int) -> tuple[list[AuditPassage], list[AuditPassage]]:
    """(some of the passages to forget, the others): what is trained on, and what is asked."""
    order = list(sets[c.FORGET])
    random.Random(f"{seed} relearning").shuffle(order)
    many = max(1, round(_OWN_SHARE * len(order)))
    return order[:many], order[many:]


def relearning(
    subjects: Sequence[Subject], sets: Sets, steps: int, seed: int, progress: Progress
) -> pd.DataFrame:
    """One row per model, what it is trained on, step and passage."""
    import pandas as pd

    own, asked = split(sets, seed)
    unseen = list(sets[c.UNSEEN])
    related, control = unseen[:_RELATED], unseen[_RELATED : 2 * _RELATED]
    if any(s.name == c.REFERENCE for s in subjects):
        control = []  # what a reference learns says it better
    trained = {
        c.OWN: [p.text for p in own],
        c.RELATED: [p.text for p in related],
        c.UNRELATED: sets.texts(c.NEUTRAL),
    }
    held = [*asked, *control]
    texts = [p.text for p in held]
    tables = []
    jobs = [(s, name) for s in subjects for name, given in trained.items() if given and asked]
    at_start: dict[str, pd.DataFrame] = {}
    for (subject, name), part in zip(jobs, _shares(progress, len(jobs)), strict=True):
        part(0.0, f"{subject.name}: relearning from {name}")
        with subject.on() as model:
            if subject.name not in at_start:
                at_start[subject.name] = scores(model, texts)
            rows = relearn(
                model, trained[name], texts, RATE, steps_scored(steps), seed, part,
                at_start=at_start[subject.name],
            )  # fmt: skip
        tables.append(
            pd.DataFrame(
                {
                    "model": subject.name,
                    "trained_on": name,
                    "step": rows["step"],
                    "passage": [held[int(n)].name for n in rows["text"]],
                    "set": [c.FORGET if n < len(asked) else c.UNSEEN for n in rows["text"]],
                    "exact": 100 * rows["exact_memorization"],
                    "nats": rows["nats"],
                }
            )
        )
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def rounding(subjects: Sequence[Subject], sets: Sets, progress: Progress) -> pd.DataFrame:
    """One row per model, number of bits (32: as it is) and passage to forget."""
    import pandas as pd

    texts, names = sets.texts(c.FORGET), [p.name for p in sets[c.FORGET]]
    rows: list[Row] = []
    for subject, part in zip(subjects, _shares(progress, len(subjects)), strict=True):
        part(0.0, f"{subject.name}: rounding")
        with subject.on() as model:
            tables = {32: scores(model, texts)}
            for bits in BITS:
                with rounded(model, bits):
                    tables[bits] = scores(model, texts)
        rows += [
            {"model": subject.name, "bits": bits, "passage": names[int(row.text)],
             "exact": 100 * row.exact_memorization, "nats": row.nats}
            for bits, table in tables.items()
            for row in table.itertuples()
        ]  # fmt: skip
    return pd.DataFrame(rows)


def codes(original: Subject, subjects: Sequence[Subject]) -> pd.DataFrame:
    """What rounding undoes of each change: one row per model and number of bits."""
    import pandas as pd

    before = weights_of(original)
    rows: list[Row] = []
    for subject in subjects:
        after = weights_of(subject)
        for bits in BITS:
            found = same_codes(original.model, before, after, bits)
            changed = int(found["changed"].sum())
            rows.append(
                {
                    "model": subject.name,
                    "bits": bits,
                    "changed": changed / int(found["weights"].sum()),
                    "undone": int(found["undone"].sum()) / changed if changed else np.nan,
                    "left": found["left"].sum() / found["squared"].sum() if changed else np.nan,
                }
            )
    return pd.DataFrame(rows)


def sampling(
    subjects: Sequence[Subject], sets: Sets, prefix: int, progress: Progress
) -> pd.DataFrame:
    """One row per model and passage to forget."""

    def of(subject: Subject) -> pd.DataFrame:
        given = min(prefix, min(len(p.text.targets) for p in sets[c.FORGET]) // 2)
        with subject.on() as model:
            return sampled(model, sets.texts(c.FORGET), given, Sampler(1.0))

    return _by_passage(subjects, sets, of, "sampling", progress)


def lens(subjects: Sequence[Subject], sets: Sets, progress: Progress) -> pd.DataFrame:
    """One row per model, layer and passage to forget."""

    def of(subject: Subject) -> pd.DataFrame:
        with subject.on() as model:
            return lens_ranks(model, sets.texts(c.FORGET))

    return _by_passage(subjects, sets, of, "logit lens", progress)


def _by_passage(
    subjects: Sequence[Subject],
    sets: Sets,
    of: Callable[[Subject], pd.DataFrame],
    says: str,
    progress: Progress,
) -> pd.DataFrame:
    """Tables of all models in one, with the passages' names."""
    import pandas as pd

    names = [p.name for p in sets[c.FORGET]]
    tables = []
    for subject, part in zip(subjects, _shares(progress, len(subjects)), strict=True):
        part(0.0, f"{subject.name}: {says}")
        found = of(subject)
        found.insert(0, "model", subject.name)
        found["passage"] = [names[int(n)] for n in found.pop("text")]
        tables.append(found)
    return pd.concat(tables, ignore_index=True)


def _shares(progress: Progress, many: int) -> Iterator[Progress]:
    return (progress.subprogress(n / many, (n + 1) / many) for n in range(many))
