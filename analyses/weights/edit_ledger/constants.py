"""Names that measuring and showing share."""

from __future__ import annotations

from typing import Literal

NAME = "edit-ledger"

Method = Literal[
    "r-rome",
    "rome",
    "memit",
    "alphaedit",
    "fine-tune",
    "fine-tune-bounded",
    "lora",
    "grace",
    "wise",
    "in-context",
    "fine-tune-in-context",
]
METHODS: dict[str, str] = {
    "none": "no edit",
    "random-change": "random change",
    "random-layer": "r-ROME in a random layer",
    "r-rome": "r-ROME",
    "rome": "ROME as published",
    "memit": "MEMIT",
    "alphaedit": "AlphaEdit",
    "fine-tune": "fine-tuning",
    "fine-tune-bounded": "fine-tuning, bounded",
    "lora": "LoRA",
    "grace": "GRACE",
    "wise": "WISE",
    "in-context": "in context",
    "fine-tune-in-context": "fine-tuning and in context",
}
"""What a person reads. The first three are the nulls that every method stands beside: no change,
a change of equal size under the same keys to something at random, and the same method in a random
other layer.
"""
NULLS = ("none", "random-change", "random-layer")
SEQUENTIAL = ("r-rome", "rome", "memit", "alphaedit", "fine-tune", "fine-tune-bounded", "lora")
"""Methods whose edits are weights that add up."""

PROMPT, PARAPHRASE, FILLER = "prompt", "paraphrase", "filler"
NEIGHBOUR, SAME_SUBJECT = "neighbour", "same subject"
NEGATED, REVERSE = "negated", "reverse"
ONWARD, BEHIND = "two steps on", "two steps before"
LONG, UNRELATED, DIALOGUE, DOUBT = "long context", "unrelated context", "dialogue", "doubted"

KINDS: dict[str, str] = {
    PROMPT: "the sentence that was edited",
    PARAPHRASE: "the same question in other words, which the edit never saw",
    FILLER: "the same sentence behind a sentence about something else",
    NEIGHBOUR: "other subjects of the relation, with the same answer where there are any",
    SAME_SUBJECT: "other questions about the same subject",
    NEGATED: "the sentence with `not`: what is said then should not be the new answer",
    REVERSE: "the new answer is given and the subject is asked for",
    ONWARD: "a question of two steps whose first step is the edited fact",
    BEHIND: "a question of two steps whose second step is the edited fact",
    LONG: "the sentence behind what else is known of the subject",
    UNRELATED: "the sentence behind what is known of another subject",
    DIALOGUE: "the sentence at the end of a talk about something else",
    DOUBT: "the sentence behind a doubt about the new answer",
}
"""The questions that are asked before and after an edit."""
HOLDS = (PROMPT, PARAPHRASE, FILLER)
STAYS = (NEIGHBOUR, SAME_SUBJECT)
ROBUST = (LONG, UNRELATED, DIALOGUE, DOUBT)

DISABLED = 0.5
"""Nats per token on neutral text by which an edit is called disabling."""
