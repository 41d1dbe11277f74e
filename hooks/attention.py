"""Inside the attention call: queries, keys and values as it gets them, and the way to answer in its
place.

`transformers` looks the attention function up by name at every call. While taps are on, the model's
name for it points to `_tapped`, which hands the call to the tap of that layer and then runs the
very function the model used before. So fused attention stays on, and a pattern costs only the query
rows that somebody asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from hooks.held_attributes import held
from workbench.errors import SiteNotFound

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig

    from hooks.layout import Layout

_PREFIX = "workbench_"
_KNOWN = ("sdpa", "eager")


class _Tapped(str):
    """The name of the tapped attention, looked up as itself and compared as the one it taps:
    families ask by name what their masks and indices have to be (sparse attention is left out where
    the name is neither "sdpa" nor "eager").
    """

    def __new__(cls, original: str) -> _Tapped:
        return super().__new__(cls, _PREFIX + original)

    def __getnewargs__(self) -> tuple[str]:
        return (self.removeprefix(_PREFIX),)

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True or self.removeprefix(_PREFIX) == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


@dataclass
class AttentionCall:
    """One call of one layer's attention.

    `query` is (batch, head, query, d_head); `key` and `value` are (batch, kv_head, key, d_head);
    `mask` is None (plain causal), boolean (True = may look), or additive. Scores and a pattern that
    a tap has given take the place of those computed; taps after it, and the heads, see them.
    """

    module: nn.Module
    query: Float[Tensor, "batch head query d_head"]
    key: Float[Tensor, "batch kv_head key d_head"]
    value: Float[Tensor, "batch kv_head key d_value"]
    mask: Shaped[Tensor, "#batch #head query _"] | None
    options: dict[str, Any]
    given_scores: Float[Tensor, "batch head query key"] | None = None  # (batch, head, query, key)
    given_pattern: Float[Tensor, "batch head query key"] | None = None

    @property
    def scaling(self) -> float:
        given = self.options.get("scaling")
        return float(given) if given is not None else self.query.shape[-1] ** -0.5

    @property
    def bias(self) -> Tensor | None:
        """What the family adds to the scores for where tokens stand, (batch or 1, head, query,
        key), or None.
        """
        return self.options.get("position_bias")

    def pattern(
        self, queries: slice | list[int] | Tensor = slice(None)
    ) -> Float[Tensor, "batch head query key"]:
        """Attention probabilities of the chosen query rows, (batch, head, query, key); float32."""
        if self.given_pattern is not None:
            return self.given_pattern[:, :, queries]
        return probabilities(self.scores(queries), self.options)

    def mix(
        self, pattern: Float[Tensor, "batch head query key"]
    ) -> Float[Tensor, "batch query head d_head"]:
        """What the heads give for these attention probabilities, (batch, query, head, d_head)."""
        mixed = _by_group(pattern.to(self.value.dtype), self.value.shape[1]) @ self.value
        return mixed.view(*pattern.shape[:3], -1).transpose(1, 2)

    def scores(
        self, queries: slice | list[int] | Tensor = slice(None)
    ) -> Float[Tensor, "batch head query key"]:
        """Masked attention scores before the softmax, (batch, head, query, key); float32."""
        if self.given_scores is not None:
            return self.given_scores[:, :, queries]
        n_query, n_key = self.query.shape[2], self.key.shape[2]
        query = self.query[:, :, queries].float() * self.scaling
        scores = _by_group(query, self.key.shape[1]) @ self.key.float().transpose(-1, -2)
        scores = soft_cap(scores.view(*query.shape[:3], n_key), self.options)
        if self.bias is not None:
            scores = scores + self.bias[:, :, queries].float()
        if self.mask is None:
            rows = torch.arange(n_query, device=scores.device)[queries, None] + (n_key - n_query)
            later = torch.arange(n_key, device=scores.device)[None] > rows
            return scores.masked_fill_(
                later, float("-inf")
            )  # in place: these are large, and nobody else's
        return add_mask(scores, self.mask[:, :, queries])


def _by_group(x: Tensor, n_kv: int) -> Tensor:
    """(batch, head, query, …) as (batch, kv_head, head of the group × query, …): a group shares
    its keys and values.
    """
    return x.reshape(x.shape[0], n_kv, -1, x.shape[-1])


def soft_cap(scores: Float[Tensor, "*axes"], options: Mapping[str, Any]) -> Float[Tensor, "*axes"]:
    cap = options.get("softcap")
    return scores if cap is None else torch.tanh(scores / cap) * cap


def add_mask(scores: Float[Tensor, "*axes key"], mask: Tensor) -> Float[Tensor, "*axes key"]:
    mask = mask[..., : scores.shape[-1]]
    return scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask


def probabilities(
    scores: Float[Tensor, "batch head query key"], options: Mapping[str, Any]
) -> Float[Tensor, "batch head query key"]:
    """Softmax over keys; with an attention sink (`s_aux`, one logit per head) the rest goes to
    the sink.
    """
    sink = options.get("s_aux")
    if sink is not None:
        sinks = sink.float().view(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
        return torch.softmax(torch.cat([scores, sinks], dim=-1), dim=-1)[..., :-1]
    pattern = torch.softmax(scores, dim=-1)
    # A padding row may look nowhere: its softmax is NaN, and means nothing.
    return pattern.nan_to_num(0.0) if pattern.requires_grad else pattern.nan_to_num_(0.0)


AttentionTap = Callable[[AttentionCall], "Tensor | None"]
_taps: dict[int, list[AttentionTap]] = {}
_spies: dict[int, list[Callable[[AttentionCall], None]]] = {}


@contextmanager
def spying(module: nn.Module, look: Callable[[AttentionCall], None]) -> Iterator[None]:
    """Show `look` every attention call of a model that goes through `transformers`' attention
    interface.
    """
    parts = list(module.modules())
    with ExitStack() as stack:
        stack.enter_context(
            _through_taps([c for c in _configs(parts) if _implementation(c) in _KNOWN])
        )
        for part in parts:
            stack.callback(_added(_spies, part, look))
        yield


@contextmanager
def untapped(parts: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, nobody who listened before to attention calls of these modules hears or answers
    them.
    """
    everybody: tuple[dict[int, list[Any]], ...] = (_taps, _spies)
    waiting = [
        (kept, id(part), kept.pop(id(part)))
        for part in parts
        for kept in everybody
        if id(part) in kept
    ]
    try:
        yield
    finally:
        for kept, key, here in waiting:
            if here:  # some may have gone meanwhile
                kept[key] = here


