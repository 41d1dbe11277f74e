"""Running a forward pass with other people's tools, on the same module and the same weights.

I want TransformerLens's hook points and cache   -> transformer_lens.py (run), cache.py (its cache
                                                 to a Trace
                                                 and back)
I want nnsight here, or on an NDIF server        -> nnsight.py (run), ndif.py (the request, and
                                                 sending it)
I want another back end                          -> a function like `Forward`, and a line in
                                                 `forward`

A back end runs one batch and hands over what passes at each place; cutting, reducing and labelling
stay with `hooks.capture`, so every back end gives the same Trace. It works on a twin of the module
(module_copy.py): a module tree of its own around the same parameters, so that the loaded module
stays as it was. Interventions are plain hooks on the loaded module; active_interventions.py finds
those that are on and each back end carries them over, or refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from workbench.errors import BadInput, NotFound

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.batch import Batch
    from hooks.hook_points import HookFn
    from hooks.model import InstrumentedModel
    from hooks.sites import Place

NAMES = ("torch", "transformer_lens", "nnsight")


@dataclass(frozen=True)
class HookRequest:
    """Places, and who is called with the values that pass there.

    Attributes:
        places: where.
        take: gets a place and its values, (batch, *site.dims), padded on the left as the batch is;
            what it returns, if not None, takes their place (not at sites inside the attention
            call).
        queries: the query rows of `pattern` that are wanted, as columns of the batch; None is all.
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


class Forward(Protocol):
    """One forward pass of a batch, with the hooks that `requests` ask for.

    With `every_logit` False, logits of the last position will do.

    Raises:
        SiteNotFound: a place that the back end cannot reach; names those that it can.
        BadInput: an intervention that it cannot carry over.
        WorkbenchError: its package is not installed.
    """

    def __call__(
        self,
        model: InstrumentedModel,
        batch: Batch,
        requests: Sequence[HookRequest],
        *,
        every_logit: bool,
    ) -> None: ...


def forward(backend: str | Forward, *, remote: bool = False) -> Forward:
    """The forward pass of a back end by its name. With `remote`, nnsight's runs on an NDIF server.

    Raises:
        NotFound: there is no such back end.
        BadInput: `remote` with another back end than nnsight.
    """
    if remote:
        if backend != "nnsight":
            raise BadInput(
                f"remote=True does not go with the back end {backend!r}.",
                "backend='nnsight'",
                "Say that, or drop it.",
            )
        from hooks.backends.ndif import run as ndif

        return ndif
    if not isinstance(backend, str):
        return backend
    if backend == "torch":
        from hooks.backends.torch_hooks import run as plain

        return plain
    if backend == "transformer_lens":
        from hooks.backends.transformer_lens import run as lens

        return lens
    if backend == "nnsight":
        from hooks.backends.nnsight import run as envoys

        return envoys
    raise NotFound.named("back end", backend, NAMES)
