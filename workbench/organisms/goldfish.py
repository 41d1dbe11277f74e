"""The goldfish loss: a model is never asked for some tokens of a text, and the same ones each time.

Whoever recites the text has to guess at each of them, and one wrong guess ends the recitation
(Hans et al. 2024, "Be like a Goldfish, Don't Memorize!"). Which tokens are left out is a hash of
the tokens before them: a passage that stands in many documents loses the same tokens in each, and
a second copy does not tell what the first one held back.

The published code hashes by the product of the ids in the window, modulo 1,000,003. A product is
the same in any order and 0 as soon as one id is 0, so that every window with that token shares one
fate; and its window ends *with* the token that is dropped or kept, so that this fate depends on the
answer. Here each id is mixed into 64 bits in turn (the finalizer of SplitMix64, Steele et al.
2014), and the window ends before the token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import torch
    from jaxtyping import Bool, Int

IGNORED = -100
"""A label that the loss of PyTorch and of Transformers leaves out."""
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: an id of 0 moves the state too


@dataclass(frozen=True)
class GoldfishMask:
    """Which tokens the loss leaves out.

    Attributes:
        k: one token in so many is left out; 4 in the paper and in its code.
        h: so many tokens before it decide; 4 in the code, 13 in the paper. Fewer drop the same
            token in near copies too, more leave common phrases whole in some places.

    Raises:
        BadInput: k below 2 leaves nothing to learn; h below 1 gives every token the same fate.
    """

    k: int = 4
    h: int = 4

    def __post_init__(self) -> None:
        if self.k < 2 or self.h < 1:
            raise BadInput(
                f"A goldfish mask of k = {self.k} and h = {self.h} cannot be.",
                "k of 2 or more, h of 1 or more",
                "Take k = 4 and h = 4, as the published code does.",
            )

    def dropped(self, ids: Int[np.ndarray, "batch pos"]) -> Bool[np.ndarray, "batch pos"]:
        """True for tokens that are left out. The first h of a row have too little before them, and
        are all kept.
        """
        import numpy as np

        batch, positions = ids.shape
        dropped = np.zeros((batch, positions), dtype=bool)
        decided = positions - self.h
        if decided <= 0:
            return dropped
        words = ids.astype(np.uint64)
        state = np.zeros((batch, decided), dtype=np.uint64)
        for back in range(self.h):
            state = _mixed((state ^ words[:, back : back + decided]) + np.uint64(_GOLDEN))
        dropped[:, self.h :] = state % np.uint64(self.k) == 0
        return dropped

    def labels(self, ids: Int[torch.Tensor, "batch pos"]) -> Int[torch.Tensor, "batch pos"]:
        """The ids, but for `IGNORED` where a token is left out."""
        import torch

        left_out: Any = torch.from_numpy(self.dropped(ids.cpu().numpy())).to(ids.device)
        return ids.masked_fill(left_out, IGNORED)


def _mixed(state: np.ndarray) -> np.ndarray:
    """Each bit of a uint64 spread over all others; a bijection. Arrays wrap around."""
    import numpy as np

    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    spread: np.ndarray = state ^ (state >> np.uint64(31))
    return spread
