"""What can be asked about a passage in other words than its own.

Of the people that organisms read about, the ledger has the fields: when born, where living. Of any
other text the user says what to ask. Wrong answers are those of other people to the same question,
so that an answer cannot be told right by its form.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.sets import AuditPassage, Sets
from hooks.generation import continued
from hooks.unlearning.texts import Text, nats_of_all
from workbench import text_files
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

WRONG = 4
"""Wrong answers beside the right one: chance is one in five."""
_ANSWER = 32  # tokens an answer may take (Shi et al. 2024)
_FIELDS = {
    "born": (r"was born on (\d+ \w+ \d{4})", "{who}. {first} was born on"),
    "home town": (r"was born on \d+ \w+ \d{4} in (\w+)", "{who} was born in"),
    "street": (r"lives at (\d+ \w+) Street", "{who}. {first} lives at"),
    "telephone": (r"can be called at (\d{3} \d{3} \d{3})", "{who}. {first} can be called at"),
    "e-mail": (r"writes from (\S+?@\S+?\.example)", "{who}. {first} writes from"),
}
"""Field -> what it looks like in a biography, and the question."""


@dataclass(frozen=True)
class AuditQuestion:
    """A question about one passage.

    Attributes:
        in_set: "forget" or "kept".
        passage: its name.
        field: what is asked.
        prompt: tokens of the question, beginning tokens included.
        answer: the right answer, as text behind the prompt.
        wrong: others.
    """

    in_set: str
    passage: str
    field: str
    prompt: tuple[int, ...]
    answer: str
    wrong: tuple[str, ...]


def questions_of(
    model: InstrumentedModel, sets: Sets, file: Path | None, seed: int
) -> list[AuditQuestion]:
    """All questions about the passages to forget and those kept; [] where nothing can be asked.

    Raises:
        BadInput: the file is not JSON lines with set, prompt, answer and wrong.
    """
    if file is not None:
        return _of_file(model, file)
    draw = random.Random(f"{seed} questions")
    fields = {name: _fields(sets[name]) for name in (c.FORGET, c.KEPT, c.UNSEEN)}
    found = []
    for name in (c.FORGET, c.KEPT):
        for passage, own in fields[name].items():
            for field, (question, answer) in own.items():
                others = {
                    each[field][1]
                    for people in fields.values()
                    for who, each in people.items()
                    if who != passage and field in each
                } - {answer}
                if len(others) >= WRONG:
                    wrong = tuple(draw.sample(sorted(others), WRONG))
                    prompt = tuple(model.tokens(question))
                    found.append(AuditQuestion(name, passage, field, prompt, answer, wrong))
    return found


def _fields(passages: Sequence[AuditPassage]) -> dict[str, dict[str, tuple[str, str]]]:
    """Passage -> field -> (question, answer), of those that are biographies."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for passage in passages:
        named = re.match(r"(\w+) (\w+), an? \w+, was born on ", passage.string)
        if named is None:
            continue
        who, first = f"{named[1]} {named[2]}", named[1]
        found[passage.name] = {
            field: (question.format(who=who, first=first), hit[1])
            for field, (pattern, question) in _FIELDS.items()
            if (hit := re.search(pattern, passage.string))
        }
    return found


def _of_file(model: InstrumentedModel, file: Path) -> list[AuditQuestion]:
    with text_files.one_file(file, "questions", "a file of JSON lines").on_disk() as copy:
        lines = copy.read_text(encoding="utf-8").splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
            in_set = given.get("set", c.FORGET)
            prompt, answer = given["prompt"].rstrip(), given["answer"].strip()
            wrong = tuple(str(each).strip() for each in given.get("wrong", ()))
            if in_set not in (c.FORGET, c.KEPT) or not prompt or not answer:
                raise ValueError
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise BadInput(
                f"Line {number} of {file.name} is no question.",
                '{"set": "forget", "prompt": "…", "answer": "…", "wrong": ["…", …]}, with set'
                " forget or kept",
                "Mend the line.",
            ) from error
        found.append(
            AuditQuestion(
                in_set, str(given.get("passage", number)), str(given.get("field", "")),
                tuple(model.tokens(prompt)), answer, wrong,
            )
        )  # fmt: skip
    return found


@dataclass(frozen=True)
class AuditAnswers:
    """What a model makes of the questions; arrays are (question,).

    Attributes:
        says: how it goes on.
        rouge: ROUGE-L F1 of that with the right answer, from 0 to 1.
        right: mean ln p per token of the right answer.
        wrong: of the wrong ones, mean over them (so that p is their geometric mean, as in TOFU's
            code); NaN where there are none.
        chosen: whether the right answer is the likeliest of all.
    """

    says: list[str]
    rouge: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    chosen: np.ndarray

    @property
    def truth_ratio(self) -> np.ndarray:
        """p of wrong answers over p of the right one (Maini et al. 2024)."""
        ratio: np.ndarray = np.exp(self.wrong - self.right)
        return ratio


def ask_all(model: InstrumentedModel, questions: Sequence[AuditQuestion]) -> AuditAnswers:
    """Generated answers, and how likely the right and the wrong ones are."""
    if not questions:
        none = np.zeros(0)
        return AuditAnswers([], none, none, none, none)
    options = [(q.answer, *q.wrong) for q in questions]
    rows = [
        Text((*q.prompt, *model.continuation_tokens(f" {option}")), len(q.prompt))
        for q, own in zip(questions, options, strict=True)
        for option in own
    ]
    logs, at = -nats_of_all(model, rows).numpy().astype(float), 0
    right, wrong, chosen = [], [], []
    for own in options:
        each = logs[at : at + len(own)]
        at += len(own)
        right.append(each[0])
        wrong.append(each[1:].mean() if len(own) > 1 else np.nan)
        chosen.append(float(each[0] > each[1:].max()) if len(own) > 1 else np.nan)
    says = _says(model, questions)
    rouge = np.array([rouge_l(said, q.answer) for said, q in zip(says, questions, strict=True)])
    return AuditAnswers(says, rouge, np.array(right), np.array(wrong), np.array(chosen))


def _says(model: InstrumentedModel, questions: Sequence[AuditQuestion]) -> list[str]:
    """Greedy answers, no longer than the right one by more than half, cut at the line's end."""
    said = [""] * len(questions)
    groups: dict[tuple[int, int], list[int]] = {}
    for n, q in enumerate(questions):
        most = min(_ANSWER, len(model.continuation_tokens(f" {q.answer}")))
        groups.setdefault((len(q.prompt), most), []).append(n)
    for (_, most), chosen in groups.items():
        prompts = torch.tensor([questions[n].prompt for n in chosen], device=model.device)
        for n, ids in zip(chosen, continued(model, prompts, most, ends=()).tolist(), strict=True):
            said[n] = model.text.decode_continuation(ids).split("\n\n")[0].split("Question")[0]
    return said


def rouge_l(said: str, true: str) -> float:
    """ROUGE-L F1 over words, as `rouge-score` has it: from 0 to 1."""
    from rapidfuzz.distance import LCSseq

    one, other = (re.findall(r"[a-z0-9]+", text.lower()) for text in (said, true))
    if not one or not other:
        return 0.0
    both = LCSseq.similarity(one, other)
    return 2 * both / (len(one) + len(other))
