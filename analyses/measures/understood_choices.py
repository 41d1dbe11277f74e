"""What a model chooses among the options of an item, and what it would choose without the question,
without the options, or without either (Balepur et al. 2024).

    shown                  read                                    compared
    question               "… is"                                  ln p of every option
    options and question   "Question: …\\nA. …\\nB. …\\nAnswer:"      ln p of the letters
    options only           the same without the question           ln p of the letters
    nothing                "Answer:"                               ln p of every option
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from analyses.measures.recall_contexts import Context, RecallQuestion
from analyses.measures.recall_scores import recall
from analyses.measures.understood_items import (
    BOTH,
    NOTHING,
    OPTIONS,
    QUESTION,
    SAME,
    ItemVersion,
)
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ENDS = ("?", ".", "!", ":")


@dataclass(frozen=True)
class Choice:
    """What is chosen.

    Attributes:
        log_p: ln of the probability of each option among the options alone, (option,).
        right: which is right.
    """

    log_p: Float[np.ndarray, " option"]
    right: int

    @property
    def chosen(self) -> int:
        return int(self.log_p.argmax())

    @property
    def is_right(self) -> bool:
        """Whether the right one is likelier than each other; ties are not."""
        return bool((np.delete(self.log_p, self.right) < self.log_p[self.right]).all())

    @property
    def log_p_right(self) -> float:
        return float(self.log_p[self.right])


def choices(
    model: InstrumentedModel,
    versions: Sequence[ItemVersion],
    shown: str,
    progress: Progress | None = None,
) -> list[Choice]:
    """What the model chooses of each.

    Raises:
        BadInput: a question with its answer is longer than the model reads, or has more options
            than there are letters.
    """
    contexts = [_context(each, shown) for each in versions]
    for each, context in zip(versions, contexts, strict=True):
        _check_window(model, each, context)
    scores = recall(model, contexts, progress, says=f"Asking, {shown}")
    found = []
    for each, (score,) in zip(versions, scores, strict=True):
        log_p = np.array(score.logprobs)
        found.append(Choice(log_p - np.logaddexp.reduce(log_p), each.right))
    return found


def prompt(version: ItemVersion, shown: str) -> str:
    """What the model reads before the answer."""
    if shown == NOTHING:
        return "Answer:"
    if shown == QUESTION:
        question = version.question
        return f"Question: {question}\nAnswer:" if question.endswith(_ENDS) else question
    if len(version.options) > len(LETTERS):
        raise BadInput(
            f"{version.question[:60]!r} has {len(version.options)} options.",
            f"at most {len(LETTERS)}",
            "Name fewer.",
        )
    options = version.options if shown != SAME else [version.answer] * len(version.options)
    listed = "\n".join(f"{LETTERS[n]}. {each}" for n, each in enumerate(options))
    ask = "" if shown == OPTIONS else f"Question: {version.question}\n"
    return f"{ask}{listed}\nAnswer:"


def tokens_read(model: InstrumentedModel, versions: Sequence[ItemVersion], shown: str) -> int:
    """About how many tokens `choices` reads."""
    sizes = [
        len(prompt(each, shown)) + sum(len(option) for option in each.options) for each in versions
    ]
    letters_per_token = 4
    return sum(sizes) // letters_per_token + 2 * len(sizes)


def _context(version: ItemVersion, shown: str) -> Context:
    """The prompt up to its last word, which is read with the answers, so that a model without a
    beginning token can be asked too.
    """
    text = prompt(version, shown)
    cut = max(text.rfind(" "), text.rfind("\n"), 0)
    by_letter = shown in (BOTH, OPTIONS, SAME)
    options = LETTERS[: len(version.options)] if by_letter else version.options
    spaced = tuple(f" {each}" for each in options)
    ask = RecallQuestion(text[cut:], spaced[version.right], spaced, (0, 0), shown)
    return Context(text[:cut], (ask,), ())


def _check_window(model: InstrumentedModel, version: ItemVersion, context: Context) -> None:
    if not (window := model.positions or model.card.context_length):
        return
    question = context.questions[0]
    longest = max(len(model.continuation_tokens(each)) for each in question.candidates)
    read = len(model.tokens(context.text)) + len(model.continuation_tokens(question.ask)) + longest
    if read > window:
        raise BadInput(
            f"{version.question[:60]!r} with its longest option is {read:,} tokens long.",
            f"at most {window:,}, which {model.card.name} reads",
            "Shorten it, or remove that item.",
        )
