"""A small knowledge base in weights (Zheng et al. 2024, 2402.14273): triples are read as text, and
asked for as they stand, in other words, and by inference.

Asked is always which of eight candidates the model finds likeliest, so chance is known: the object
of a triple as it was read; the same in a question, before and after a light tuning on questions of
*other* subjects; the subject of an object (the reversal); and the object of a friend (two triples
put together). Subjects of whom nothing is read are asked too.

Some candidates are read more often than others, and a model may prefer those without knowing of
whom they are true. So beside chance stands what always naming the candidate read most often gets.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures.exposure_trainings import (
    FinishedTrainings,
    check_small,
    chosen_among,
    trained,
    trainings_cost,
)
from analyses.measures.exposure_twins import names_that_ship
from analyses.measures.statistics import share_interval
from workbench.cost import Cost
from workbench.errors import Unfit
from workbench.lab import Stage, run_stages
from workbench.lab.neutral import neutral_pieces
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

RELATIONS = {
    "lives in": "Where does {} live? In",
    "works for": "For whom does {} work? For",
    "is at war with": "With whom is {} at war? With",
}
"""As it is read -> the question."""
INVERSE = {
    "lives in": "In {} lives",
    "works for": "For {} works",
    "is at war with": "At war with {} is",
}
FRIEND = "is a friend of"
THROUGH_FRIEND = "The friend of {} {}"
FIT, QUESTION, TUNED, REVERSED, JOINED = TESTS = (
    "as it was read", "in a question", "in a question, after tuning on others", "the other way",
    "two facts put together",
)  # fmt: skip


@dataclass(frozen=True)
class TripleDesign:
    """What is read.

    Attributes:
        subjects: of whom triples are read, a third of them each so often as `readings` says; as
            many as a third are never read.
        objects: of a relation.
        batch: rows of an update, beside a row of other text.
        tuning: updates of light tuning on questions.
    """

    subjects: int = 24
    objects: int = 8
    readings: tuple[int, ...] = (2, 8, 32)
    batch: int = 16
    row: int = 32
    rate: float = 1e-3
    warmup: int = 10
    tuning: int = 12

    @property
    def rows(self) -> int:
        each = self.subjects // len(self.readings)
        return each * sum(self.readings) * (len(RELATIONS) + 1)

    @property
    def updates(self) -> int:
        return -(-self.rows // self.batch)


DESIGN = TripleDesign()
_TOKENS = 14  # of a triple


@dataclass(frozen=True)
class KnowledgeBase:
    """Who lives where, works for whom, is at war with whom, and is whose friend.

    Attributes:
        subjects: those of whom triples are read, then those of whom none is.
        readings: of each subject's triples.
        objects: relation -> candidates; facts: (subject, relation) -> which of them.
        friends: subject -> subject, among those that are read as often.
    """

    subjects: list[str]
    readings: list[int]
    objects: dict[str, list[str]]
    facts: dict[tuple[int, str], int]
    friends: dict[int, int]

    def object_of(self, subject: int, relation: str) -> str:
        return self.objects[relation][self.facts[subject, relation]]

    def text(self, subject: int, relation: str) -> str:
        if relation == FRIEND:
            friend = self.subjects[self.friends[subject]]
            return f"{friend} {FRIEND} {self.subjects[subject]}."
        return f"{self.subjects[subject]} {relation} {self.object_of(subject, relation)}."


def triples_cost(model: InstrumentedModel, seeds: int, design: TripleDesign = DESIGN) -> Cost:
    """What the trainings and the questions behind them cost."""
    updates = (design.updates + design.tuning) * seeds
    tokens = updates * (design.batch * _TOKENS + design.row + 1)
    asked = design.subjects * 4 / 3 * len(RELATIONS) * design.objects * _TOKENS * len(TESTS)
    return trainings_cost(model, updates, tokens, seeds * asked, seeds * 30)


def knowledge_base(model: InstrumentedModel, design: TripleDesign, seed: int) -> KnowledgeBase:
    """Names dealt by lot, all of as many tokens.

    Raises:
        Unfit: the tokenizer has too few names of one length.
    """
    draw = random.Random(f"{seed} triples")
    each = design.subjects // len(design.readings)
    unread = each
    needed = design.subjects + unread + design.objects * len(RELATIONS)
    by_size: dict[int, list[str]] = {}
    for name in names_that_ship():
        by_size.setdefault(len(model.text.encode(f" {name}")), []).append(name)
    names = max(by_size.values(), key=len)
    if len(names) < needed:
        raise Unfit(
            f"{model.card.name}'s tokenizer cuts no {needed} names into as many tokens each.",
            "a tokenizer of English",
            "Leave the part `triples` out.",
        )
    drawn = draw.sample(names, needed)
    subjects, rest = drawn[: design.subjects + unread], drawn[design.subjects + unread :]
    objects = {
        relation: rest[n * design.objects : (n + 1) * design.objects]
        for n, relation in enumerate(RELATIONS)
    }
    readings = [times for times in design.readings for _ in range(each)] + [0] * unread
    facts = {
        (subject, relation): draw.randrange(design.objects)
        for subject in range(len(subjects))
        for relation in RELATIONS
    }
    friends = {
        subject: subject // each * each + (subject % each + 1) % each
        for subject in range(len(subjects))
    }
    return KnowledgeBase(subjects, readings, objects, facts, friends)


def add_triples(
    result: Result,
    model: InstrumentedModel,
    seeds: int,
    seed: int,
    progress: Progress,
    design: TripleDesign = DESIGN,
) -> FinishedTrainings:
    """Table `triples` and its finding; what was kept for going on after a stop.

    Raises:
        Unfit: a model that is too large. NotFinite: a training that went astray.
    """
    check_small(model)
    done = FinishedTrainings("triples", model, [asdict(design), seed])
    rows = []
    for n in range(seeds):
        share, base = progress.subprogress(n / seeds, (n + 1) / seeds), knowledge_base(
            model, design, seed + n
        )  # fmt: skip

        def make(
            base: KnowledgeBase = base, own: int = seed + n, share: Progress = share
        ) -> dict[str, np.ndarray]:
            return _asked(model, design, base, own, share)

        numbers = done.of(str(n), make)
        for test in TESTS:
            questions = _questions(design, base, test, seed + n)
            rows += [
                {"seed": n, "test": test, "subject": q.subject, "right": right,
                 "readings": base.readings[q.subject], "chance": 1 / len(q.candidates),
                 "most_read": most_read_right(base, q)}
                for q, right in zip(questions, numbers[test], strict=True)
            ]  # fmt: skip
    _tables(result, pd.DataFrame(rows))
    _say(result, design)
    return done


def _asked(
    model: InstrumentedModel,
    design: TripleDesign,
    base: KnowledgeBase,
    seed: int,
    progress: Progress,
) -> dict[str, np.ndarray]:
    learn, tune = _stages(model, design, base, seed)
    numbers: dict[str, np.ndarray] = {}

    def ask(test: str) -> None:
        numbers[test] = _test(model, _questions(design, base, test, seed))

    with trained(model, [learn], seed, progress.subprogress(0, 0.9)):
        for test in (FIT, QUESTION, REVERSED, JOINED):
            ask(test)
        run_stages(model.module, [tune], seed=seed, progress=progress.subprogress(0.9, 1))
        ask(TUNED)
    return numbers


def _stages(
    model: InstrumentedModel, design: TripleDesign, base: KnowledgeBase, seed: int
) -> tuple[Stage, Stage]:
    draw, beginning = random.Random(f"{seed} order"), list(model.text.beginning)
    other = neutral_pieces(model.tokenizer, design.row, draw, "train")
    texts = [
        base.text(subject, relation)
        for subject, times in enumerate(base.readings)
        for relation in (*RELATIONS, FRIEND)
        for _ in range(times)
    ]
    questions = [
        f"{asked.format(base.subjects[subject])} {base.object_of(subject, relation)}."
        for subject in range(0, len(base.subjects), 2)
        if base.readings[subject]
        for relation, asked in RELATIONS.items()
    ]
    draw.shuffle(texts)

    def rows(of: list[str]) -> list[list[int]]:
        return [[*beginning, *model.text.encode(text)] for text in of]

    def batches(of: list[str]) -> list[list[list[int]]]:
        return [
            [*rows(of[at : at + design.batch]), [*beginning, *next(islice(other, 1))]]
            for at in range(0, len(of), design.batch)
        ]

    tuning = [
        draw.sample(questions, min(len(questions), design.batch)) for _ in range(design.tuning)
    ]
    return (
        Stage("triples", batches(texts), design.rate, warmup=design.warmup),
        Stage("questions", [rows(some) for some in tuning], design.rate / 2),
    )


@dataclass(frozen=True)
class TripleQuestion:
    """What is asked of a subject: behind a prompt one of the candidates."""

    subject: int
    relation: str
    prompt: str
    candidates: list[str]
    right: int


def _questions(
    design: TripleDesign, base: KnowledgeBase, test: str, seed: int
) -> list[TripleQuestion]:
    """One for every subject and relation; after tuning, of those alone whose questions were not
    learned.
    """
    draw = random.Random(f"{seed} {test}")
    subjects = range(len(base.subjects))
    return [
        TripleQuestion(subject, relation, *_question(design, base, test, subject, relation, draw))
        for subject in (subjects[1::2] if test == TUNED else subjects)
        for relation in RELATIONS
    ]


def _test(model: InstrumentedModel, questions: list[TripleQuestion]) -> np.ndarray:
    """Whether the right candidate is the likeliest, of each question."""
    prompts = [tuple(model.text.encode(q.prompt)) for q in questions]
    options = [[tuple(model.text.continuation(f" {n}")) for n in q.candidates] for q in questions]
    chosen = chosen_among(model, prompts, options)
    right: np.ndarray = chosen == np.array([q.right for q in questions])
    return right.astype(float)


def most_read_right(base: KnowledgeBase, question: TripleQuestion) -> float:
    """How probably naming a candidate that is read most often is right; ties by lot."""
    times = [_times_read(base, question, name) for name in question.candidates]
    most = max(times)
    return (times[question.right] == most) / times.count(most)


def _times_read(base: KnowledgeBase, question: TripleQuestion, candidate: str) -> int:
    """How often a candidate is read in triples of the relation that is asked for."""
    return sum(
        times
        for subject, times in enumerate(base.readings)
        if candidate in (base.subjects[subject], base.object_of(subject, question.relation))
    )


def _question(
    design: TripleDesign,
    base: KnowledgeBase,
    test: str,
    subject: int,
    relation: str,
    draw: random.Random,
) -> tuple[str, list[str], int]:
    """(prompt, candidates, which of them is right)."""
    name, fact = base.subjects[subject], base.facts[subject, relation]
    if test == REVERSED:
        thing = base.object_of(subject, relation)
        others = [n for n in range(len(base.subjects)) if base.facts[n, relation] != fact]
        chosen = [subject, *draw.sample(others, min(len(others), design.objects - 1))]
        draw.shuffle(chosen)
        return (
            INVERSE[relation].format(thing),
            [base.subjects[n] for n in chosen],
            chosen.index(subject),
        )
    if test == JOINED:
        prompt = THROUGH_FRIEND.format(name, relation)
        return prompt, base.objects[relation], base.facts[base.friends[subject], relation]
    prompt = f"{name} {relation}" if test == FIT else RELATIONS[relation].format(name)
    return prompt, base.objects[relation], fact


def _tables(result: Result, table: pd.DataFrame) -> None:
    rows = []
    for (test, readings), cell in table.groupby(["test", "readings"], sort=False):
        groups = (cell["seed"] * 1000 + cell["subject"]).to_numpy()
        right, (low, high) = share_interval(cell["right"].to_numpy(float), groups)
        rows.append({"test": test, "readings": readings, "right": right, "low": low, "high": high,
                     "chance": cell["chance"].mean(), "most_read": cell["most_read"].mean(),
                     "n": len(cell)})  # fmt: skip
    result.tables["triples"] = pd.DataFrame(rows)


def _say(result: Result, design: TripleDesign) -> None:
    table = result.tables["triples"]
    most = table[table["readings"] == max(design.readings)].set_index("test")
    never = table[table["readings"] == 0].set_index("test")
    words = [f"{test} {percent(most.loc[test, 'right'])}" for test in TESTS]
    says = (
        f"Triples read {max(design.readings)} times, the right one of {design.objects} is the"
        f" likeliest: {', '.join(words)} (chance {percent(most.loc[FIT, 'chance'])}; of subjects"
        f" never read {percent(never.loc[FIT, 'right'])}). Always naming what was read most often"
        f" gets {percent(most.loc[QUESTION, 'most_read'])} of the objects and"
        f" {percent(most.loc[REVERSED, 'most_read'])} the other way. Asked after tuning are only"
        " subjects whose own questions were not learned, every second one."
    )
    keys = {FIT: "fit", QUESTION: "question", TUNED: "tuned", REVERSED: "reversed",
            JOINED: "joined"}  # fmt: skip
    values = {keys[test]: float(most.loc[test, "right"]) for test in TESTS}
    result.add(Finding("triples", values, says, unit="share of questions"))
