"""What recurrent layers remember: their state after every token, how much of it each token keeps,
and how much it adds.

A prompt is fed token by token, and after each the state is read off the very cache that `generate`
uses: exact for every family, at the price of one short forward pass per token. Where what the
kernel is given explains these states, one pass over the whole prompt gives the same: see
`hooks.state_capture`. `write` needs no family: it is what a token adds to the decayed state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.eager_eval import steady
from hooks.module_call import call
from hooks.positions import CACHES, tell
from hooks.recurrent.cache_tensors import mapped, repeated
from hooks.recurrent.counted_cache import counted_cache
from hooks.recurrent.families import KernelCall
from hooks.recurrent.interception import intercept
from hooks.recurrent.kernel_inputs import KernelInputs, side_by_side
from hooks.recurrent.reading import ParallelReading
from hooks.weights import device_of

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from hooks.model import InstrumentedModel

ON_MODULES = ("recurrent_states", "conv1d_state")
"""What RecurrentGemma keeps on its modules instead of in a cache."""
SAME = 0.1
"""How far a state may be off, as a share, to be what the layer keeps: in some families the kernel
for whole prompts and the one for single tokens differ (Zamba 2 and Nemotron-H clamp their time step
in one of them)."""


@dataclass(frozen=True)
class Memory:
    """All that a model remembers of one text.

    Attributes:
        n_read: tokens of the text.
        cache: the caches that it takes and gives back, by name: states, keys and values.
        on_modules: tensors that it keeps on its modules.
    """

    n_read: int
    cache: dict[str, Any]
    on_modules: dict[str, Tensor]


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
        self.n_read = 0
        self._copies = 1
        cache = _cache_for(module, mixers)
        if cache is not None:
            self._cache = {"past_key_values": cache}

    def feed(self, token: int) -> Float[Tensor, " d_vocab"]:
        """Read one token; gives the logits after it, (d_vocab,), of the first copy."""
        return self.feed_copies(token)[0]

    @torch.no_grad()
    def feed_copies(self, token: int) -> Float[Tensor, "copy d_vocab"]:
        """Read one token in every copy of the memory (`set_memory`); gives the logits after it."""
        return self._feed([token])

    @torch.no_grad()
    def prefill(self, ids: Sequence[int]) -> Float[Tensor, " d_vocab"]:
        """Read the beginning of a text in one pass; gives the logits after it, (d_vocab,)."""
        assert self.n_read == 0  # not every family reads several tokens behind a memory
        return self._feed(ids)[0]

    def _feed(self, tokens: Sequence[int]) -> Tensor:
        device = device_of(self.module.get_input_embeddings())
        ids = torch.tensor([list(tokens)] * self._copies, device=device)
        end = self.n_read + len(tokens)
        where = torch.arange(self.n_read, end, device=device).expand_as(ids)
        # Said outright: some families read the position off the first layer's cache, which may
        # count nothing.
        mask = torch.ones(self._copies, end, dtype=torch.long, device=device)
        tell(self.module, mask, torch.full((self._copies,), self._length or end, device=device))
        out = call(
            self.module,
            input_ids=ids,
            position_ids=where,
            use_cache=True,
            logits_to_keep=1,
            **self._cache,
        )
        self.n_read = end
        self._cache |= {name: out[name] for name in CACHES if out.get(name) is not None}
        logits: Tensor = out.logits[:, -1]
        return logits

    def memory(self) -> Memory:
        """All that the model remembers of the text so far, a copy."""
        return Memory(
            self.n_read,
            mapped(self._cache, lambda _, x: x.detach().clone()),
            {name: x.detach().clone() for name, x in self._on_modules().items()},
        )

    def set_memory(self, memory: Memory, copies: int = 1) -> None:
        """Remember this instead, in as many copies, which go on side by side."""
        self.n_read, self._copies = memory.n_read, copies
        self._cache = mapped(memory.cache, lambda _, x: repeated(x, copies))
        for name, value in memory.on_modules.items():
            layer, place, attribute = name.split("/")
            part = self.mixers[int(layer)].get_submodule(place)
            setattr(part, attribute, repeated(value, copies))

    def _on_modules(self) -> dict[str, Tensor]:
        """What RecurrentGemma keeps on its modules, by layer, place and name."""
        return {
            f"{layer}/{place}/{attribute}": held
            for layer, mixer in self.mixers.items()
            for place, part in mixer.named_modules()
            for attribute in ON_MODULES
            if isinstance(held := getattr(part, attribute, None), torch.Tensor)
        }

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

    def set_heads(
        self,
        layer: int,
        copy: int,
        state: Float[Tensor, "state_head state_row state_col"],
        heads: Sequence[int],
    ) -> None:
        """Write some heads of a state, as `state` gives it out, into one copy of the memory."""
        held = self._held(layer, "recurrent_states")
        assert held is not None
        new = held[copy].reshape(state.shape).clone()
        new[list(heads)] = state[list(heads)].to(new)
        held[copy] = new.reshape(held[copy].shape)

    def set_convolution(self, layer: int, copy: int, taps: Float[Tensor, "channel tap"]) -> None:
        """Write the last inputs of a layer's convolution into one copy of the memory."""
        held = self._held(layer, "conv_states")
        if held is not None:
            held[copy] = taps.to(held)

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


