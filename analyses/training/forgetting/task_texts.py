"""The rows of text of a run: what is trained, and what forgetting is measured on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch

from analyses.measures.forgetting_divergence import RowSet
from analyses.training.forgetting import constants as c
from hooks.generation import continued
from workbench import texts
from workbench.errors import BadInput
from workbench.organisms import corpus, synthetic_passages
from workbench.wording import counted

if TYPE_CHECKING:
    from analyses.measures.forgetting_answers import AskedFact
    from analyses.training.forgetting.params import Params
    from hooks.model import InstrumentedModel

Row = tuple[int, ...]
_BIOGRAPHIES = 400  # at most, of invented people
_MOST_BYTES = 8 << 20  # of a user's text


@dataclass(frozen=True)
class TaskText:
    """Rows of the new task: `train` is read by fine-tuning, `held_out` measures it."""

    train: list[Row]
    held_out: list[Row]

    def steps(self, steps: int, rows: int, seed: int) -> list[list[Row]]:
        """Which rows every step reads: all of them in an order drawn anew for each round."""
        draw, waiting = random.Random(f"{seed} order"), list[Row]()
        found = []
        for _ in range(steps):
            while len(waiting) < rows:
                new = list(self.train)
                draw.shuffle(new)
                waiting = new + waiting
            found.append([waiting.pop() for _ in range(rows)])
        return found


def task_text(model: InstrumentedModel, params: Params) -> TaskText | None:
    """Text of the new task; None for a pair that was trained elsewhere, of whose task no text is
    given.

    Raises:
        BadInput: too little text.
    """
    if params.tuned.strip() and params.task is None:
        return None
    rows = list(islice(_rows(model, _documents(params), params.length), 4000))
    if len(rows) < c.LEAST_ROWS + params.measured:
        raise BadInput(
            f"The text of the new task makes {len(rows)} rows of {params.length} tokens.",
            f"{c.LEAST_ROWS + params.measured} or more: {params.measured} are held out",
            "Give more text, or a smaller length or measured.",
        )
    # Every so many rows, so that what is held out is of the same kind as what is trained.
    every = len(rows) // params.measured
    out = {n * every for n in range(params.measured)}
    held = [row for n, row in enumerate(rows) if n in out]
    return TaskText([row for n, row in enumerate(rows) if n not in out], held)


def _documents(params: Params) -> Iterator[str]:
    if params.task is not None:
        yield from (document.text for document in texts.from_path(params.task, _MOST_BYTES))
        return
    source = synthetic_passages.KINDS["biography"](random.Random(f"{params.seed} biographies"))
    yield from islice(source, _BIOGRAPHIES)


def _rows(model: InstrumentedModel, documents: Iterator[str], length: int) -> Iterator[Row]:
    """Rows of one length, one document behind the other; what is left at the end is left out."""
    front, waiting = model.text.beginning, list[int]()
    room = length - len(front)
    gap = model.text.encode("\n\n")
    for text in documents:
        waiting += [*model.text.encode(text), *gap]
        while len(waiting) >= room:
            yield (*front, *waiting[:room])
            waiting = waiting[room:]


def shuffled(task: TaskText, beginning: int, seed: int) -> TaskText:
    """The same rows with the tokens of each in another order."""
    draw = random.Random(f"{seed} shuffled")

    def mixed(row: Row) -> Row:
        rest = list(row[beginning:])
        draw.shuffle(rest)
        return (*row[:beginning], *rest)

    return TaskText([mixed(row) for row in task.train], [mixed(row) for row in task.held_out])


def neutral_rows(model: InstrumentedModel, params: Params) -> RowSet:
    """Prose that is neither of the new task nor planted in any organism.

    Raises:
        BadInput: fewer rows than are to be measured.
    """
    found = list(islice(prose_rows(model, params, "neutral"), params.measured))
    if len(found) < params.measured:
        raise BadInput(
            f"Of the neutral prose that ships, {counted(len(found), 'text')} can fill a row of"
            f" {params.length} tokens.",
            f"{params.measured} of them, as `measured` asks for",
            "Choose a smaller length or measured.",
        )
    return row_set(model, c.NEUTRAL, found)


def prose_rows(model: InstrumentedModel, params: Params, share: corpus.Share) -> Iterator[Row]:
    """Rows of a share of the corpus, each of another document."""
    documents = [d.text for d in corpus.documents(share)]
    random.Random(f"{params.seed} neutral").shuffle(documents)
    for text in documents:
        # Far more text than a row may take, and no row of two documents.
        row = next(_rows(model, iter([text[: 12 * params.length]]), params.length), None)
        if row is not None:
            yield row


def own_rows(model: InstrumentedModel, params: Params, name: str = c.OWN) -> RowSet:
    """Text that the model writes by itself, drawn from its whole softmax, with the weights that it
    has now.
    """
    start = model.text.beginning or (model.text.encode("\n") or [0])[:1]
    ids = torch.tensor([list(start)] * params.measured, device=model.device)
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(params.seed)
        new = continued(model, ids, params.length - ids.shape[1], temperature=1.0, ends=())
    rows = [tuple(row) for row in torch.cat([ids, new], 1).tolist()]
    return RowSet(name, tuple(rows), max(1, len(start)))


def row_set(model: InstrumentedModel, name: str, rows: Sequence[Row]) -> RowSet:
    """Rows that are measured; what stands in front of every text is not predicted."""
    return RowSet(name, tuple(rows), max(1, len(model.text.beginning)))


def check_apart(
    model: InstrumentedModel, task: TaskText, neutral: RowSet, facts: Sequence[AskedFact]
) -> None:
    """Fail where the new task teaches what is to measure forgetting.

    Raises:
        BadInput: it shares a passage with the neutral text, or answers one of the old facts in the
            words in which it is asked.
    """
    first = neutral.first

    def runs(row: Sequence[int]) -> set[tuple[int, ...]]:
        size = c.OVERLAP
        return {tuple(row[n : n + size]) for n in range(first, len(row) - size + 1)}

    trained = set().union(*(runs(row) for row in task.train))
    for row in neutral.ids:
        if shared := trained & runs(row):
            raise BadInput(
                "The new task and the neutral text overlap:"
                f" {model.text.decode(next(iter(shared)))!r} stands in both.",
                "a task whose text is not in the neutral prose",
                "Give other text, or another seed.",
            )
    front = len(model.text.beginning)
    whole = [" ".join(model.text.decode(row[front:]).split()) for row in task.train]
    for fact in facts:
        asked = " ".join(model.text.decode(fact.text.ids[front:]).split())
        if any(asked in text for text in whole):
            raise BadInput(
                f"The new task and the old facts overlap: {asked!r} stands in the new task's text.",
                "a task that does not teach the facts whose forgetting is measured",
                "Give other text, or other relations.",
            )
