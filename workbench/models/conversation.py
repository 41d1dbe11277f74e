"""Conversations as prompts, in the format the model was trained on: its tokenizer's own chat
template.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.errors import BadInput

if TYPE_CHECKING:
    from workbench.models.tokenization import Tokenization

Conversation = Sequence[Mapping[str, str]]
"""Messages in order, each `{"role": "user", "content": "…"}`; roles are those of the template
(system, user, assistant).
"""


class Rendered(NamedTuple):
    """A conversation as the model reads it.

    Attributes:
        text: with the template's own words and signs.
        ids: its tokens; the template has put the beginning token in front, if it has one.
        from_template: per token, whether it is the template's and nobody's message.
    """

    text: str
    ids: list[int]
    from_template: list[bool]


def is_conversation(value: Any) -> bool:
    """Whether a prompt is a list of messages."""
    if not isinstance(value, list | tuple) or not value or not isinstance(value[0], Mapping):
        return False
    return "input_ids" not in value[0]  # what a tokenizer gives is a mapping, too


def typed(text: str, chat: bool) -> str | Conversation:
    """What somebody typed as a prompt: the text itself, or with `chat` a conversation.

    A conversation may be typed whole, as JSON: `[{"role": "user", "content": "…"}, …]`. Any other
    text is what one user says.
    """
    if not chat:
        return text
    if text.lstrip().startswith("["):
        try:
            messages = json.loads(text)
        except (ValueError, RecursionError):
            messages = None
        if is_conversation(messages):
            return [_message(n, message) for n, message in enumerate(messages, start=1)]
    return [{"role": "user", "content": text}]


def has_template(tokenizer: Any) -> bool:
    return bool(getattr(tokenizer, "chat_template", None))


def render(tokenization: Tokenization, conversation: Conversation) -> Rendered:
    """The conversation up to where the model speaks next; a last message of the assistant is left
    open, to be continued.

    Raises:
        BadInput: the tokenizer has no chat template, or the template does not take these messages.
    """
    messages = [_message(n, message) for n, message in enumerate(conversation, start=1)]
    text = _filled(tokenization.tokenizer, messages)
    ids = tokenization.encode(text)
    spans = tokenization.spans_of(text, ids)
    said = message_places(text, [message["content"] for message in messages])
    is_template = [
        not any(start < high and end > low for low, high in said) for start, end in spans
    ]
    return Rendered(text, ids, is_template)


def _message(n: int, message: Any) -> dict[str, str]:
    if not isinstance(message, Mapping) or not all(
        isinstance(message.get(key), str) for key in ("role", "content")
    ):
        raise BadInput(
            f"Message {n} of the conversation is {message!r}.",
            '{"role": "user", "content": "…"}, both texts',
            "Give every message a role and a content.",
        )
    return {"role": message["role"], "content": message["content"]}


def _filled(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    from jinja2 import TemplateError

    if not has_template(tokenizer):
        raise BadInput(
            "The model has no chat format: its tokenizer has no chat template.",
            "a model that was trained on conversations",
            "Give the prompt as a plain text.",
        )
    open_end = messages[-1]["role"] == "assistant"
    try:
        return str(
            tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=not open_end,
                continue_final_message=open_end,
            )
        )
    except (TemplateError, ValueError) as error:
        roles = ", ".join(message["role"] for message in messages)
        raise BadInput(
            f"The model's chat template does not take this conversation ({roles}):"
            f" {str(error).splitlines()[0]}",
            "roles in an order that the model knows, mostly user and assistant in turn",
            "Change the roles or their order.",
        ) from error


def message_places(text: str, contents: Sequence[str]) -> list[tuple[int, int]]:
    """Where each message stands in the rendered text, (start, end); templates take off the space
    around a message.
    """
    places, reached = [], 0
    for content in contents:
        wanted = content if text.find(content, reached) >= 0 else content.strip()
        start = text.find(wanted, reached)
        if wanted and start >= 0:
            reached = start + len(wanted)
            places.append((start, reached))
    return places
