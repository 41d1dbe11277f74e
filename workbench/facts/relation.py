"""A relation: what is asked of every subject, in the wordings that prompts are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from workbench.errors import BadInput
from workbench.facts.template import FieldSpan, Filled, fields, fill

# After these the answer follows at once; after anything else it follows a space.
_OPENS = ("\n", "\t", " ", "(", "[", '"', "“", "‘", "«", "：")
_SUBJECT = ("subject",)
_ANSWER = ("answer",)
_BOTH = ("subject", "answer")


@dataclass(frozen=True)
class Fact:
    """One line of a relation: `answer` is what is true of `subject`.

    `popularity` is how well known the subject is, in the relation's own measure; None where that is
    not known.
    """

    subject: str
    answer: str
    popularity: float | None = None


@dataclass(frozen=True)
class Relation:
    """Facts of one kind and the sentences that speak of them.

    Attributes:
        name: its name on the command line, e.g. "capital".
        kind: what the subjects are, in the plural ("countries").
        asks: the relation in words, as a person would ask it ("What is the capital of a country?").
        closed_book: the prompt that shows whether the model knows a fact; has {subject}.
        statement: a whole sentence asserting an answer; has {subject} and {answer}.
        question: a question for the answer; may have {subject}.
        lead_in: the beginning of an answering sentence, which the model completes; may have
            {subject}.
        paraphrases: the closed-book prompt in other words; each has {subject}, and the answer
            follows at once.
        negated: the closed-book prompt that says what is not so; "" where there is none.
        reverse: a prompt with {answer} that its subject completes; "" where there is none.
        popularity: what the popularity of a fact is counted in ("inhabitants").
        facts: subject and answer, subjects all different.
        source, licence: where the facts come from and under which terms.

    Raises:
        BadInput: a template that lacks a field it needs, or has one that does not exist.
    """

    name: str
    kind: str
    asks: str
    closed_book: str
    statement: str
    question: str
    lead_in: str
    paraphrases: tuple[str, ...] = ()
    negated: str = ""
    reverse: str = ""
    popularity: str = ""
    facts: tuple[Fact, ...] = ()
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        needs = {
            "closed_book": (_SUBJECT, _SUBJECT),
            "statement": (_BOTH, _BOTH),
            "question": (_SUBJECT, ()),
            "lead_in": (_SUBJECT, ()),
        }
        templates = [(part, getattr(self, part), *need) for part, need in needs.items()]
        templates += [("paraphrase", each, _SUBJECT, _SUBJECT) for each in self.paraphrases]
        templates += [("negated prompt", self.negated, _SUBJECT, _SUBJECT)] * bool(self.negated)
        templates += [("reverse prompt", self.reverse, _ANSWER, _ANSWER)] * bool(self.reverse)
        for part, template, allowed, needed in templates:
            called = f"the {part} of relation {self.name!r}"
            found = fields(template, allowed, called)
            missing = [f"{{{field}}}" for field in needed if field not in found]
            if missing or not template.strip():
                raise BadInput(
                    f"T{called[1:]} has no {' and no '.join(missing) or 'text'}:"
                    f" {template[:80]!r}.",
                    f"a sentence with {' and '.join(f'{{{field}}}' for field in allowed)}",
                    "Put it where the name should stand.",
                )

    def closed_book_prompt(self, subject: str) -> Prompt:
        """The prompt without any context; its spans hold "subject"."""
        return Prompt.of(fill(self.closed_book, {"subject": subject}))

    def paraphrased(self, subject: str) -> list[Prompt]:
        """The same question in other words, as `closed_book_prompt`."""
        return [Prompt.of(fill(each, {"subject": subject})) for each in self.paraphrases]

    def fill(self, part: str, subject: str, answer: str) -> Filled:
        """One of the sentences ("statement", "question", "lead_in") about one subject."""
        values = (
            {"subject": subject, "answer": answer} if part == "statement" else {"subject": subject}
        )
        return fill(getattr(self, part), values, f"the {part} of relation {self.name!r}")

    @property
    def answers(self) -> tuple[str, ...]:
        """Every answer once, in order of first appearance."""
        return tuple(dict.fromkeys(fact.answer for fact in self.facts))


@dataclass(frozen=True)
class Prompt:
    """A text to complete, and where in it stands what matters.

    Attributes:
        text: the prompt; never ends in a space.
        spans: name to (start, end) in characters, end not included. "subject" is its last mention,
            "context answer" the last mention of the answer in the context, "context" the whole part
            that asserts the answer, "question" what is asked. A name without a place in this prompt
            is absent.
        mentions: every mention of "subject" and of "context answer", in reading order.
        in_chat: the text is a conversation in a model's chat format, which has put in front what
            belongs there.
    """

    text: str
    spans: dict[str, tuple[int, int]]
    mentions: dict[str, tuple[tuple[int, int], ...]]
    in_chat: bool = False

    @classmethod
    def of(cls, filled: Filled) -> Prompt:
        """From a filled template.

        A space at the very end is cut: the answer's first token brings its own.
        """
        text = filled.text.rstrip(" ")
        question = filled.of("question") or filled.of("lead_in")[-1:]
        answers, subjects = filled.of("answer"), filled.of("subject")
        places = {
            "subject": subjects[-1:],
            "context answer": answers[-1:],
            "context": _context(text, filled),
            "question": question[-1:],
        }
        every = {"subject": subjects, "context answer": answers}
        return cls(
            text,
            {
                name: (spans[0].start, min(spans[0].end, len(text)))
                for name, spans in places.items()
                if spans
            },
            {
                name: tuple((s.start, min(s.end, len(text))) for s in spans)
                for name, spans in every.items()
                if spans
            },
        )

    def continuation(self, answer: str) -> str:
        """The answer as it would follow this prompt: after a space, except where the prompt ends
        in a line or a quote.
        """
        return joined(self.text, answer)[len(self.text) :]


def joined(start: str, end: str) -> str:
    """`start` and `end` as one text, with a space between where one belongs."""
    return start + end if start.endswith(_OPENS) or not start else f"{start} {end}"


def make(
    name: str,
    facts: Iterable[tuple[str, str] | tuple[str, str, float | None]],
    template: str | None = None,
    *,
    closed_book: str | None = None,
    statement: str | None = None,
    question: str | None = None,
    lead_in: str | None = None,
    paraphrases: Iterable[str] = (),
    popularity: str = "as given",
    source: str = "the user's",
    licence: str = "",
) -> Relation:
    """A relation of one's own.

    `template` alone ("The capital of {subject} is") is enough; the rest follows from it. A fact is
    (subject, answer), or (subject, answer, popularity).

    What is not given is made so: the lead-in is the template (or the statement up to its answer),
    the closed-book prompt is the template or the lead-in, the statement is the lead-in with the
    answer and a full stop, and the question asks how the lead-in goes on.

    Raises:
        BadInput: no wording at all, a template that lacks a field, a subject with two answers, or
            under four facts.
    """
    if lead_in is None and statement is not None and "{answer}" in statement:
        before = statement.partition("{answer}")[0].rstrip(" ")
        lead_in = before if "{subject}" in before else None
    lead_in = lead_in or template or closed_book
    if lead_in is None:
        raise BadInput(
            f"There is no wording for the facts of {name!r}.",
            'a template with {subject}, such as "The capital of {subject} is"',
            "Give a template.",
        )
    lead_in = lead_in.rstrip(" ")
    return Relation(
        name=name,
        kind="subjects",
        asks=f"How does “{lead_in.replace('{subject}', '…')} …” go on?",
        closed_book=closed_book or template or lead_in,
        statement=statement or joined(lead_in, "{answer}") + ".",
        question=question or f'How does this sentence go on: "{lead_in} ..."?',
        lead_in=lead_in,
        paraphrases=tuple(each.rstrip(" ") for each in paraphrases),
        popularity=popularity,
        facts=_unambiguous(name, facts),
        source=source,
        licence=licence,
    )


def _unambiguous(
    name: str, rows: Iterable[tuple[str, str] | tuple[str, str, float | None]]
) -> tuple[Fact, ...]:
    """One fact per subject.

    Two answers to one subject would make "right" a matter of which line comes first.
    """
    answers: dict[str, dict[str, float | None]] = {}
    for subject, answer, *popularity in rows:
        answers.setdefault(subject, {})[answer] = popularity[0] if popularity else None
    torn = [
        f"{subject!r} ({' / '.join(found)})" for subject, found in answers.items() if len(found) > 1
    ]
    if torn:
        more = f" and {len(torn) - 5} more" if len(torn) > 5 else ""
        raise BadInput(
            f"In {name!r} these subjects have more than one answer: {', '.join(torn[:5])}{more}.",
            "one answer for each subject",
            "Keep the line with the right answer.",
        )
    if len(answers) < 4:
        raise BadInput(
            f"{name!r} holds {len(answers)} different subject{'s' * (len(answers) != 1)}.",
            "at least 4, better 40: half are for choosing heads, half for proving them",
            "Add facts.",
        )
    return tuple(Fact(subject, *next(iter(found.items()))) for subject, found in answers.items())


def _context(text: str, filled: Filled) -> list[FieldSpan]:
    """The lines that mention the answer, up to where the question or the lead-in begins if that
    is on the same line.
    """
    answers = filled.of("answer")
    if not answers:
        return []
    start = text.rfind("\n", 0, answers[0].start) + 1
    line_end = text.find("\n", answers[-1].end)
    ends = [len(text) if line_end < 0 else line_end]
    ends += [m.start for m in filled.of("question", "lead_in") if m.start >= answers[-1].end]
    end = min(ends)
    return [FieldSpan("context", start, start + len(text[start:end].rstrip()))]