def _cache_for(module: PreTrainedModel, mixers: dict[int, nn.Module]) -> Any:
    """A cache to begin with; None where the family makes one by itself."""
    parts = [part for mixer in mixers.values() for part in mixer.modules()]
    if any(hasattr(part, "recurrent_states") for part in parts):
        from transformers import DynamicCache

        # RecurrentGemma keeps its states, and gives no cache out.
        return DynamicCache(config=module.config.get_text_config())
    return counted_cache(module)


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


def _decay(inputs: KernelInputs) -> Float[Tensor, "state_head decay_row decay_col"]:
    """What the last token multiplies the first prompt's state by."""
    decay: Tensor = inputs.as_kept(inputs.log_decay[0, -1].exp())
    return decay.detach().float()


def conv_state_in(mixer: nn.Module, layer: int, arguments: Sequence[Any]) -> Tensor | None:
    """Where a layer's convolution keeps its last inputs, (batch, channel, tap): in a cache among
    the arguments that the layer was called with, or on itself.
    """
    for given in arguments:
        held = _in_cache(given, layer, "conv_states")
        if held is not None:
            return held
    own = next((getattr(part, "conv1d_state", None) for part in mixer.modules()), None)
    return own if isinstance(own, torch.Tensor) else None


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
    calls: dict[int, list[KernelInputs]] = {}

    def keep(layer: int, call: KernelCall, run: Callable[[], Any]) -> Any:
        if call.head == 0:
            calls[layer] = []
        calls[layer].append(call.inputs)
        stepper.decay[layer] = _decay(side_by_side(calls[layer]))
        return run()

    with steady(module), intercept(mixers, keep):
        try:
            yield stepper
        finally:
            for mixer in mixers.values():
                for inner in mixer.modules():
                    for name in ON_MODULES:
                        if isinstance(getattr(inner, name, None), torch.Tensor):
                            setattr(inner, name, None)


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
                    of_layer["state_decay"] = tuple(stepper.decay[layer].shape)
            if conv is not None:
                of_layer["conv_state"] = tuple(conv.shape)
    return found


@torch.no_grad()
def parallel_shapes(
    module: PreTrainedModel,
    mixers: dict[int, nn.Module],
    ids: Sequence[int],
    kept: dict[int, dict[str, tuple[int, ...]]],
) -> tuple[dict[int, dict[str, tuple[int, ...]]], frozenset[int]]:
    """(what one pass over a prompt says of each recurrent layer, by site, with its shape; layers
    whose states are divided by a sum that is kept beside them).

    A state is among it only where it is, after the last token, what the layer keeps when it reads
    token by token; so is what the layer's convolution keeps.

    Args:
        kept: what the layers keep, as `shapes` gives it.
    """
    device = device_of(module.get_input_embeddings())
    with steady(module), ParallelReading(mixers) as reading:
        call(module, input_ids=torch.tensor([list(ids)], device=device), use_cache=False)
    found = {layer: reading.shapes(layer, kept.get(layer, {})) for layer in mixers}
    with stepping(module, mixers) as stepper:
        for token in ids:
            stepper.feed(token)
        for layer, sites in found.items():
            for site, own in (
                ("state", stepper.state(layer)),
                ("conv_state", stepper.conv_state(layer)),
            ):
                if site in sites and own is not None:
                    value = reading.value(layer, site, sites[site])[-1].to(own)
                    if float((value - own).norm()) > SAME * float(own.norm()):
                        del sites[site]
            if "state" not in sites:
                sites.pop("state_write", None)
    return found, frozenset(layer for layer in mixers if reading.is_divided(layer))
