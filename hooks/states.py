"""What recurrent layers remember: their state after every token, how much of it each token keeps,
and how much it adds.

Mamba, Mamba-2, gated delta rules, RG-LRU, RWKV and their hybrids compute a whole prompt in one
parallel kernel that never holds the state after each token. So the prompt is fed token by token,
and after each the state is read off the very cache that `generate` uses: exact for every family, at
the price of one short forward pass per token. The gates are read where the family computes them.
`write` needs no family: it is what a token adds to the decayed state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.eager_eval import steady
from hooks.module_call import call
from hooks.positions import CACHES, tell
from hooks.state_kernels import gated_kernels, rg_lru_kernels, slope_kernels
from hooks.weights import device_of

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from hooks.batch import Batch
    from hooks.hook_points import HookFn
    from hooks.model import InstrumentedModel
    from hooks.sites import Place


class RecurrentStepper:
    """A prompt that is read token by token, with what each recurrent layer holds after the last
    one.

    Args:
        module: the causal LM.
        mixers: layer -> its recurrent part.
        length: of the prompt, in tokens: changes may hold at positions that count from its end.
            None: as read so far.
    """

    def __init__(
        self, module: PreTrainedModel, mixers: dict[int, nn.Module], length: int | None = None
    ) -> None:
        self.module, self.mixers = module, mixers
        self._length = length
        self.decay: dict[int, Tensor] = {}
        self._cache: dict[str, Any] = {}
        self._read = 0
        if any(
            hasattr(inner, "recurrent_states")
            for mixer in mixers.values()
            for inner in mixer.modules()
        ):
            from transformers import (
                DynamicCache,
            )  # RecurrentGemma keeps states on its modules and gives no cache out

            self._cache = {"past_key_values": DynamicCache(config=module.config.get_text_config())}

    @torch.no_grad()
    def feed(self, token: int) -> Float[Tensor, " d_vocab"]:
        """Read one token; gives the logits after it, (d_vocab,)."""
        device = device_of(self.module.get_input_embeddings())
        ids, where = (
            torch.tensor([[token]], device=device),
            torch.tensor([[self._read]], device=device),
        )
        # Said outright: some families read the position off the first layer's cache, which may
        # count nothing.
        mask = torch.ones(1, self._read + 1, dtype=torch.long, device=device)
        tell(self.module, mask, torch.tensor([self._length or self._read + 1], device=device))
        out = call(self.module, input_ids=ids, position_ids=where, use_cache=True, **self._cache)
        self._read += 1
        self._cache |= {name: out[name] for name in CACHES if out.get(name) is not None}
        logits: Tensor = out.logits[0, -1]
        return logits

    def state(self, layer: int) -> Float[Tensor, "state_head state_row state_col"] | None:
        """The layer's state, (state_head, state_row, state_col), a copy; None if it keeps none."""
        found = self._held(layer, "recurrent_states")
        if found is None:
            return None
        found = found[0].detach().float()
        while (
            found.dim() < 3
        ):  # RG-LRU keeps a number per channel, Mamba a row per channel: one head
            found = found[None] if found.dim() == 2 else found[:, None]
        return found.clone()

    def conv_state(self, layer: int) -> Float[Tensor, "channel tap"] | None:
        """The last inputs of the layer's short convolution, (channel, tap), a copy."""
        found = self._held(layer, "conv_states")
        return None if found is None else found[0].detach().float().clone()

    def state_update(
        self, layer: int, before: Float[Tensor, "state_head state_row state_col"] | None
    ) -> Float[Tensor, "state_head state_row state_col"]:
        """What the last token added to the decayed state, given the state before it."""
        after = self.state(layer)
        assert after is not None
        return after if before is None else after - self.decay[layer] * before

    def set_state(
        self,
        layer: int,
        *,
        state: Float[Tensor, "state_head state_row state_col"] | None = None,
        conv_state: Float[Tensor, "channel tap"] | None = None,
    ) -> None:
        """Write a state into the cache, as `state` and `conv_state` gave it out."""
        for name, value in (("recurrent_states", state), ("conv_states", conv_state)):
            held = self._held(layer, name) if value is not None else None
            if held is not None and value is not None:
                held.copy_(value.reshape(held.shape).to(held))

    def _held(self, layer: int, name: str) -> Tensor | None:
        """The tensor in which a layer keeps its "recurrent_states" or "conv_states"."""
        for cache in self._cache.values():
            held = _in_cache(cache, layer, name)
            if held is not None:
                return held
        other = "conv1d_state" if name == "conv_states" else name
        for inner in self.mixers[layer].modules():  # RecurrentGemma keeps them on the module
            held = getattr(inner, name, getattr(inner, other, None))
            if isinstance(held, torch.Tensor):
                return held
        return None


def _in_cache(cache: Any, layer: int, name: str) -> Tensor | None:
    """A layer's tensor in a cache, of whichever family's kind."""
    held: dict[int, Tensor] | None = None
    if hasattr(cache, "layers") and layer < len(cache.layers):
        held = getattr(cache.layers[layer], name, None)
        if isinstance(held, dict) and isinstance(held.get(0), torch.Tensor):
            return held[0]
    if name != "recurrent_states":
        return None
    linear: Sequence[Tensor | None] = getattr(cache, "linear_cache", [])  # MiniMax
    if layer < len(linear) and isinstance(linear[layer], torch.Tensor):
        return linear[layer]
    # xLSTM: matrix, normaliser, maximum
    cells: Mapping[int, Sequence[Tensor]] = getattr(cache, "rnn_state", {})
    if layer in cells:
        return cells[layer][0]
    if isinstance(cache, list):  # RWKV: numerator, denominator, maximum … per channel
        return torch.stack([part[..., layer] for part in cache], -1)
    return None


