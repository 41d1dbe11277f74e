"""What a forward pass is asked to hand over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.hook_points import HookFn
    from hooks.sites import Place


@dataclass(frozen=True)
class HookRequest:
    """Places, and who is called with the values that pass there.

    Attributes:
        places: where.
        take: gets a place and its values, (batch, *site.dims), padded on the left as the batch is;
            what it returns, if not None, takes their place (not at sites inside the attention
            call).
        queries: the query rows of `pattern`, and the tokens of recurrent memory, that are wanted,
            as columns of the batch; None is all.
    """

    places: Sequence[Place]
    take: HookFn
    queries: list[int] | None = None

    def hand_over(self, place: Place, x: Tensor) -> Tensor | None:
        """Call `take` with all values of a place; of a site over queries it gets the rows that are
        wanted.
        """
        by_query = "query" in place.site.dims and self.queries is not None
        return self.take(place, x[:, :, self.queries] if by_query else x)
