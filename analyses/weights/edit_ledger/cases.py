"""The facts that are edited, what each is to become, and all that is asked before and after."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyses.measures.closed_book import closed_book
from analyses.weights.edit_ledger import constants as c
from analyses.weights.edit_ledger.params import Params, relation_of
from workbench import facts
from workbench.errors import BadInput
from workbench.facts import Fact, Prompt, Relation

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_TWO_STEPS = 4  # questions of two steps, at most, of either kind
_ABOUT = 2  # subjects that are written about, of those that truly have an answer
_TYPED = 6  # tokens in which a typed fact's present answer is looked for


@dataclass(frozen=True)
class EditQuestion:
    """One thing that is asked of the model.

    Attributes:
        kind: as in `constants.KINDS`.
        text: the prompt.
        new: what an edit that holds would answer.
        old: what is right without the edit.
    """

    kind: str
    text: str
    new: str
    old: str

    def behind(self, answer: str) -> str:
        """The answer as it follows the prompt."""
        return Prompt(self.text, {}, {}).continuation(answer)


@dataclass(frozen=True)
class EditCase:
    """A fact, its new answer, and what is asked.

    Attributes:
        subject, old, new: the fact as the model knows it, and as it is to be.
        template: the prompt with {subject}.
        popularity: how well known the subject is; None where that is not known.
        questions: everything that is asked, the prompt itself first.
        about_new, about_old: prompts behind which the model writes about either answer, and about
            other subjects that truly have it.
    """

    subject: str
    old: str
    new: str
    template: str
    popularity: float | None
    questions: tuple[EditQuestion, ...]
    about_new: tuple[str, ...]
    about_old: tuple[str, ...]

    @property
    def writing(self) -> str:
        """The prompt behind which the model writes about the subject."""
        return _writing(self.subject)


def _writing(name: str) -> str:
    return f"{name} is"


def cases(
    model: InstrumentedModel, params: Params, most: int, progress: Progress
) -> list[EditCase]:
    """Known facts in random order, each with a new answer of equally many tokens where there is
    one.

    Raises:
        BadInput: no fact of the relation is known, or all have the same answer.
    """
    if params.subject:
        return [_typed(model, params)]
    relation = relation_of(params)
    known = list(closed_book(model, relation, progress).facts)
    rng = random.Random(params.seed)
    rng.shuffle(known)
    answers = sorted({fact.answer for fact in known})
    if len(answers) < 2:
        raise BadInput(
            f"{model.card.name} knows {len(known)} of the {len(relation.facts)} facts of"
            f" {relation.name!r} closed-book, with {len(answers)} different answers.",
            "known facts with two different answers or more",
            f"Try another relation or wording. The prompt was {relation.closed_book!r}.",
        )
    length = _lengths(model, relation)
    others = _same_subject(relation)
    return [
        _case(params, relation, fact, _new_answer(fact, answers, length, rng), known, others, rng)
        for fact in known[:most]
    ]


def _typed(model: InstrumentedModel, params: Params) -> EditCase:
    """The user's own fact. The old answer is the true one of a built-in relation that is asked
    with this sentence; else what the model says now.

    Raises:
        BadInput: the model says the new answer already.
    """
    from analyses.measures.closed_book import matches_answer

    text = params.prompt.replace("{subject}", params.subject).rstrip(" ")
    said = model.generate(text, max_new_tokens=_TYPED)
    if matches_answer(said, params.answer, ended=True):
        raise BadInput(
            f"{model.card.name} answers {params.answer!r} already.",
            "an answer that it does not give",
            "Choose another answer.",
        )
    relation, rng = _relation_of_prompt(params.prompt), random.Random(params.seed)
    known = [] if relation is None else relation.facts
    fact = next((f for f in known if f.subject == params.subject), None)
    if fact is None:
        words = said.split("\n")[0].strip().split(".")[0].split(",")[0].strip()
        fact = Fact(params.subject, words or said.strip() or "?")
    old = fact.answer
    if relation is not None:
        others = _same_subject(relation)
        return _case(params, relation, fact, params.answer, relation.facts, others, rng)
    wordings = [p.replace("{subject}", params.subject) for p in params.paraphrases]
    questions = [EditQuestion(c.PROMPT, text, params.answer, old)]
    questions += [EditQuestion(c.PARAPHRASE, w.rstrip(" "), params.answer, old) for w in wordings]
    questions += _filler(text, params.answer, old, rng)
    others = [
        r for r in facts.relations().values() if params.subject in {f.subject for f in r.facts}
    ]
    questions += _of_same_subject(fact, params.answer, others)
    return EditCase(
        params.subject, old, params.answer, params.prompt, None, tuple(questions),
        (_writing(params.answer),), (_writing(old),),
    )  # fmt: skip


def _relation_of_prompt(prompt: str) -> Relation | None:
    """The built-in relation that is asked with this sentence: then its paraphrases and neighbours
    are known.
    """
    plain = prompt.strip()
    found = [r for r in facts.relations().values() if r.closed_book == plain]
    return found[0] if found else None


def _lengths(model: InstrumentedModel, relation: Relation) -> Callable[[str], int]:
    start = relation.closed_book_prompt(relation.facts[0].subject)
    return lambda answer: len(model.continuation_tokens(start.continuation(answer)))


def _new_answer(
    fact: Fact, answers: Sequence[str], length: Callable[[str], int], rng: random.Random
) -> str:
    """Another answer of the relation, of as many tokens where there is one: longer answers are
    harder to write and easier to score.
    """
    others = [answer for answer in answers if answer != fact.answer]
    alike = [answer for answer in others if length(answer) == length(fact.answer)]
    return rng.choice(alike or others)


def _same_subject(relation: Relation) -> list[Relation]:
    """Other built-in relations about the same subjects, in the same language."""
    if "@" in relation.name:
        code = relation.name.partition("@")[2]
        named = [f"{name}@{code}" for name in facts.languages.RELATIONS]
        found = [facts.relation(name) for name in named]
    else:
        found = list(facts.relations().values())
    mine = {fact.subject for fact in relation.facts}
    return [
        other
        for other in found
        if other.name != relation.name and mine & {fact.subject for fact in other.facts}
    ]


def _case(
    params: Params,
    relation: Relation,
    fact: Fact,
    new: str,
    known: Sequence[Fact],
    others: Sequence[Relation],
    rng: random.Random,
) -> EditCase:
    text = relation.closed_book_prompt(fact.subject).text
    ask = [EditQuestion(c.PROMPT, text, new, fact.answer)]
    wordings = [p.text for p in relation.paraphrased(fact.subject)]
    wordings += [p.replace("{subject}", fact.subject).rstrip(" ") for p in params.paraphrases]
    ask += [EditQuestion(c.PARAPHRASE, each, new, fact.answer) for each in wordings]
    ask += _filler(text, new, fact.answer, rng)
    ask += _neighbours(relation, fact, new, known, params.neighbours, rng)
    ask += _of_same_subject(fact, new, others)
    if relation.negated:
        negated = relation.negated.replace("{subject}", fact.subject)
        ask.append(EditQuestion(c.NEGATED, negated, new, fact.answer))
    if relation.reverse:
        holders = [f.subject for f in relation.facts if f.answer == new]
        if holders:
            backward = relation.reverse.replace("{answer}", new)
            ask.append(EditQuestion(c.REVERSE, backward, fact.subject, holders[0]))
    ask += _two_steps(relation, fact, new)
    ask += _robust(relation, fact, new, others, text, rng)
    return EditCase(
        fact.subject, fact.answer, new, relation.closed_book, fact.popularity, tuple(ask),
        _about(relation, new, fact.subject), _about(relation, fact.answer, fact.subject),
    )  # fmt: skip


def _about(relation: Relation, answer: str, subject: str) -> tuple[str, ...]:
    """Prompts for texts about an answer: itself, and the best-known other subjects that have it,
    each behind a sentence that says so.
    """
    others = [f for f in relation.facts if f.answer == answer and f.subject != subject]
    others.sort(key=lambda f: -(f.popularity or 0.0))
    said = [
        f"{relation.fill('statement', f.subject, answer).text} {_writing(f.subject)}"
        for f in others[:_ABOUT]
    ]
    return (_writing(answer), *said)


def _neighbours(
    relation: Relation,
    fact: Fact,
    new: str,
    known: Sequence[Fact],
    n: int,
    rng: random.Random,
) -> list[EditQuestion]:
    """Other known subjects: those with the same answer first, since an edit spills over to them
    most easily.
    """
    rest = [f for f in known if f.subject != fact.subject and f.answer != new]
    same = [f for f in rest if f.answer == fact.answer]
    different = [f for f in rest if f.answer != fact.answer]
    rng.shuffle(same)
    rng.shuffle(different)
    return [
        EditQuestion(c.NEIGHBOUR, relation.closed_book_prompt(f.subject).text, new, f.answer)
        for f in [*same, *different][:n]
    ]


def _of_same_subject(fact: Fact, new: str, others: Sequence[Relation]) -> Iterator[EditQuestion]:
    """What else is asked about the subject: none of it should become the new answer."""
    for other in others:
        for each in other.facts:
            if each.subject == fact.subject and each.answer != new:
                text = other.closed_book_prompt(each.subject).text
                yield EditQuestion(c.SAME_SUBJECT, text, new, each.answer)


def _two_steps(relation: Relation, fact: Fact, new: str) -> Iterator[EditQuestion]:
    """Questions that follow from the edited fact, and that it follows from."""
    for hops in facts.TWO_HOPS:
        if hops.first == relation.name:
            second = {f.subject: f.answer for f in facts.relation(hops.second).facts}
            for each in facts.two_hop_questions(hops):
                after = second.get(new, each.answer)
                if each.subject == fact.subject and after != each.answer:
                    yield EditQuestion(c.ONWARD, each.prompt.text, after, each.answer)
        elif hops.second == relation.name:
            behind = [q for q in facts.two_hop_questions(hops) if q.bridge == fact.subject]
            for each in behind[:_TWO_STEPS]:
                yield EditQuestion(c.BEHIND, each.prompt.text, new, fact.answer)


def _filler(text: str, new: str, old: str, rng: random.Random) -> Iterator[EditQuestion]:
    """The prompt behind a sentence about something else."""
    sentence = rng.choice([s for s in _sentences() if len(s) < 150])
    yield EditQuestion(c.FILLER, f"{sentence} {text}", new, old)


def _sentences() -> list[str]:
    paragraphs = facts.neutral_text().split("\n\n")
    return [f"{s.strip()}." for p in paragraphs for s in p.replace("\n", " ").split(". ") if s][:-1]


def _robust(
    relation: Relation,
    fact: Fact,
    new: str,
    others: Sequence[Relation],
    text: str,
    rng: random.Random,
) -> Iterator[EditQuestion]:
    """Ma et al. 2024 (2402.05827): long context, dialogue, and doubt."""
    profile = _profile(fact.subject, others)
    stranger = rng.choice([f for f in relation.facts if f.subject != fact.subject])
    about = " ".join(_sentences()[:4])
    if profile:
        yield EditQuestion(c.LONG, f"{profile} {text}", new, fact.answer)
    elsewhere = _profile(stranger.subject, others) or about
    yield EditQuestion(c.UNRELATED, f"{elsewhere} {text}", new, fact.answer)
    talk = "\n".join(f"{who}: {s}" for who, s in zip("ABAB", _sentences()[4:8], strict=True))
    yield EditQuestion(c.DIALOGUE, f"{talk}\nA: {text}", new, fact.answer)
    statement = relation.fill("statement", fact.subject, new).text
    doubt = f"Somebody said: {statement} I do not believe that. Correctly:"
    yield EditQuestion(c.DOUBT, f"{doubt} {text}", new, fact.answer)


def _profile(subject: str, others: Sequence[Relation]) -> str:
    """What the other relations say of a subject, as sentences."""
    return " ".join(
        other.fill("statement", subject, f.answer).text
        for other in others
        for f in other.facts
        if f.subject == subject
    )
