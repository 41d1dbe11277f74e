"""Facts: what to ask a model, and how to put a context that contradicts it.

I want a built-in set of facts       -> relation("capital"), relations()
I want my own facts                  -> from_file("facts.csv", template="The capital of {subject}
                                     is"), or make(...)
I want the conflict prompt           -> render("document", relation, subject, wrong_answer).text,
                                     and its .spans
I want them in another language      -> relation("capital@fr"), language_names()
I want a question of two steps       -> TWO_HOPS, two_hop_questions(...)
I want another built-in relation     -> relations_builtin.py (its sentences) and build.py (its
                                     facts)
I want text that is about none of it -> neutral_text()
"""

from __future__ import annotations

from workbench.facts.built_in import neutral_text, relation, relations
from workbench.facts.fact_files import from_file
from workbench.facts.format import CHAT, Format, closed_book, find_format, formats, render
from workbench.facts.languages import language_names
from workbench.facts.relation import Fact, Prompt, Relation, make
from workbench.facts.two_hop import TWO_HOPS, TwoHop, TwoHopQuestion, two_hop_questions

__all__ = [
    "CHAT",
    "TWO_HOPS",
    "Fact",
    "Format",
    "Prompt",
    "Relation",
    "TwoHop",
    "TwoHopQuestion",
    "closed_book",
    "find_format",
    "formats",
    "from_file",
    "language_names",
    "make",
    "neutral_text",
    "relation",
    "relations",
    "render",
    "two_hop_questions",
]
