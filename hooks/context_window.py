"""How many tokens a model can read: a table of positions ends somewhere, rotary angles and
recurrences do not.

Past the end of a table there is nothing to look up, so that is refused before anything runs. Past
the window of the others the numbers are those of the model, only nobody trained it there: that is
allowed, and said.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from torch import Tensor, nn

from workbench.errors import BadInput

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hooks.model import InstrumentedModel

# OPT and BioGPT keep two rows before the first position; nobody keeps more than a few.
_SPARE = 8
# What attention adds is made for so many tokens in every forward pass, and no table shows it.
_FIXED = {"mpt"}


class PastWindow(UserWarning):
    """More tokens were read than the model's window has."""


def rows_of_table(module: PreTrainedModel, window: int) -> int | None:
    """How many positions a module's table has, learned or fixed.

    None where it has no table, and any length can be run.

    Args:
        window: what the configuration says, in tokens; 0 if it says nothing.
    """
    if not window:
        return None
    words, fixed = (
        module.get_input_embeddings(),
        module.config.get_text_config().model_type in _FIXED,
    )
    found = fixed or any(_is_table(part, window) for part in module.modules() if part is not words)
    return window if found else None


def _is_table(part: nn.Module, window: int) -> bool:
    """Whether a module looks positions up: in an embedding's weight, or in what it computed once
    and keeps.
    """
    if isinstance(part, nn.Embedding):
        return 0 <= part.num_embeddings - window <= _SPARE
    # GPT-J and CodeGen keep sines as a buffer, CTRL as a plain attribute. XGLM makes its own longer
    # when it has to.
    held = [*part._buffers.values(), *vars(part).values()]
    return any(isinstance(x, Tensor) and x.dim() == 2 and x.shape[0] == window for x in held)


def check(model: InstrumentedModel, tokens: int, what: str = "A prompt", *, new: int = 0) -> None:
    """Refuse what does not fit into a table of positions; say once per model where a window without
    one is left.

    Args:
        tokens: how many are read.
        what: the subject of the sentence, e.g. "Prompt 3".
        new: how many more are to be generated. The last of them is not read.

    Raises:
        BadInput: the table of positions ends before.
    """
    read = tokens + max(new - 1, 0)
    limit = model.positions
    if limit is not None and read > limit:
        more = f" and {new:,} more are asked for" if new else ""
        raise BadInput(
            f"{what} has {tokens:,} tokens{more}: {model.card.name} has no positions past"
            f" {limit:,}.",
            f"at most {limit:,} tokens" + (", the last new one not counted" if new else ""),
            (
                "Ask for fewer new tokens, or shorten the prompt."
                if new
                else "Shorten it, or cut it into windows."
            ),
        )
    note(model, read)


def note(model: InstrumentedModel, read: int) -> None:
    """Keep how many tokens were read at most; the first time that is past the window, a warning
    says so.
    """
    was, model.longest = says(model, model.longest), max(model.longest, read)
    if was is None and (sentence := says(model, read)) is not None:
        warnings.warn(sentence, PastWindow, stacklevel=3)


def says(model: InstrumentedModel, read: int) -> str | None:
    """The sentence about reading so many tokens; None where they are within the window."""
    window = model.card.context_length
    if not window or read <= window:
        return None
    return (
        f"{read:,} tokens were read at once, and the window of {model.card.name} is {window:,}: "
        "it runs past it, but was not trained there."
    )
