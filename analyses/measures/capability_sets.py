"""The capabilities that are measured, by name: those that come with the workbench, and a user's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analyses.measures import capability_examples as written
from analyses.measures import capability_texts as cut
from analyses.measures.capability_prompts import CapabilitySet, check_apart, prompts_of
from workbench.errors import NotFound

if TYPE_CHECKING:
    from analyses.measures.capability_prompts import Example
    from hooks.model import InstrumentedModel

_WRITTEN = {
    "arithmetic": written.arithmetic,
    "facts": written.known_facts,
    "translation": written.translation,
    "agreement": written.agreement,
    "instructions": written.instructions,
}
_CUT = {"code": cut.code, "recitation": cut.recitation}
CAPABILITIES = (
    "code", "arithmetic", "facts", "translation", "agreement", "recitation", "instructions",
)  # fmt: skip
"""Those that come with the workbench."""


def named(text: str) -> list[str]:
    """Names with commas between them.

    Raises:
        NotFound: one that does not come with the workbench.
    """
    names = list(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
    for name in names:
        if name not in CAPABILITIES:
            raise NotFound.named(
                "capability", name, CAPABILITIES, do="Or give your own prompts as a file."
            )
    return names


def capability_sets(
    model: InstrumentedModel,
    names: Sequence[str],
    path: Path | None,
    choosing: int,
    held_out: int,
    tokens: int,
    seed: int,
) -> list[CapabilitySet]:
    """The sets, as tokens.

    Args:
        names: of `CAPABILITIES`.
        path: further capabilities, in a user's file (`capability_texts.from_file`).
        choosing, held_out: prompts of each set on either side, at most.
        tokens: of a prompt with its answer, about; a user's own prompts are as long as they are.

    Raises:
        BadInput: too few prompts, one class, sets that overlap, an answer of no tokens.
    """
    found: dict[str, list[Example]] = {}
    for name in names:
        made = _CUT[name](model, tokens, seed) if name in _CUT else _WRITTEN[name]()
        found[name] = list(made)
    if path is not None:
        for name, examples in cut.from_file(path).items():
            found[name if name not in found else f"{name} (own)"] = examples
    sets = [
        prompts_of(model, name, examples, choosing, held_out, tokens, seed)
        for name, examples in found.items()
    ]
    check_apart(sets)
    return sets
