"""The edit that changes no weight: the new fact is said before the prompt. In RippleEdits (Cohen et
al. 2023) it does better than changes of weights, so every method is to be compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from hooks.editing.requests import EditRequest, check_requests


def in_context(
    requests: EditRequest | Sequence[EditRequest],
    prompt: str,
    template: str = "{facts} {prompt}",
) -> str:
    """The prompt with the new facts before it.

    Args:
        prompt: any prompt, of these facts or others.
        template: where `{facts}`, the sentences side by side, and `{prompt}` go.
    """
    facts = " ".join(request.statement for request in check_requests(requests))
    # Not by str.format: prompts may have braces of their own.
    before, _, after = template.partition("{prompt}")
    return before.replace("{facts}", facts) + prompt + after.replace("{facts}", facts)