@contextmanager
def stepping(
    module: PreTrainedModel, mixers: dict[int, nn.Module], length: int | None = None
) -> Iterator[RecurrentStepper]:
    """A stepper whose `decay` holds, after each token, what every layer's state was multiplied by:
    broadcasts to the state.

    Layers whose gate cannot be read are not in `decay`. What the model remembered before is
    forgotten on the way out.
    """
    stepper = RecurrentStepper(module, mixers, length)
    with ExitStack() as stack:
        stack.enter_context(steady(module))
        for layer, mixer in mixers.items():

            def keep(x: Tensor, layer: int = layer) -> None:
                stepper.decay[layer] = x.detach().float()

            for attach in (rg_lru_kernels, slope_kernels, gated_kernels):
                if attach(stack, mixer, keep):
                    break
        try:
            yield stepper
        finally:
            for mixer in mixers.values():
                for inner in mixer.modules():
                    for name in ("recurrent_states", "conv1d_state"):
                        if isinstance(getattr(inner, name, None), torch.Tensor):
                            setattr(inner, name, None)


@torch.no_grad()
def trajectory(
    model: InstrumentedModel,
    ids: Sequence[int],
    places: Sequence[Place],
    positions: Sequence[int] | None = None,
) -> dict[Place, Tensor]:
    """The values of `state`, `conv_state`, `state_decay` and `state_write` along one prompt.

    Args:
        ids: the prompt's tokens.
        places: sites and layers, as `sites.resolve` gives them.
        positions: which tokens to keep, None for all; every token up to the last of them is read.

    Returns:
        per place (pos, *the site's further dims), float32 on the CPU.
    """
    mixers = mixers_of(model)
    wanted = range(len(ids)) if positions is None else [p % len(ids) for p in positions]
    states_at: dict[Place, dict[int, Tensor]] = {place: {} for place in places}
    writing = {p.layer for p in places if p.site.short == "state_write" and p.layer is not None}
    with stepping(model.module, mixers, len(ids)) as stepper:
        for t, token in enumerate(ids[: max(wanted) + 1]):
            before = {layer: stepper.state(layer) for layer in writing}
            stepper.feed(token)
            for place in places if t in wanted else ():
                states_at[place][t] = _value(stepper, place, before).cpu()
    return {place: torch.stack([values[t] for t in wanted]) for place, values in states_at.items()}


def _value(stepper: RecurrentStepper, place: Place, before: dict[int, Tensor | None]) -> Tensor:
    """What a place holds after the last token; `before` are the states before it."""
    layer = place.layer
    assert layer is not None
    match place.site.short:
        case "state_decay":
            return stepper.decay[layer]
        case "state_write":
            written: Tensor = stepper.state_update(layer, before[layer]).flatten(1).norm(dim=1)
            return written
        case "state":
            value = stepper.state(layer)
        case _:
            value = stepper.conv_state(layer)
    assert value is not None  # the model was asked before it said that it has this site
    return value


def capture_states(
    model: InstrumentedModel, batch: Batch, places: Sequence[Place], take: HookFn
) -> None:
    """Call `take(place, values)` with what recurrent layers remember along the prompts of a batch:
    (batch, *site.dims), padded on the left as the batch is. The prompts are read one after another,
    token by token.
    """
    rows = [
        ids[mask.bool()].tolist()
        for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)
    ]
    along = [trajectory(model, ids, places) for ids in rows]
    width = batch.input_ids.shape[1]
    for place in places:
        padded = torch.zeros(len(rows), width, *along[0][place].shape[1:], dtype=torch.float32)
        for row, found in enumerate(along):
            padded[row, width - len(found[place]) :] = found[place]
        take(place, padded)


def mixers_of(model: InstrumentedModel) -> dict[int, nn.Module]:
    """Layer -> its recurrent part."""
    return {
        layer: block.mixer
        for layer, block in enumerate(model.layout.blocks)
        if block.mixer is not None
    }


@torch.no_grad()
def shapes(
    module: PreTrainedModel, mixers: dict[int, nn.Module], ids: Sequence[int]
) -> dict[int, dict[str, tuple[int, ...]]]:
    """What each recurrent layer keeps, by site, with its shape, as two tokens show."""
    found: dict[int, dict[str, tuple[int, ...]]] = {}
    with stepping(module, mixers) as stepper:
        for token in ids[:2]:
            stepper.feed(token)
        for layer in mixers:
            state, conv = stepper.state(layer), stepper.conv_state(layer)
            of_layer = found.setdefault(layer, {})
            if state is not None:
                of_layer["state"] = tuple(state.shape)
                if layer in stepper.decay:
                    of_layer |= {
                        "state_decay": tuple(stepper.decay[layer].shape),
                        "state_write": (state.shape[0],),
                    }
            if conv is not None:
                of_layer["conv_state"] = tuple(conv.shape)
    return found
