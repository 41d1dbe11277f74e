"""What a sweep was asked for, checked and in one form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from hooks import sites as places
from hooks.prompts import Prompts, is_single
from hooks.sites import SITES, Place
from hooks.targets import distinct
from workbench.errors import BadInput, NotFound
from workbench.heads import head_name

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.batch import Batch
    from hooks.model import InstrumentedModel

Kind = Literal["heads", "layers", "neurons", "positions", "edges"]
How = Literal["zero", "mean", "resample", "patch", "noise"]
At = Literal["last", "all"] | Sequence[int]
Align = Literal["start", "end"]
Targets = (
    int | str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]] | Sequence[Sequence[str]]
)

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
class Target:
    """One thing that is changed: a site of a layer, one unit (head, neuron) of it or all, one
    position or those of `at`.
    """

    site: str
    layer: int
    unit: int | None = None
    position: int | None = None


def target_ids(
    model: InstrumentedModel, targets: Targets | None, prompts: Prompts, count: int, metric: object
) -> list[list[int]]:
    """The watched token ids of each prompt; of a text, the token it begins with as a continuation;
    all of it, if the metric is "continuation".

    Raises:
        BadInput: not as many for each prompt, no tokens, or several that are one and the same token
            where they are compared.
    """
    if targets is None:
        return [[] for _ in range(count)]
    each = _per_prompt(_plain(targets), single=is_single(prompts))
    if len(each) != count:
        raise BadInput(
            f"There are {len(each)} targets for {count} prompts.",
            "one token, or several, per prompt",
            "Name them per prompt.",
        )
    rows = []
    for said in each:
        if metric == "continuation":
            if len(said) > 1 and any(isinstance(t, str) for t in said):
                raise BadInput(
                    f"A continuation is one text, not {said!r}.",
                    "its text, or its token ids",
                    "Join the texts.",
                )
            said = [
                i
                for t in said
                for i in (model.continuation_tokens(t) if isinstance(t, str) else [t])
            ]
        ids = [_token(model, target) for target in said]
        # Of ids that are named twice each stands for itself, unless they are compared; texts were
        # meant to differ.
        if metric == "logit_diff" or (
            metric in ("logit", "logprob", "prob") and len(set(said)) == len(said)
        ):
            distinct(model, ids, said)
        rows.append(ids)
    if len({len(row) for row in rows}) > 1:
        raise BadInput(
            f"The prompts have {sorted({len(row) for row in rows})} targets.",
            "as many for each prompt",
            "Watch as many everywhere.",
        )
    return rows


def _plain(given: Any) -> Any:
    """Tensors and arrays as the numbers and lists that they hold."""
    if isinstance(given, str | int):
        return given
    if hasattr(given, "tolist"):
        return given.tolist()
    return [_plain(part) for part in given] if isinstance(given, Sequence) else given


def _per_prompt(targets: Any, *, single: bool) -> list[list[Any]]:
    """The targets of each prompt as a list.

    Those of a single text may be given bare, or as the only row of a list.
    """
    rows = isinstance(targets, list) and len(targets) == 1 and isinstance(targets[0], list)
    if not isinstance(targets, list) or (single and not rows):
        targets = [targets]
    return [row if isinstance(row, list) else [row] for row in targets]


def _token(model: InstrumentedModel, target: Any) -> int:
    if isinstance(target, str):
        ids = model.continuation_tokens(target)
        if not ids:
            raise BadInput(f"The target {target!r} has no token.", "some text", "Name a token.")
        return int(ids[0])
    if not isinstance(target, int) or isinstance(target, bool):
        raise BadInput(
            f"The target {target!r} is no token.",
            "a token id, or a text",
            "Name the targets of each prompt in a list.",
        )
    if not 0 <= target < model.card.d_vocab:
        raise BadInput(
            f"There is no token {target}.", f"0 to {model.card.d_vocab - 1}", "Check the target."
        )
    return target


def check_name(kind: str, name: object, known: Sequence[str]) -> None:
    if name not in known:
        raise NotFound.named(kind, str(name), known)


def pairs(given: Any, what: str) -> list[tuple[int, int]]:
    """(layer, number) pairs in order, each once. Raises BadInput for what is none."""
    found = _plain(given)
    for pair in found if isinstance(found, list) else [found]:
        if (
            not isinstance(pair, list)
            or len(pair) != 2
            or not all(isinstance(n, int) for n in pair)
        ):
            raise BadInput(
                f"{pair!r} is no {what}.",
                f"a list of (layer, {what})",
                f"For example [(0, 1)] for one {what}.",
            )
    return sorted({(layer, number) for layer, number in found})


def check_heads(
    model: InstrumentedModel, heads: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """The heads as pairs, in order of layers. Raises BadInput for one the model does not have."""
    have, named = set(model.heads()), pairs(heads, "head")
    for head in named:
        if head not in have:
            raise BadInput(
                f"{model.card.name} has no head {head_name(*head)}.",
                f"L0H0 to {head_name(model.n_layers - 1, model.n_heads - 1)}",
                "Choose a head in that range.",
            )
    return named


def check_positions(at: Any) -> At:
    """`at` as one of its words or a list of whole numbers. Raises BadInput for anything else."""
    at = _plain(at)
    if isinstance(at, str):
        check_name("choice of positions", at, ["last", "all"])
        return at  # type: ignore[return-value]
    at = [at] if isinstance(at, int) else at
    if not isinstance(at, list) or not at or not all(isinstance(p, int) for p in at):
        raise BadInput(
            f"{at!r} are no positions.",
            "'last', 'all', or whole numbers, e.g. [0, -1]",
            "Choose one of those.",
        )
    return at


def changeable(
    model: InstrumentedModel, sites: Sequence[str], layers: int | Sequence[int] | None
) -> list[Place]:
    """The places of these sites that a sweep can change, in the layers that have them."""
    found: list[Place] = []
    for site in sites:
        short = site.removeprefix("hook_")
        if short in SITES and short not in _CHANGEABLE:
            raise BadInput(
                f"A sweep does not change {short!r}.",
                f"one of {', '.join(_CHANGEABLE)}",
                "Choose one of those.",
            )
        has = model.sites.get(short)
        found += places.resolve(
            model.layout, short, has if layers is None else layers, model.card.name
        )
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
