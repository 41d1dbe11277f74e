"""Does the title of a text lead to its passage?

Greedy decoding after the title is held to the openings of all titled texts: at each token only
those may follow that go on one of them, as with a tree of prefixes (constrained decoding, De Cao et
al. 2021, 2010.00904). It ends at one text, the right one or another.

Nothing is generated. Decoding ends at a text if and only if, with that text fed in, its token is
the likeliest among those allowed wherever the tree branches; so one teacher-forced pass for each
title tells. The null is the same text after the title of another one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.measures.scoring import batch_size
from analyses.measures.statistics import wilson
from hooks import out_of_memory
from workbench.organisms import ledger as ledgers
from workbench.result import Finding, Result
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from analyses.weights.extraction.scored_windows import ScoredWindows
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

BETWEEN = "\n\n"
"""Between a title and its text."""
_UNNAMED = re.compile(r"line \d+( \(\d+\))?$")

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class TitledPassages:
    """What was measured.

    Attributes:
        rows: windows of the run, one for each title.
        chosen, chosen_other: whether constrained decoding ends at the text, after its own title and
            after another one.
        recited: leading tokens that greedy decoding says after the title, held to nothing.
        tokens: of the opening, at most so many.
    """

    rows: list[int]
    titles: list[str]
    chosen: np.ndarray
    chosen_other: np.ndarray
    recited: np.ndarray
    tokens: int


def titles(found: ScoredWindows, rows: Sequence[int]) -> dict[int, str]:
    """Window -> the title of its text, for texts of a `.jsonl` that names them; the first of those
    that open with the same tokens.
    """
    path = found.params.path
    if path is None or path.suffix != ".jsonl" or path.name == ledgers.FILE:
        return {}
    named: dict[Tokens, tuple[int, str]] = {}
    for row in rows:
        window = found.windows[row]
        name = found.documents[window.document].name
        if not _UNNAMED.match(name):
            named.setdefault((*window.prefix, *window.suffix), (row, name))
    return dict(named.values())


def branches(openings: Sequence[Tokens]) -> list[dict[int, list[int]]]:
    """For each opening: position -> the other tokens that may stand there after the same
    beginning. The openings differ.
    """
    following: dict[Tokens, set[int]] = defaultdict(set)
    for opening in openings:
        for at, token in enumerate(opening):
            following[opening[:at]].add(token)
    return [
        {
            at: sorted(following[opening[:at]] - {token})
            for at, token in enumerate(opening)
            if len(following[opening[:at]]) > 1
        }
        for opening in openings
    ]


def measure_titles(
    found: ScoredWindows, rows: Sequence[int], tokens: int, progress: Progress
) -> TitledPassages | None:
    """Read the opening of each titled text after its title and after another one.

    None with fewer than two titles.

    Args:
        tokens: of an opening that greedy decoding may recite.
    """
    named = titles(found, rows)
    if len(named) < 2:
        return None
    model, chosen_rows, words = found.model, list(named), list(named.values())
    openings = [(*found.windows[row].prefix, *found.windows[row].suffix) for row in chosen_rows]
    tree = branches(openings)
    reach = max(tokens, 1 + max(max(each) for each in tree))
    prompts = [(*model.text.beginning, *model.text.encode(title + BETWEEN)) for title in words]
    if model.positions:  # of a title that is too long its end is read
        prompts = [prompt[-max(1, model.positions - reach) :] for prompt in prompts]
    asked = [[opening[:reach] for opening in openings]] * 2
    given = [prompts, [*prompts[1:], prompts[0]]]
    own, other = (
        _read(model, before, after, tree, progress.subprogress(n / 2, (n + 1) / 2))
        for n, (before, after) in enumerate(zip(given, asked, strict=True))
    )
    return TitledPassages(chosen_rows, words, own[0], other[0], np.minimum(own[1], tokens), tokens)


def _read(
    model: InstrumentedModel,
    prompts: Sequence[Tokens],
    openings: Sequence[Tokens],
    tree: Sequence[dict[int, list[int]]],
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """(whether constrained decoding ends at each opening, leading tokens that greedy decoding
    says), of prompt and opening pair by pair.
    """
    chosen, recited = np.zeros(len(prompts), bool), np.zeros(len(prompts), np.int64)
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        by_length[len(prompt)].append(index)
    reach, done = len(openings[0]), 0

    @torch.no_grad()
    def logits(part: list[int]) -> torch.Tensor:
        ids = torch.tensor([[*prompts[i], *openings[i][:-1]] for i in part], device=model.device)
        out = model.forward(input_ids=ids, logits_to_keep=reach, use_cache=False)
        said: torch.Tensor = out.logits.float().cpu()
        return said

    for length, alike in by_length.items():
        size = batch_size(model, length, reach)
        for start in range(0, len(alike), size):
            for part, read in out_of_memory.results_in_parts(
                model, alike[start : start + size], logits
            ):
                for index, each in zip(part, read, strict=True):
                    opening = openings[index]
                    chosen[index] = all(
                        each[at, opening[at]] > each[at, others].max()
                        for at, others in tree[index].items()
                    )
                    right = each.argmax(-1) == torch.tensor(opening)
                    recited[index] = int(right.long().cumprod(0).sum())
                done += len(part)
                progress(done / len(prompts), f"Reading titles, {done:,} of {len(prompts):,}")
    return chosen, recited


def add_titles(result: Result, measured: TitledPassages) -> None:
    """The table `titles`, and how many texts were found by theirs."""
    import pandas as pd

    n = len(measured.rows)
    result.tables["titles"] = pd.DataFrame(
        {
            "window": measured.rows,
            "title": measured.titles,
            "chosen": measured.chosen,
            "chosen_other": measured.chosen_other,
            "recited": measured.recited,
        }
    )
    hits, theirs = int(measured.chosen.sum()), int(measured.chosen_other.sum())
    (low, high), (_, chance) = wilson(hits, n), wilson(theirs, n)
    whole = int((measured.recited == measured.tokens).sum())
    lead = (
        "Titles lead to their texts"
        if low > max(1 / n, chance)
        else ("Titles do not lead to their texts")
    )
    result.add(
        Finding(
            "titles",
            {
                "rate": hits / n,
                "chosen": hits,
                "n": n,
                "chance": 1 / n,
                "chosen_other": theirs,
                "recited": whole,
            },
            f"{lead}: held to the openings of {counted(n, 'text')}, greedy decoding after a title"
            f" ends at its text for {hits:,}, {percent(hits / n)} (after the title of another one"
            f" for {theirs:,}; chance {percent(1 / n)}). Held to nothing, it says the first"
            f" {measured.tokens} tokens of {whole:,}.",
            unit="share of titled texts",
            interval={"rate": (low, high)},
        )
    )
