"""Conflict prompts as conversations: the context and the question are said by a user, and the
answer is begun for the model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.facts.format import TURN
from workbench.models.conversation import render

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.facts import Prompt


def rendered(model: InstrumentedModel, prompt: Prompt) -> Prompt:
    """A prompt as the model reads it: one in turns goes through the chat template, and its places
    move along.

    Raises:
        BadInput: the model has no chat format.
    """
    if TURN not in prompt.text:
        return prompt
    user, answer = prompt.text.split(TURN)
    turns = [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    text = render(model.text, turns).text
    starts = text.index(user), text.rindex(answer)

    def moved(place: tuple[int, int]) -> tuple[int, int]:
        start, end = place
        shift = starts[0] if start <= len(user) else starts[1] - len(user) - len(TURN)
        return start + shift, end + shift

    return replace(
        prompt,
        text=text,
        spans={name: moved(place) for name, place in prompt.spans.items()},
        mentions={name: tuple(map(moved, places)) for name, places in prompt.mentions.items()},
        in_chat=True,
    )


def ids_of(model: InstrumentedModel, prompt: Prompt) -> list[int]:
    """The prompt's token ids; a chat template has put in front what belongs there."""
    return model.text.encode(prompt.text) if prompt.in_chat else model.tokens(prompt.text)


def spans_of(model: InstrumentedModel, prompt: Prompt) -> list[tuple[int, int]]:
    """Which characters each token of `ids_of` covers."""
    return (
        model.text.spans_of(prompt.text, ids_of(model, prompt))
        if prompt.in_chat
        else model.text.spans(prompt.text)
    )
