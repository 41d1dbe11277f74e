"""What kinds of memory a model has: where each is, how long it lasts, how it is written and read,
and who can change it (the quadruple of Zhang et al. 2025).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel


def memory_table(model: InstrumentedModel) -> pd.DataFrame:
    """A row for each memory of the model."""
    import pandas as pd

    rows = [(
        "in the weights", f"{model.card.n_params:,} parameters in {model.n_layers} layers",
        "until it is trained again", "written by gradient or an edit, read by every prompt",
        "whoever has the weights: train, edit, unlearn, undo",
    )]  # fmt: skip
    if "z" in model.sites:
        window = model.card.context_length
        rows.append((
            "in the context", "keys and values of the cache"
            + (f", up to {window:,} tokens" if window else ""),
            "one conversation", "written by reading, read by attention",
            "whoever writes the prompt: leave out, evict, hide",
        ))  # fmt: skip
    if "state" in model.sites:
        rows.append((
            "in a state", "a state of fixed size in each recurrent layer", "one conversation",
            "written by every token, read by every token",
            "whoever runs the model: wipe, freeze, patch, save",
        ))  # fmt: skip
    return pd.DataFrame(rows, columns=["memory", "location", "persistence", "access", "control"])
