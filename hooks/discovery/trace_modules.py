"""One forward pass of a few tokens, with what went in and out of every module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hooks.attention import AttentionCall, spying
from hooks.finite_check import not_finite, sound
from hooks.module_call import call
from hooks.weights import device_of, innermost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

# Any few tokens do; small ids are often special ones with an all-zero embedding.
TOKENS = (17, 11, 29, 23, 13)


@dataclass
class ModuleCall:
    """One call of one module in the probe. Copies, since families add in place."""

    module: nn.Module
    given: Tensor | None
    gave: Tensor | None
    whole: Any


class Probe:
    """A forward pass of a few tokens, with what went in and out of every module.

    Run it in `undisturbed`.
    """

    def __init__(self, module: Any) -> None:
        self.seen: list[ModuleCall] = []
        self.of: dict[
            int, list[int]
        ] = {}  # id(module) -> indices into seen, in the order the calls ended
        self.calls: dict[
            int, AttentionCall
        ] = {}  # id of the module that called -> its attention call
        config = module.config.get_text_config()
        device = device_of(module.get_input_embeddings())
        ids = torch.tensor([[i % config.vocab_size for i in TOKENS]], device=device)
        handles = [m.register_forward_hook(self._after, with_kwargs=True) for m in module.modules()]
        where = {
            "attention_mask": torch.ones_like(ids),
            "position_ids": torch.arange(len(TOKENS), device=device)[None],
        }
        try:
            with torch.no_grad(), spying(module, self._call):
                out = call(module, input_ids=ids, **where, use_cache=False)
            # attention in the family's own code may look at its implementation's name: as it was,
            # then
            if not self.calls:
                self.seen, self.of = [], {}
                with torch.no_grad():
                    out = call(module, input_ids=ids, **where, use_cache=False)
            self.logits = out.logits[0].float().cpu()
        finally:
            for handle in handles:
                handle.remove()
        if not bool(sound(self.logits).all()):
            raise not_finite(module, type(module).__name__, self._first_bad(module))

    def _after(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        given = (
            args[0] if args else kwargs.get("hidden_states", kwargs.get("x", kwargs.get("input")))
        )
        gave = (
            output[0]
            if isinstance(output, tuple | list) and output
            else getattr(output, "last_hidden_state", output)
        )
        self.of.setdefault(id(module), []).append(len(self.seen))
        self.seen.append(ModuleCall(module, _copy(given), _copy(gave), _shallow(output)))

    def _first_bad(self, module: nn.Module) -> str | None:
        """The name of the part that first gave something that is no finite number."""
        names = {id(part): name for name, part in module.named_modules()}
        bad = (
            s for s in self.seen if s.gave is not None and not bool(torch.isfinite(s.gave).all())
        )
        return next((names[id(s.module)] for s in bad), None)

    def _call(self, call: AttentionCall) -> None:
        self.calls[id(call.module)] = call

    def once(self, module: nn.Module) -> ModuleCall | None:
        """The module's only call, if it has exactly one."""
        at = self.of.get(id(module), [])
        return self.seen[at[0]] if len(at) == 1 else None

    def within(self, module: nn.Module) -> Iterator[ModuleCall]:
        """Calls of everything inside a module, in the order they ended."""
        inside = sorted(
            i for m in module.modules() if m is not module for i in self.of.get(id(m), ())
        )
        return (self.seen[i] for i in inside)

    def matrices(self, module: nn.Module) -> list[ModuleCall]:
        """Calls of the matrices inside a module; what a matrix is made of (an adapter's base and
        its factors) is none.
        """
        found = [s for s in self.within(module) if is_matrix(s.module)]
        inside = {id(m) for s in found for m in s.module.modules() if m is not s.module}
        return [s for s in found if id(s.module) not in inside]


def _copy(x: Any) -> Tensor | None:
    return (
        x.detach().float().cpu().clone()
        if isinstance(x, torch.Tensor) and x.is_floating_point()
        else None
    )


def _shallow(output: Any) -> Any:
    """Shapes and kinds of what a module gave: enough to tell a router's outputs apart."""
    parts = output if isinstance(output, tuple) else (output,)
    return [
        (tuple(p.shape), p.is_floating_point()) if isinstance(p, torch.Tensor) else None
        for p in parts
    ]


def output_of(probe: Probe, module: nn.Module) -> Tensor:
    """What a module gave, as (batch, pos, …) also where it works on all tokens in one row."""
    seen = probe.once(module)
    assert seen is not None
    assert seen.gave is not None
    return seen.gave if seen.gave.dim() > 2 else seen.gave[None]


def input_of(probe: Probe, module: nn.Module) -> Tensor | None:
    seen = probe.once(module)
    return seen.given if seen is not None else None


def same(a: Tensor | None, b: Tensor | None, exact: float) -> bool:
    """Whether each row of `a` is that of `b`, but for `exact` as a share of the row's largest
    number.
    """
    if a is None or b is None or a.numel() != b.numel() or a.shape[-1] != b.shape[-1]:
        return False
    a = a.reshape(b.shape)
    return bool((largest(a - b) <= exact * largest(b).clamp(min=1e-6)).all())


def largest(x: Tensor) -> Tensor:
    """The largest number of each row.

    Rows are compared one by one: the stream of a first token is often hundreds of times larger than
    that of others, and what is rounding there is all of a part elsewhere.
    """
    return x.abs().amax(-1)


def is_matrix(module: nn.Module) -> bool:
    """A module that multiplies by one matrix (quantized layers keep the shape in attributes),
    perhaps with an adapter around it; one around experts says sizes as well, and multiplies by
    many.
    """
    module = innermost(module)
    weight = getattr(module, "weight", None)
    flat = (
        isinstance(weight, torch.Tensor)
        and weight.dim() == 2
        and not isinstance(module, nn.Embedding)
    )
    return flat or (hasattr(module, "in_features") and hasattr(module, "out_features"))
