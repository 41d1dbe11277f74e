"""The answer whose origin is asked: the user's, or the model's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from hooks.generation import continued
from workbench.errors import BadInput

if TYPE_CHECKING:
    from analyses.prompt.provenance.prompt_parts import PromptParts
    from hooks.model import InstrumentedModel

_ENDS = re.compile(r"[,;:!?]|\.(?!\d)|\n")


def answer_tokens(
    model: InstrumentedModel, asked: PromptParts, typed: str, length: int
) -> tuple[list[int], str]:
    """The tokens of an answer, and the whole of what the model says.

    The model's own is greedy, and ends where its first sentence or clause does.

    Raises:
        BadInput: it has no tokens.
    """
    new = continued(model, torch.tensor([asked.ids], device=model.device), length)[0].tolist()
    said = model.text.decode_continuation(new, special=False)
    if typed.strip():
        spaced = typed if typed[0].isspace() or asked.text[-1:].isspace() else f" {typed}"
        ids = list(model.continuation_tokens(spaced))
    else:
        ids = _first_clause(model, new)
    if not ids:
        raise BadInput(
            "The answer has no tokens: the model says nothing after this prompt.",
            "an answer of one token or more",
            "Give the answer, or end the prompt where the model goes on.",
        )
    return ids, said


def _first_clause(model: InstrumentedModel, ids: list[int]) -> list[int]:
    """The tokens up to where the first words end; all of them where they do not."""
    kept = [token for token in ids if not model.text.is_special(token)]
    for n in range(1, len(kept) + 1):
        words = model.text.decode_continuation(kept[:n]).lstrip()
        found = _ENDS.search(words)
        if found and words[: found.start()].strip():
            # The sign is left out, but a token that holds some of the words as well stays.
            before = model.text.decode_continuation(kept[: n - 1]).strip()
            return kept[: n - 1] if before == words[: found.start()].strip() else kept[:n]
    return kept
