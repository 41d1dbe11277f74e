"""Reading a text once: keys, values and queries as each layer's attention gets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.attention import AttentionCall
from hooks.eager_eval import steady
from hooks.kv_cache.context_memory import (
    ContextMemory,
    LayerMemory,
    check_attention,
    no_door,
    tapped,
)
from hooks.kv_cache.rotary import Rotary
from hooks.kv_cache.shared_rows import SharedRows
from hooks.recurrent.cache_tensors import mapped
from workbench.errors import BadInput, Unfit
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from torch import nn

    from hooks.model import InstrumentedModel

_AT_ONCE = 256  # tokens whose logits are made together
_SAME = 2e-3  # nats, as far as sums in another order may be apart


@ordinary
@torch.no_grad()
def read_context(model: InstrumentedModel, ids: Sequence[int]) -> ContextMemory:
    """Read a text once. The pass is the model's own; nothing is changed in it.

    Args:
        ids: its tokens, with what stands before a text (`model.tokens`).

    Raises:
        BadInput: no tokens, or more than the model has positions for.
        Unfit: no attention, or a cache that cannot be masked (attention in the family's own code,
            biases by position, kinds of windows that are not known): found by comparing one token
            read over it with the model's own pass.
    """
    if len(ids) < 2:
        raise BadInput(
            f"The context has {len(ids)} token{'s' * (len(ids) != 1)}.",
            "two tokens or more",
            "Give a longer text.",
        )
    layers = check_attention(model)
    found: dict[int, LayerMemory] = {}
    turns: dict[int, tuple[Tensor, Tensor]] = {}
    final: list[Tensor] = []

    def keep(layer: int) -> Callable[[AttentionCall], None]:
        def tap(it: AttentionCall) -> None:
            found[layer] = LayerMemory(
                it.key[0], it.value[0], it.query[0], it.scaling, dict(it.options)
            )

        return tap

    def before_norm(module: nn.Module, args: tuple[Any, ...]) -> None:
        final[:] = [args[0]]

    with ExitStack() as stack:
        stack.enter_context(steady(model.module))
        stack.enter_context(tapped(model, {layer: keep(layer) for layer in layers}))
        for layer in layers:
            stack.enter_context(_angles(model, layer, turns))
        norm = model.layout.final_norm
        stack.callback(norm.register_forward_pre_hook(before_norm).remove)
        tokens = torch.tensor([list(ids)], device=model.device)
        out = model.forward(input_ids=tokens, use_cache=True, logits_to_keep=1)
    if not found or getattr(out, "past_key_values", None) is None:
        raise no_door(model)
    context = ContextMemory(
        model, list(ids), found, _surprisal(model, list(ids), final), out.past_key_values
    )
    _check_same(context)
    return ContextMemory(
        model, context.ids, found, context.surprisal, context.cache, _rotary(context, turns)
    )


@contextmanager
def _angles(
    model: InstrumentedModel, layer: int, turns: dict[int, tuple[Tensor, Tensor]]
) -> Iterator[None]:
    """Note the cosines and sines that a layer's attention is given."""

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = kwargs.get("position_embeddings")
        if isinstance(given, tuple) and len(given) == 2 and given[0].dim() == 3:
            turns[layer] = (given[0][0], given[1][0])

    part = model.layout.blocks[layer].attention_call
    assert part is not None
    handle = part.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _rotary(context: ContextMemory, turns: dict[int, tuple[Tensor, Tensor]]) -> dict[int, Rotary]:
    """Rotary positions by layer, if the first layer's keys are explained by them."""
    found = {layer: r for layer, (cos, sin) in turns.items() if (r := Rotary.of(cos, sin))}
    if 0 not in found or not found[0].explains(context.layers[0].keys, context.ids):
        return {}
    return found


@ordinary
@torch.no_grad()
def surprisal_of(
    model: InstrumentedModel, ids: Sequence[int], tail: int = 1
) -> tuple[Float[Tensor, " pos"], Float[Tensor, "tail d_vocab"]]:
    """−ln p of every token of a text in nats, (pos,), the first as in `ContextMemory`; and the
    logits of the last tokens. One pass under whatever changes are on; logits of the whole text
    never exist at once.
    """
    final: list[Tensor] = []
    handle = model.layout.final_norm.register_forward_pre_hook(
        lambda _, args: final.append(args[0])
    )
    try:
        with steady(model.module):
            tokens = torch.tensor([list(ids)], device=model.device)
            out = model.forward(input_ids=tokens, use_cache=False, logits_to_keep=tail)
    finally:
        handle.remove()
    return _surprisal(model, list(ids), final), out.logits[0, -tail:].float()


def _surprisal(
    model: InstrumentedModel, ids: list[int], final: list[Tensor]
) -> Float[Tensor, " pos"]:
    """−ln p of every token, in nats; logits are made of some tokens at a time."""
    target = torch.tensor(ids[1:], device=model.device)
    said = []
    for first in range(0, len(target), _AT_ONCE):
        here = target[first : first + _AT_ONCE].to(final[0].device)
        logits = model.unembed(final[0][0, first : first + len(here)]).float()
        said.append(-logits.log_softmax(-1).gather(1, here[:, None].to(logits.device))[:, 0])
    rest = torch.cat(said)
    return torch.cat([rest.max()[None], rest])


def _check_same(context: ContextMemory) -> None:
    """Refuse a model in which a token read over the whole memory does not get what the model's
    own cache gives it.
    """
    model, token = context.model, [context.ids[-1]]
    own = mapped(context.cache, lambda _, value: value.clone())
    where = torch.tensor([[len(context)]], device=model.device)
    positions = model.positions
    if positions is not None and len(context) >= positions:
        return  # no room for a further token; asking anything is refused then
    expected = model.forward(
        input_ids=torch.tensor([token], device=model.device), position_ids=where,
        past_key_values=own, use_cache=True,
    ).logits[0, -1].float()  # fmt: skip
    said = SharedRows(context, [None]).feed([token])[0, -1].float()
    off = float((said.log_softmax(-1) - expected.log_softmax(-1)).abs().max())
    if not off <= _tolerance(expected):
        raise Unfit(
            f"The cache of {model.card.name} cannot be masked: a token read over its keys and"
            f" values is off by {off:.2g} nats.",
            "layers that see their past by plain, soft-capped or windowed attention",
            "Take another family (Llama, Qwen, Gemma, GPT-2, Pythia, Mistral …).",
        )


def _tolerance(logits: Tensor) -> float:
    return _SAME if logits.dtype == torch.float32 else 0.5
