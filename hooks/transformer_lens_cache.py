"""TransformerLens's `ActivationCache` to a Trace, and back.

    _, cache = bridge.run_with_cache(tokens)
    trace = from_cache(model, cache, prompts)
    cache = to_cache(trace, bridge)

A cache is padded, one column per token of the batch; a Trace counts each prompt's own tokens.
Values are not changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import torch

from hooks.backends.prompt_matching import PromptMatcher
from hooks.backends.transformer_lens import as_site, hook_name, same_in_both
from hooks.capture import capture
from hooks.prompts import split
from hooks.sites import SITES, Place
from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor
    from transformer_lens import ActivationCache as LensCache
    from transformer_lens.model_bridge import TransformerBridge

    from hooks.backends.hook_request import HookRequest
    from hooks.batch import Batch
    from hooks.model import InstrumentedModel
    from workbench.trace import Trace


def from_cache(
    model: InstrumentedModel,
    cache: Mapping[str, Tensor],
    prompts: str | Sequence[str],
    padding: Literal["left", "right"] = "left",
) -> Trace:
    """A Trace of all that a cache holds at the workbench's sites; what has no site here, or is
    something else than the site, is left out.

    Args:
        cache: hook name -> values (prompt, pos, …), of `run_with_cache` on these prompts, tokenized
            as `model.tokens` does.
        prompts: the texts, in the order of the cache.
        padding: the side on which shorter prompts were padded.

    Returns:
        What `wb.capture` returns for the same prompts and sites.

    Raises:
        BadInput: the cache has other sizes than these prompts, or nothing that the workbench has a
            site for.
    """
    texts = list(split(prompts))
    held = same_in_both(model, [place for place in _all_places(model) if hook_name(place, cache)])
    if not held:
        raise BadInput(
            "The cache holds none of the model's sites.",
            f"hooks such as {Place(SITES['resid_post'], 0).name}",
            "Check it.",
        )

    waiting = PromptMatcher(model, texts)
    lengths = waiting.lengths
    values = {place: _checked(cache, place, lengths) for place in held}
    if padding == "right":
        values = {place: _to_left(x, place, lengths) for place, x in values.items()}

    def read(
        model: InstrumentedModel,
        batch: Batch,
        requests: Sequence[HookRequest],
        *,
        every_logit: bool,
    ) -> None:
        """What the model would show of this batch, which holds some of the prompts in some
        order.
        """
        width = batch.input_ids.shape[1]
        with waiting.matched(batch) as rows:
            for request, place in [(r, place) for r in requests for place in r.places]:
                x = values[place][rows]
                for axis in _over_tokens(place):
                    x = x.narrow(axis, x.shape[axis] - width, width)
                request.hand_over(place, x)

    return capture(model, texts, [place.name for place in held], backend=read)


def _checked(cache: Mapping[str, Tensor], place: Place, lengths: Sequence[int]) -> Tensor:
    """The values of a place, if they have the prompts' sizes."""
    name = hook_name(place, cache)
    assert name is not None  # only what the cache holds is asked for
    values = as_site(place, cache[name])
    wanted = {0: len(lengths)} | dict.fromkeys(_over_tokens(place), max(lengths))
    for axis, size in wanted.items():
        if values.shape[axis] != size:
            raise BadInput(
                f"{name!r} of the cache has {values.shape[axis]} along"
                f" {('prompt', *place.site.dims)[axis]}.",
                f"{size} for these prompts, tokenized as this model's tokenizer does by itself",
                "Give the prompts it was made from; mind a token put in front.",
            )
    return values


def to_cache(
    trace: Trace, bridge: TransformerBridge | None = None
) -> LensCache | dict[str, Tensor]:
    """A trace as a cache: hook name -> tensor (prompt, pos, …), float32, padded on the left with
    NaN.

    Args:
        trace: with all positions.
        bridge: a `TransformerBridge`; with it, names are those of its hooks and an
            `ActivationCache` is returned, otherwise names are the workbench's and a dict is
            returned.

    Raises:
        BadInput: the trace holds only some positions.
    """
    longest = max(trace.lengths)
    cache: dict[str, Tensor] = {}
    for short in trace:
        site, values = SITES[short], trace[short]
        along = "query" if "query" in site.dims else "pos"
        if values.coords[along].values.tolist() != list(range(longest)):
            raise BadInput(
                f"The trace holds only some positions of {short!r}.",
                "all of them",
                "Capture without positions=.",
            )
        layers: list[int | None] = (
            values.coords["layer"].values.tolist() if site.per_layer else [None]
        )
        for layer in layers:
            place = Place(site, layer)
            one = torch.as_tensor((values.sel(layer=layer) if site.per_layer else values).values)
            name = None if bridge is None else hook_name(place, bridge.hook_dict)
            cache[name or place.name] = _to_left(one, place, trace.lengths)
    if bridge is None:
        return cache
    from transformer_lens import ActivationCache

    return ActivationCache(cache, bridge)


def _all_places(model: InstrumentedModel) -> list[Place]:
    return [
        Place(SITES[short], layer)
        for short, layers in model.sites.items()
        for layer in ([None] if layers is None else layers)
    ]


def _over_tokens(place: Place) -> list[int]:
    """The axes of (prompt, *site.dims) that run over tokens."""
    return [
        axis for axis, dim in enumerate(place.site.dims, start=1) if dim in {"pos", "query", "key"}
    ]


def _to_left(values: Tensor, place: Place, lengths: Sequence[int]) -> Tensor:
    """Padding from the right to the left (as NaN): every axis that runs over tokens is shifted,
    prompt by prompt.
    """
    out = torch.full_like(values, float("nan"))
    for row, n in enumerate(lengths):
        source, target = values[row], out[row]
        for axis in _over_tokens(place):
            source, target = (
                source.narrow(axis - 1, 0, n),
                target.narrow(axis - 1, target.shape[axis - 1] - n, n),
            )
        target.copy_(source)
    return out
