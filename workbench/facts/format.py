"""Formats: the ways a contradicting context is put before the question."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import BadInput, NotFound
from workbench.facts.relation import Prompt, Relation
from workbench.facts.template import fields, fill

TURN = "\x1e"
"""In a format that is a conversation, between what the user says and how the model's own answer
begins.
"""
FIELDS = ("statement", "question", "lead_in", "subject", "answer")


@dataclass(frozen=True)
class Format:
    """One way of putting the context, as a template over {statement} {question} {lead_in} {subject}
    {answer}.

    {statement} is the relation's sentence with the wrong answer in it, {answer} that answer alone,
    {lead_in} the beginning that the model completes. A space at the very end is dropped, since the
    answer brings its own.

    Raises:
        BadInput: braces that do not pair up, a field that does not exist, or a template that never
            mentions the answer ({statement} or {answer}), or never the subject.
    """

    name: str
    template: str
    says: str = ""

    def __post_init__(self) -> None:
        called = f"the format {self.name!r}"
        found = set(fields(self.template, FIELDS, called))
        offered = ", ".join("{" + name + "}" for name in FIELDS)
        for thing, carriers in (
            ("answer", ("statement", "answer")),
            ("subject", ("statement", "question", "lead_in", "subject")),
        ):
            if not found & set(carriers):
                raise BadInput(
                    f"The format {self.name!r} never mentions the {thing}: {self.template[:80]!r}.",
                    f"at least one of {', '.join('{' + c + '}' for c in carriers)} (the fields are"
                    f" {offered})",
                    "Add one of them to the template.",
                )


_FORMATS = (
    Format(
        "question",
        "{statement}\nQuestion: {question}\nAnswer: {lead_in}",
        "A bare statement, then the question.",
    ),
    Format(
        "statement",
        # Without the two words a small model often says neither answer but that the first one is no
        # country.
        "{statement} Once more: {lead_in}",
        "The statement, then its own beginning once more.",
    ),
    Format(
        "document",
        "Handbook, new edition. This entry is about {subject}. {statement} Editors checked this"
        " entry against several independent sources before it went to print.\n\nQuestion:"
        " {question}\nAnswer: {lead_in}",
        "A paragraph in the tone of a reference work, then the question.",
    ),
    Format(
        "dialogue",
        "Anna: I have just read about {subject}. {statement}\nBen: Good to know. {question}\nAnna:"
        " {lead_in}",
        "Two people talk; one has read it somewhere, the other asks.",
    ),
    Format(
        "instruction",
        "Answer the question with what the note says, even if you have heard otherwise.\n"
        "Note: {statement}\nQuestion: {question}\nAnswer: {lead_in}",
        "An instruction to go by the note, then the note and the question.",
    ),
)


CHAT = Format(
    "chat",
    "{statement}\n{question}" + TURN + "{lead_in}",
    "A user says the statement and asks; the model's answer is begun. In the chat format of the"
    " model's tokenizer.",
)


def closed_book(format: Format, relation: Relation, subject: str) -> Prompt:
    """The prompt without context that goes with a format: in a conversation, the question and
    the answer's beginning.
    """
    if format != CHAT:
        return relation.closed_book_prompt(subject)
    values = {part: relation.fill(part, subject, "") for part in ("question", "lead_in")}
    return Prompt.of(
        fill("{question}" + TURN + "{lead_in}", values, "the closed-book conversation")
    )


def formats() -> dict[str, Format]:
    """The built-in formats by name, but for `CHAT`, which not every model has."""
    return {one.name: one for one in _FORMATS}


def find_format(asked: str | Format) -> Format:
    """A built-in format by its name, or one of the user's own from its template.

    Raises:
        NotFound: neither a name nor a template with fields.
        BadInput: a template that cannot be used, see `Format`.
    """
    if isinstance(asked, Format):
        return asked
    known = formats()
    if asked == CHAT.name:
        return CHAT
    if asked in known:
        return known[asked]
    if "{" in asked or "}" in asked:
        return Format("custom", asked, "Written by the user.")
    raise NotFound.named(
        "format",
        asked,
        [*known, CHAT.name],
        do="Or write a template with {statement}, {question} and {lead_in}.",
    )


def render(format: str | Format, relation: Relation, subject: str, answer: str) -> Prompt:
    """The prompt whose context claims that `answer` is the relation's answer for `subject`.

    Returns:
        The text and the places in it of "subject", "context answer", "context" and "question", see
        `Prompt`.
    """
    one = find_format(format)
    values = {
        part: relation.fill(part, subject, answer) for part in ("statement", "question", "lead_in")
    }
    return Prompt.of(
        fill(
            one.template,
            {**values, "subject": subject, "answer": answer},
            f"the format {one.name!r}",
        )
    )
