"""What a sweep was asked for, checked and in one form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from hooks import sites as places
from hooks.prompts import Prompts, is_single
from hooks.sites import SITES, Place
from workbench.errors import BadInput, NotFound
from workbench.heads import head_name

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import Batch, InstrumentedModel

Kind = Literal["heads", "layers", "neurons", "positions", "edges"]
How = Literal["zero", "mean", "resample", "patch", "noise"]
At = Literal["last", "all"] | Sequence[int]
Align = Literal["start", "end"]
Targets = int | str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]] | Sequence[Sequence[str]]

SITES_OF_KIND: dict[str, tuple[str, ...]] = {
    "heads": ("z",),
    "edges": ("z",),
    "neurons": ("post",),
    "layers": ("resid_pre", "attn_out", "mlp_out"),
    "positions": ("resid_pre",),
}
# Where a changed value reaches everything that would have read it.
_CHANGEABLE = ("resid_pre", "z", "attn_out", "mixer_out", "post", "mlp_out", "resid_post")
HOWS = ("zero", "mean", "resample", "patch", "noise")


@dataclass(frozen=True)
class Cell:
    """One thing that is changed: a site of a layer, one unit (head, neuron) of it or all, one position or those of `at`."""

    site: str
    layer: int
    unit: int | None = None
    position: int | None = None


def target_ids(
    model: InstrumentedModel, targets: Targets | None, prompts: Prompts, count: int, *, whole: bool = False
) -> list[list[int]]:
    """The watched token ids of each prompt; of a text, the token it begins with as a continuation, or all of it (`whole`)."""
    if targets is None:
        return [[] for _ in range(count)]
    each: Any = [targets] if is_single(prompts) else targets
    if isinstance(each, int | str) or len(each) != count:
        n = 1 if isinstance(each, int | str) else len(each)
        raise BadInput(
            f"There are {n} targets for {count} prompts.", "one token, or several, per prompt", "Name them per prompt."
        )
    if whole:
        each = [model.continuation_tokens(row) if isinstance(row, str) else row for row in each]
    rows = [[_token(model, t) for t in ([row] if isinstance(row, int | str) else list(row))] for row in each]
    if len({len(row) for row in rows}) > 1:
        raise BadInput(
            f"The prompts have {sorted({len(row) for row in rows})} targets.",
            "as many for each prompt",
            "Watch as many everywhere.",
        )
    return rows


def _token(model: InstrumentedModel, target: int | str) -> int:
    if isinstance(target, str):
        ids = model.continuation_tokens(target)
        if not ids:
            raise BadInput(f"The target {target!r} has no token.", "some text", "Name a token.")
        return int(ids[0])
    if not 0 <= int(target) < model.card.d_vocab:
        raise BadInput(f"There is no token {target}.", f"0 to {model.card.d_vocab - 1}", "Check the target.")
    return int(target)


def check_name(kind: str, name: object, known: Sequence[str]) -> None:
    if name not in known:
        raise NotFound.named(kind, str(name), known)


def check_heads(model: InstrumentedModel, heads: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The heads as pairs, in order of layers. Raises BadInput for one the model does not have."""
    have = set(model.heads())
    for head in heads:
        if tuple(head) not in have:
            raise BadInput(
                f"{model.card.name} has no head {head_name(*head)}.",
                f"L0H0 to {head_name(model.n_layers - 1, model.n_heads - 1)}",
                "Choose a head in that range.",
            )
    return sorted({(int(layer), int(head)) for layer, head in heads})


def changeable(model: InstrumentedModel, sites: Sequence[str], layers: int | Sequence[int] | None) -> list[Place]:
    """The places of these sites that a sweep can change, in the layers that have them."""
    found: list[Place] = []
    for site in sites:
        short = site.removeprefix("hook_")
        if short in SITES and short not in _CHANGEABLE:
            raise BadInput(f"A sweep does not change {short!r}.", f"one of {', '.join(_CHANGEABLE)}", "Choose one of those.")
        has = model.sites.get(short)
        found += places.resolve(model.layout, short, has if layers is None else layers, model.card.name)
    return found


def positions_changed(batch: Batch, at: At) -> Tensor:
    """True where `at` reaches, (prompt, column of the batch).

    Raises:
        BadInput: a position that a prompt does not have.
    """
    real = batch.attention_mask.bool()
    if isinstance(at, str):
        if at == "all":
            return real
        check_name("choice of positions", at, ["last", "all"])
        found = torch.zeros_like(real)
        found[:, -1] = True
        return found
    found = torch.zeros_like(real)
    width = real.shape[1]
    for row, n in enumerate(batch.lengths):
        for position in at:
            if not -n <= position < n:
                raise BadInput(
                    f"Prompt {row} of a batch has no position {position}: it has {n} tokens.",
                    f"{-n} to {n - 1}",
                    "Choose another.",
                )
            found[row, (width - n if position >= 0 else width) + position] = True
    return found


def text_positions(batch: Batch) -> Tensor:
    """Each column's position in its prompt, negative in the padding, (prompt, column)."""
    width = batch.input_ids.shape[1]
    lengths = batch.attention_mask.sum(1, keepdim=True)
    return torch.arange(width, device=lengths.device)[None] - (width - lengths)
