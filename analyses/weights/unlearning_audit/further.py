"""The attacks that are not part of a default run: probes, layers put back, other prompts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.block_weights import weights_of
from analyses.weights.unlearning_audit.probes import probe
from analyses.weights.unlearning_audit.prompting import GIVEN, other_prompts, shortest_prompts
from analyses.weights.unlearning_audit.restore import (
    change_norms,
    interpolate,
    patch_states,
    reset_modules,
)
from analyses.weights.unlearning_audit.verdicts import reference_of
from workbench.result import Finding, Result

if TYPE_CHECKING:
    import pandas as pd

    from analyses.weights.unlearning_audit.experiment import Audit
    from analyses.weights.unlearning_audit.sets import Sets
    from analyses.weights.unlearning_audit.subjects import Subject
    from workbench.progress import Progress

SEARCHED, SAID = 3, 12
"""Passages whose shortest prompt is searched, and tokens of each that it is to bring."""
_PROBED = 120  # never-read passages


def further(
    result: Result, own: Audit, wanted: Collection[str], stage: Mapping[str, Progress]
) -> None:
    """Those of them that are asked for: their tables and findings."""
    if "probes" in wanted:
        result.tables["probes"] = _probes(own, stage["probes"])
        _say_probes(result)
    original = own.named(c.ORIGINAL)
    if "restore" in wanted and original is not None:
        same = [s for s in own.audited if s.model is own.model]
        _restore(result, own.sets, original, same, stage["restore"])
        if same:
            _say_put_back(result)
    if "prompts" in wanted:
        _prompts(result, own, stage["prompts"])
        _say_prompts(result)


def _probes(own: Audit, progress: Progress) -> pd.DataFrame:
    def of(subject: Subject, part: Progress) -> pd.DataFrame:
        with subject.on() as model:
            forget, unseen = own.sets[c.FORGET], own.sets[c.UNSEEN][:_PROBED]
            return probe(
                model,
                [p.text for p in forget],
                [p.text for p in unseen],
                kinds=[p.kind for p in (*forget, *unseen)],
                seed=own.params.seed,
                progress=part,
            )

    import pandas as pd

    parts = zip(own.subjects, _parts(progress, len(own.subjects)), strict=True)
    return pd.concat([_of(subject, of(subject, p)) for subject, p in parts], ignore_index=True)


def _parts(progress: Progress, many: int) -> list[Progress]:
    return [progress.subprogress(n / many, (n + 1) / many) for n in range(many)]


def _of(subject: Subject, table: pd.DataFrame, sets: Sets | None = None) -> pd.DataFrame:
    """With the model's name, and the passages' where they are given."""
    table.insert(0, "model", subject.name)
    if sets is not None:
        table["passage"] = [sets[c.FORGET][int(n)].name for n in table.pop("text")]
    return table


def _restore(
    result: Result, sets: Sets, original: Subject, subjects: list[Subject], progress: Progress
) -> None:
    import pandas as pd

    texts, before = sets.texts(c.FORGET), weights_of(original)
    found: dict[str, list[pd.DataFrame]] = {"patched": [], "reset": [], "between": [], "moved": []}
    for subject, part in zip(subjects, _parts(progress, len(subjects)), strict=True):
        part(0.0, f"{subject.name}: putting back")
        first, second, third = (part.subprogress(n / 3, (n + 1) / 3) for n in range(3))
        patched = patch_states(original, subject, texts, progress=first)
        found["patched"].append(_of(subject, patched, sets))
        found["reset"].append(_of(subject, reset_modules(subject, before, texts, second), sets))
        between = interpolate(subject, before, texts, progress=third)
        found["between"].append(_of(subject, between, sets))
        found["moved"].append(
            _of(subject, change_norms(subject.model, before, weights_of(subject)))
        )
    for name, tables in found.items():
        if tables:
            result.tables[name] = pd.concat(tables, ignore_index=True)


def _prompts(result: Result, own: Audit, progress: Progress) -> None:
    import pandas as pd

    sets, tables, searched = own.sets, [], []
    texts = sets.texts(c.FORGET)
    neutral = [i for text in sets.texts(c.NEUTRAL)[:2] for i in text.targets]
    # What is asked is the same end of every passage, of the shortest one at least ten tokens.
    room = min(len(text.targets) for text in texts) - 10
    given = [n for n in GIVEN if n <= room] or [0]
    some = texts[:: max(1, len(texts) // SEARCHED)][:SEARCHED]
    names = [sets[c.FORGET][texts.index(text)].name for text in some]
    for subject, part in zip(own.subjects, _parts(progress, len(own.subjects)), strict=True):
        part(0.0, f"{subject.name}: other prompts")
        first, second = part.subprogress(0.0, 0.3), part.subprogress(0.3, 1.0)
        with subject.on() as model:
            tables.append(
                _of(subject, other_prompts(model, texts, neutral, given, progress=first), sets)
            )
            short = shortest_prompts(model, some, SAID, seed=own.params.seed, progress=second)
        short["passage"] = [names[int(n)] for n in short.pop("text")]
        searched.append(_of(subject, short))
    result.tables["prompts"] = pd.concat(tables, ignore_index=True)
    result.tables["shortest"] = pd.concat(searched, ignore_index=True)


def _judged(table: pd.DataFrame) -> list[str]:
    return [name for name in dict.fromkeys(table["model"]) if name not in c.BESIDE]


def _say_probes(result: Result) -> None:
    table = result.tables["probes"]
    mean = table[table["pooling"] == "mean"]
    best = {
        name: rows.loc[rows["auc"].idxmax()] for name, rows in mean.groupby("model", sort=False)
    }
    shown = [n for n in (c.ORIGINAL, c.REFERENCE) if n in best] + _judged(table)
    said = ", ".join(
        f"{name} {best[name]['auc']:.2f} ({best[name]['low']:.2f} to {best[name]['high']:.2f},"
        f" layer {int(best[name]['layer'])})"
        for name in shown
    )
    shuffled = mean["shuffled"].max()
    result.add(
        Finding(
            "probes",
            {name: float(best[name]["auc"]) for name in shown},
            "A linear probe of the best layer's states tells held-out passages to forget from ones"
            f" never read with an AUC of: {said}. The best on shuffled labels: {shuffled:.2f}."
            " The best of several layers is a little too good in all of them.",
            unit="AUC",
            interval={
                name: (float(best[name]["low"]), float(best[name]["high"])) for name in shown
            },
        )
    )


def _say_put_back(result: Result) -> None:
    """The module whose old weights bring most back, by model."""
    reset, passages = result.tables["reset"], result.tables["passages"]
    now = passages[passages["set"] == c.FORGET].groupby("model")["exact"].mean()
    said, values = [], {}
    for name, rows in reset.groupby("model", sort=False):
        by = rows.groupby(["layer", "part"])["exact_memorization"].mean()
        (layer, part), value = by.idxmax(), by.max()
        values[str(name)] = 100 * float(value - now[name])
        said.append(f"{name} {part} of layer {layer} ({values[str(name)]:+.0f} points)")
    result.add(
        Finding(
            "put_back",
            values,
            "The one module whose old weights bring most of the tokens back to first choice:"
            f" {', '.join(said)}.".replace("-", "−"),
            unit="points of first choice",
        )
    )


def _say_prompts(result: Result) -> None:
    table = result.tables["prompts"]
    by = table.groupby(["model", "prompt", "given"])["exact_memorization"].mean()
    reference = reference_of(result)
    said, values = [], {}
    for name in _judged(table):
        own = by[name]
        if reference is not None:
            own = own - by[reference]
        prompt, given = own.idxmax()
        values[name] = 100 * float(own.max())
        said.append(f"{name} {values[name]:+.0f} ({given} tokens, {prompt})")
    null = " more than in the reference" if reference else ""
    result.add(
        Finding(
            "prompts",
            values,
            f"The prompt that brings most of the ends of the passages, in points of first choice"
            f"{null}: {', '.join(said)}.".replace("-", "−"),
            unit="points of first choice",
        )
    )