@contextmanager
def attention_taps(
    layout: Layout, taps: Mapping[int, AttentionTap], model_name: str = "The model"
) -> Iterator[None]:
    """Call `taps[layer]` with every attention call of that layer while inside.

    A tap that returns a tensor (batch, query, head, d_head) answers in place of the attention; one
    that sets the call's `query`, `key`, `value`, `mask`, `given_scores` or `given_pattern` changes
    what attention sees.

    Raises:
        SiteNotFound: the model's attention does not go through `transformers`' attention interface.
    """
    modules = {layer: m for layer in taps if (m := layout.blocks[layer].attention_call) is not None}
    configs = _configs(modules.values())
    for config in configs:
        if _implementation(config) not in _KNOWN:
            raise SiteNotFound(
                f"{model_name} runs attention as {_implementation(config)!r}, which hides queries,"
                " keys and patterns.",
                "sdpa or eager attention",
                "Load it with attn_implementation='sdpa'.",
            )
    seen: set[int] = set()
    forward_done = {"any": False}

    def watch(layer: int, tap: AttentionTap) -> AttentionTap:
        def call(it: AttentionCall) -> Tensor | None:
            seen.add(layer)
            return tap(it)

        return call

    with ExitStack() as stack:
        stack.enter_context(_through_taps(configs))
        for layer, module in modules.items():
            stack.callback(
                module.register_forward_hook(lambda *_: forward_done.update(any=True)).remove
            )
            stack.callback(_added(_taps, module, watch(layer, taps[layer])))
        yield
    if forward_done["any"] and not seen:
        raise SiteNotFound(
            f"{model_name} computes attention inside its own code, where queries, keys and patterns"
            " cannot be reached.",
            "a family that uses transformers' attention interface",
            "Use the sites z, attn_out and resid_post instead.",
        )


def _configs(parts: Iterable[nn.Module]) -> list[PreTrainedConfig]:
    return list({id(c): c for m in parts if (c := getattr(m, "config", None)) is not None}.values())


def _implementation(config: PreTrainedConfig) -> str | None:
    """The name of the attention function, as it is when nobody listens."""
    name = getattr(config, "_attn_implementation", None)
    return None if name is None else name.removeprefix(_PREFIX)


@contextmanager
def _through_taps(configs: Sequence[PreTrainedConfig]) -> Iterator[None]:
    """Attention of modules with these configurations goes through `_tapped`, until the last who
    asked for it is gone.
    """
    with ExitStack() as stack:
        for config in configs:
            stack.enter_context(
                held(config, "_attn_implementation_internal", _Tapped(str(_implementation(config))))
            )
        yield


def _added(
    kept: dict[int, list[Any]], module: nn.Module, listener: Callable[[AttentionCall], object]
) -> Callable[[], None]:
    """Put a listener at a module; gives what takes it off again."""
    listeners = kept.setdefault(id(module), [])
    listeners.append(listener)

    def remove() -> None:
        listeners.remove(listener)
        if not listeners and kept.get(id(module)) is listeners:
            del kept[id(module)]

    return remove


def _tapped(original: str) -> Callable[..., tuple[Tensor, Tensor | None]]:
    def call(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **options: Any,
    ) -> tuple[Tensor, Tensor | None]:
        it = AttentionCall(module, query, key, value, attention_mask, options)
        for look in _spies.get(id(module), ()):
            look(it)
        for tap in _taps.get(id(module), ()):
            answer = tap(it)
            if answer is not None:
                return answer, None
        if it.given_scores is not None or it.given_pattern is not None:
            return it.mix(it.pattern()), None
        if original == "eager":  # each family has its own, beside its modules
            run = sys.modules[type(module).__module__].eager_attention_forward
        else:
            run = ALL_ATTENTION_FUNCTIONS[original]
        out: tuple[Tensor, Tensor | None] = run(
            module, it.query, it.key, it.value, it.mask, **options
        )
        return out

    return call


for _name in _KNOWN:
    ALL_ATTENTION_FUNCTIONS.register(_PREFIX + _name, _tapped(_name))
    ALL_MASK_ATTENTION_FUNCTIONS.register(_PREFIX + _name, ALL_MASK_ATTENTION_FUNCTIONS[_name])
