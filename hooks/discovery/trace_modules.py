"""One forward pass of a few tokens, with what went in and out of every module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hooks.attention import AttentionCall, spying
from hooks.discovery.family_quirks import INPUT_NAMES
from hooks.finite_check import not_finite, sound
from hooks.module_call import call
from hooks.weights import device_of, innermost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor
    from transformers import PreTrainedModel

# Any few tokens do; small ids are often special ones with an all-zero embedding.
TOKENS = (17, 11, 29, 23, 13)


@dataclass
class ModuleCall:
    """One call of one module in the traced pass. Copies, since families add in place.

    `input` and `output` are the main ones, float32 on the CPU, None where they are no tensor of
    real numbers. `output_parts` has, for each part of the output, its shape and whether it holds
    real numbers: enough to tell a router's outputs apart. None for a part that is no tensor.
    """

    module: nn.Module
    input: Tensor | None
    output: Tensor | None
    output_parts: list[tuple[tuple[int, ...], bool] | None]


class TracedPass:
    """A forward pass of a few tokens, with what went in and out of every module.

    Run it in `undisturbed`.

    Attributes:
        calls: of all modules, in the order in which they ended.
        attention_calls: id of the module that called `transformers`' attention function -> its
            call.
        logits: (pos, d_vocab), float32.

    Raises:
        NotFinite: the logits are no finite numbers.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.calls: list[ModuleCall] = []
        self._indices: dict[int, list[int]] = {}  # id(module) -> indices into calls
        self.attention_calls: dict[int, AttentionCall] = {}
        config = model.config.get_text_config()
        device = device_of(model.get_input_embeddings())
        ids = torch.tensor([[i % config.vocab_size for i in TOKENS]], device=device)
        handles = [m.register_forward_hook(self._after, with_kwargs=True) for m in model.modules()]
        inputs = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "position_ids": torch.arange(len(TOKENS), device=device)[None],
        }
        try:
            with torch.no_grad(), spying(model, self._keep_attention):
                out = call(model, **inputs, use_cache=False)
            # Attention in the family's own code may look at its implementation's name: without the
            # spy it is as it was.
            if not self.attention_calls:
                self.calls, self._indices = [], {}
                with torch.no_grad():
                    out = call(model, **inputs, use_cache=False)
            self.logits = out.logits[0].float().cpu()
        finally:
            for handle in handles:
                handle.remove()
        if not bool(sound(self.logits).all()):
            raise not_finite(model, type(model).__name__, self._first_bad(model))

    def _after(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        main_input = (
            args[0] if args else next((kwargs[n] for n in INPUT_NAMES if n in kwargs), None)
        )
        main_output = (
            output[0]
            if isinstance(output, tuple | list) and output
            else getattr(output, "last_hidden_state", output)
        )
        self._indices.setdefault(id(module), []).append(len(self.calls))
        self.calls.append(
            ModuleCall(module, _copy(main_input), _copy(main_output), _output_parts(output))
        )

    def _keep_attention(self, call: AttentionCall) -> None:
        self.attention_calls[id(call.module)] = call

    def _first_bad(self, model: nn.Module) -> str | None:
        """The name of the part that first gave something that is no finite number."""
        names = {id(part): name for name, part in model.named_modules()}
        bad = (
            call
            for call in self.calls
            if call.output is not None and not bool(torch.isfinite(call.output).all())
        )
        return next((names[id(call.module)] for call in bad), None)

    def was_called(self, module: nn.Module) -> bool:
        return bool(self._indices.get(id(module)))

    def only_call(self, module: nn.Module | None) -> ModuleCall | None:
        """The module's call, if it was called exactly once."""
        indices = self._indices.get(id(module), [])
        return self.calls[indices[0]] if len(indices) == 1 else None

    def within(self, module: nn.Module) -> Iterator[ModuleCall]:
        """Calls of everything inside a module, in the order they ended."""
        inside = sorted(
            i for m in module.modules() if m is not module for i in self._indices.get(id(m), ())
        )
        return (self.calls[i] for i in inside)

    def matrices(self, module: nn.Module) -> list[ModuleCall]:
        """Calls of the matrices inside a module; what a matrix is made of (an adapter's base and
        its factors) is none.
        """
        matrices = [call for call in self.within(module) if is_matrix(call.module)]
        inside = {id(m) for call in matrices for m in call.module.modules() if m is not call.module}
        return [call for call in matrices if id(call.module) not in inside]

    def output_of(self, module: nn.Module) -> Tensor:
        """What a module gave that was called once, as (batch, pos, …) also where it works on all
        tokens in one row.
        """
        call = self.only_call(module)
        assert call is not None
        assert call.output is not None
        return call.output if call.output.dim() > 2 else call.output[None]

    def input_of(self, module: nn.Module) -> Tensor | None:
        """What a module got that was called once; None for others."""
        call = self.only_call(module)
        return call.input if call is not None else None


def _copy(x: Any) -> Tensor | None:
    return (
        x.detach().float().cpu().clone()
        if isinstance(x, torch.Tensor) and x.is_floating_point()
        else None
    )


def _output_parts(output: Any) -> list[tuple[tuple[int, ...], bool] | None]:
    parts = output if isinstance(output, tuple) else (output,)
    return [
        (tuple(p.shape), p.is_floating_point()) if isinstance(p, torch.Tensor) else None
        for p in parts
    ]


def same(a: Tensor | None, b: Tensor | None, tolerance: float) -> bool:
    """Whether each row of `a` is that of `b`, but for `tolerance` as a share of the row's largest
    number.
    """
    if a is None or b is None or a.numel() != b.numel() or a.shape[-1] != b.shape[-1]:
        return False
    a = a.reshape(b.shape)
    return bool((largest(a - b) <= tolerance * largest(b).clamp(min=1e-6)).all())


def largest(x: Tensor) -> Tensor:
    """The largest number of each row, (..., d) to (...).

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
