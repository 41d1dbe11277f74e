"""Through which heads the answer came: each switched off at the prompt's end, what it looks at
there, and those that look at the context or at the subject switched off together.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch

import workbench as wb
from analyses.prompt.provenance.constants import GROUP, PROMPT, RANDOM, RANDOM_GROUPS, WEIGHTS
from analyses.prompt.provenance.end_reading import EndReading
from analyses.prompt.provenance.prompt_parts import PromptParts, Range
from analyses.prompt.provenance.subject import QuestionSubject
from workbench import registry, runs
from workbench.errors import BadInput
from workbench.heads import head_name

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

Head = tuple[int, int]
_MORE = 6  # tokens said beyond as many as the answer has
_LOOKS = 0.1  # of a head's attention, at the least, is on the part that it is taken to read


def head_table(
    model: InstrumentedModel,
    asked: PromptParts,
    subject: QuestionSubject | None,
    answer: Sequence[int],
    progress: Progress,
) -> pd.DataFrame:
    """A row for each head: the log-probability of the answer's first token with the head off at
    the prompt's last token, less that of the model as it is; and the head's attention there.
    """
    import pandas as pd

    swept = wb.sweep(
        model, [asked.ids], [[answer[0]]], over="heads", read="logprob", progress=progress
    )
    effect = swept["effect"].isel(prompt=0)
    effect = effect.isel(target=0) if "target" in effect.dims else effect
    trace = wb.capture(model, [asked.ids], sites="pattern", positions=[-1])
    pattern = (
        trace["pattern"].isel(prompt=0, pos=0)
        if "pos" in trace["pattern"].dims
        else (trace["pattern"].isel(prompt=0, query=0))
    )
    mentions = asked.in_question(subject.mentions) if subject is not None else []
    rows = []
    for layer in effect["layer"].values.tolist():
        for head in effect["head"].values.tolist():
            value = float(effect.sel(layer=layer, head=head))
            if not np.isfinite(value):
                continue
            looks = pattern.sel(layer=layer, head=head).values
            rows.append((layer, head, head_name(layer, head), value,
                         _on(looks, asked.context), _on(looks, mentions)))  # fmt: skip
    return pd.DataFrame(
        rows, columns=["layer", "head", "label", "effect", "on_context", "on_subject"]
    )


def _on(looks: np.ndarray, ranges: Sequence[Range]) -> float:
    return float(sum(looks[start:stop].sum() for start, stop in ranges))


def groups(table: pd.DataFrame) -> dict[str, list[Head]]:
    """Heads that read the prompt and heads that read the subject: of those whose loss costs the
    answer, the strongest, by where they look more.
    """
    helps = table[table["effect"] < 0].sort_values("effect")
    on_prompt = (helps["on_context"] >= _LOOKS) & (helps["on_context"] > helps["on_subject"])
    on_subject = (helps["on_subject"] >= _LOOKS) & ~on_prompt
    return {
        name: [(int(row.layer), int(row.head)) for row in helps[rows].head(GROUP).itertuples()]
        for name, rows in ((PROMPT, on_prompt), (WEIGHTS, on_subject))
    }


@torch.no_grad()
def switch_off(
    model: InstrumentedModel,
    asked: PromptParts,
    answer: Sequence[int],
    table: pd.DataFrame,
    found_before: Mapping[str, Sequence[Head]],
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    """Each group off at the prompt's last token and the answer's, and as many random other heads.

    Args:
        table: of all heads, see `head_table`.
        found_before: further groups, by what they are called.

    Returns:
        A row for each group and each random draw: `group`, `of` (the group that a random draw is
        as large as), `heads`, `logp` of the whole answer, and for groups what the model `said`.
    """
    import pandas as pd

    read = EndReading.of(model, asked.ids)
    every = [(int(row.layer), int(row.head)) for row in table.itertuples()]
    rng = random.Random(seed)

    named = {name: heads for name, heads in {**groups(table), **found_before}.items() if heads}
    rows: list[tuple[str, str, Sequence[Head]]] = [("none", "none", [])]
    for name, heads in named.items():
        rows.append((name, name, heads))
        others = [head for head in every if head not in heads]
        for _ in range(RANDOM_GROUPS if len(others) >= len(heads) else 0):
            rows.append((RANDOM, name, sorted(rng.sample(others, len(heads)))))
    progress(0.0, "Groups of heads off, and random ones")
    found = pd.DataFrame(rows, columns=["group", "of", "heads"])
    found["logp"] = read.logp_without(answer, [heads for _, _, heads in rows])
    said = []
    for n, (name, _, heads) in enumerate(rows):
        progress(n / len(rows), "What is said with heads off")
        with wb.ablate(model, list(heads)) if heads else nullcontext():
            said.append(read.said(len(answer) + _MORE if name != RANDOM else 0))
    return found.assign(heads=[_names(heads) for _, _, heads in rows], said=said)


def heads_of_run(model: InstrumentedModel, ref: str) -> dict[str, list[Head]]:
    """What a finished run found heads of this model to be for, by the words of a person.

    Raises:
        NotFound, BadRun: no such run, or one that cannot be read.
        BadInput: it was made with other weights, or found no heads.
    """
    run = runs.open_run(ref)
    if run.provenance.model.get("weight_hash") != model.card.weight_hash:
        raise BadInput(
            f"The run {ref!r} was made with {run.provenance.model.get('name', 'another model')}, or"
            " other weights of it.",
            f"a run of {model.card.name}",
            "Choose another, or leave it out.",
        )
    says = registry.get(run.analysis).playground
    found = says.heads(run)
    named = {f"{role.head}s of {ref}": list(found.get(role.name, ())) for role in says.roles}
    if not any(named.values()):
        raise BadInput(
            f"The run {ref!r} names no heads.",
            "a run of knowledge-conflict, or of another analysis that finds what heads are for",
            "Choose another, or leave it out.",
        )
    return named


def _names(heads: Sequence[Head]) -> str:
    return " ".join(head_name(*head) for head in heads)
