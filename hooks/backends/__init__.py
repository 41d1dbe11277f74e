"""Running a forward pass with other people's tools, on the same module and the same weights.

I want TransformerLens's hook points             -> transformer_lens.py
I want its cache as a Trace, and back            -> hooks/transformer_lens_cache.py
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
from typing import TYPE_CHECKING, Protocol

from hooks.backends.hook_request import HookRequest
from workbench.errors import BadInput, NotFound

if TYPE_CHECKING:
    from hooks.batch import Batch
    from hooks.model import InstrumentedModel

NAMES = ("torch", "transformer_lens", "nnsight")


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
