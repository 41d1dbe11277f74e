"""Text after a prompt, token by token: greedy decoding of the model's own logits, or draws from all
of its softmax.

Checkpoints come with a generation config (repetition penalty, top-k, beams, suppressed tokens …)
that `transformers` applies by itself, so that what is generated is not what the logits say. Here
only its end and padding tokens count.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int
from torch import Tensor

from hooks import context_window
from hooks.eager_eval import steady
from hooks.finite_check import first_bad, not_finite, sound
from hooks.recurrent.counted_cache import counted_cache
from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import nn

    from hooks.model import InstrumentedModel
    from hooks.prompts import Prompt

_COLDEST = 1e-6
# A module's own generation config is set aside while it generates: one thread after the other.
_TURNS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


def end_tokens(model: InstrumentedModel) -> tuple[int, ...]:
    """Every token after which this model stops: those of its generation config, its config and
    its tokenizer.
    """
    module = model.module
    said = [
        getattr(getattr(module, "generation_config", None), "eos_token_id", None),
        getattr(module.config.get_text_config(), "eos_token_id", None),
        model.tokenizer.eos_token_id,
    ]
    ids = {
        int(i)
        for some in said
        if some is not None
        for i in (some if isinstance(some, list | tuple) else [some])
    }
    return tuple(sorted(i for i in ids if 0 <= i < model.card.d_vocab))


def decoded(model: InstrumentedModel, ids: Sequence[int]) -> str:
    """The text of generated tokens; special ones have none."""
    return model.text.decode_continuation(ids, special=False)


def generate(
    model: InstrumentedModel,
    prompt: Prompt,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    on_token: Callable[[str], None] | None = None,
) -> str:
    """See `InstrumentedModel.generate`."""
    batch = model.batch(prompt)
    streamer = _Streamer(model, on_token) if on_token is not None else None
    # Sampling draws from the global generator: fork it, so that a seed here changes nothing
    # elsewhere.
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        new = continued(
            model, batch.input_ids, max_new_tokens, temperature=temperature, streamer=streamer
        )
    text = decoded(model, new[0].tolist())
    if streamer is not None:
        streamer.finish(text)
    return text


@torch.no_grad()
def continued(
    model: InstrumentedModel,
    ids: Int[Tensor, "prompt pos"],
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    ends: Sequence[int] | None = None,
    least: int = 0,
    streamer: _Streamer | None = None,
    stopping: Sequence[Callable[..., Tensor]] = (),
) -> Int[Tensor, "prompt new_pos"]:
    """The tokens that follow prompts of one length, (prompt, up to `max_new_tokens`).

    Draws are from the global generator.

    Args:
        ids: (prompt, pos), without padding.
        temperature: 0 is greedy decoding; otherwise every token is drawn from the whole softmax of
            logits / temperature.
        ends: tokens after which a prompt is finished; None is all that the model has, () is none.
        least: before so many tokens none of them is said.
        streamer, stopping: as `transformers` takes them.

    Raises:
        BadInput: a number of tokens or a temperature that cannot be; more tokens than the model has
            positions.
        NotFinite: logits that say nothing.
    """
    _check(max_new_tokens, temperature)
    context_window.check(model, ids.shape[1], new=max_new_tokens)
    if max_new_tokens == 0:
        return ids[:, :0]
    from transformers import GenerationConfig

    ends = list(end_tokens(model) if ends is None else ends)
    own: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "eos_token_id": ends or None,
        "pad_token_id": _padding(model, ends),
    }
    own |= {"min_new_tokens": least} if least and ends else {}
    if (
        temperature > 0
    ):  # said in full: what is left out is filled with the library's own top-k of 50
        own |= {"do_sample": True, "temperature": float(temperature), "top_k": 0, "top_p": 1.0}
    watch = _Finite(model, ids)
    cache = counted_cache(model.module)
    if streamer is not None:
        streamer.before = watch.check
    with steady(model.module), _nothing_of_its_own(model.module):
        generate: Any = model.module.generate  # of a mixin, typed for all that it may give
        out: Tensor = generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=GenerationConfig(**own),
            logits_processor=[watch],
            streamer=streamer,
            stopping_criteria=list(stopping),
            **({} if cache is None else {"past_key_values": cache}),
        )
    watch.check()
    return out[:, ids.shape[1] :]


def _check(max_new_tokens: int, temperature: float) -> None:
    if max_new_tokens < 0:
        raise BadInput(
            f"{max_new_tokens} new tokens cannot be generated.", "0 or more", "Ask for some."
        )
    if not (temperature == 0 or _COLDEST <= temperature < math.inf):
        raise BadInput(
            f"The temperature cannot be {temperature:g}.",
            f"0 (greedy), or {_COLDEST:g} and more",
            "1 is the model's own.",
        )


def _padding(model: InstrumentedModel, ends: Sequence[int]) -> int:
    """What stands after the end of a prompt that is finished before the others."""
    own = model.tokenizer.pad_token_id
    return int(own) if own is not None else next(iter(ends), 0)


@contextmanager
def _nothing_of_its_own(module: nn.Module) -> Iterator[None]:
    """Set the module's generation config aside: `transformers` takes from it whatever a given one
    leaves open.

    Wrappers (PEFT) hand on to a module inside, which has its own.
    """
    from transformers import GenerationConfig

    with _TURNS.setdefault(module, threading.RLock()):
        held = [
            (m, vars(m)["generation_config"])
            for m in module.modules()
            if vars(m).get("generation_config") is not None
        ]
        try:
            for part, _ in held:
                part.generation_config = GenerationConfig()  # type: ignore[assignment]
            yield
        finally:
            for part, config in held:
                part.generation_config = config


class _Finite:
    """Among the logits processors: notes whether the logits say something, without waiting for
    the device.
    """

    def __init__(self, model: InstrumentedModel, ids: Tensor) -> None:
        self._model, self._ids = model, ids
        self._good: Tensor | None = None

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        good = sound(scores)
        self._good = good.all() if self._good is None else self._good & good.all()
        # A draw from what is no distribution would end the whole process on a GPU.
        return torch.where(good[:, None], scores, torch.zeros_like(scores))

    def check(self) -> None:
        """Raises NotFinite if any of the logits so far said nothing."""
        if self._good is not None and not bool(self._good):
            module = self._model.module
            raise not_finite(
                module,
                self._model.card.name,
                first_bad(module, {"input_ids": self._ids, "use_cache": False}),
            )


class _Streamer:
    """What `generate` calls with each new token; hands on the text that became certain."""

    def __init__(self, model: InstrumentedModel, on_token: Callable[[str], None]) -> None:
        self._model, self._on_token = model, on_token
        self._ids: list[int] = []
        self._shown, self._prompt = "", True
        self.before: Callable[[], None] = lambda: None

    def put(self, ids: Tensor) -> None:
        if self._prompt:  # the first call brings the prompt
            self._prompt = False
            return
        self.before()
        self._ids += ids.flatten().tolist()
        text = decoded(self._model, self._ids)
        if not self._may_change(text):
            self._show(text)

    def _may_change(self, text: str) -> bool:
        """Whether the next token may change what is there: bytes are read together, and some are
        still to come.
        """
        if text.endswith("\ufffd") or not text.startswith(self._shown):
            return True
        last = self._model.tokenizer.convert_ids_to_tokens(self._ids[-1])
        return isinstance(last, str) and last.startswith("<0x") and last.endswith(">")

    def _show(self, text: str) -> None:
        more, self._shown = text[len(self._shown) :], text
        self._on_token(more)

    def end(self) -> None:
        pass  # `finish` has the whole text

    def finish(self, text: str) -> None:
        """Show what was held back: the text may end inside a character."""
        if text != self._shown:
            self._show(text)
