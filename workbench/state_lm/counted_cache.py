"""A cache for models all of whose layers are recurrent, but that ask it, as models with attention
do, how many tokens it holds: transformers' own has no answer, so that they could not decode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import DynamicCache

if TYPE_CHECKING:
    from torch import Tensor


class CountedCache(DynamicCache):
    """Counts the tokens that its first layer reads."""

    n_read = 0
    _reading = 1  # in the pass that is running: what its convolution is given, one while decoding

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.n_read

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        return self.n_read + query_length, 0

    def update_conv_state(
        self, conv_states: Tensor, layer_idx: int, *args: Any, **more: Any
    ) -> Any:
        if layer_idx == 0:
            self._reading = conv_states.shape[-1]
        return super().update_conv_state(conv_states, layer_idx, *args, **more)

    def update_recurrent_state(
        self, recurrent_states: Tensor, layer_idx: int, *args: Any, **more: Any
    ) -> Any:
        read = more.pop("n_tokens", None)  # said by layers without a convolution
        if layer_idx == 0:
            self.n_read += self._reading if read is None else read
            self._reading = 1
        return super().update_recurrent_state(recurrent_states, layer_idx, *args, **more)

    def state_before(self, layer_idx: int) -> Tensor | None:
        """A layer's state, of layers without a convolution, on which transformers' own relies."""
        layer: Any = self.layers[layer_idx]
        if not layer.is_recurrent_states_initialized[0]:
            return None
        state: Tensor = layer.recurrent_states[0]
        return state
