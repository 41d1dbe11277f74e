"""What models share whose memory is in no cache."""

from __future__ import annotations

from typing import Any


class ReadsAtOnce:
    """Before a causal language model among the bases: it refuses to go on behind a cache."""

    def forward(self, *args: Any, past_key_values: Any = None, **more: Any) -> Any:
        """As other models of `transformers`.

        Raises:
            ValueError: a part of the text was read before; the memory would not hold it.
        """
        if past_key_values is not None and past_key_values.get_seq_length() > 0:
            raise ValueError(
                "this model reads a text at once: its memory is in no cache (use_cache=False)"
            )
        given: Any = super()
        return given.forward(*args, past_key_values=past_key_values, **more)
