"""The arguments of a sweep, checked and in one form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from hooks import sites as places
from hooks.metrics import Continuation, LogitDiff, Read
from hooks.prompts import Prompts, is_single
from hooks.sites import SITES, Place
from hooks.targets import distinct
from workbench.errors import BadInput, NotFound
from workbench.heads import head_name

if TYPE_CHECKING:
    from hooks.batch import Batch
    from hooks.model import InstrumentedModel

WhichPositions = Literal["last", "all"] | Sequence[int]
Pairs = Sequence[tuple[int, int]]
Targets = (
    int | str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]] | Sequence[Sequence[str]]
)

# Where a changed value reaches everything that would have read it.
_CHANGEABLE = ("resid_pre", "z", "attn_out", "mixer_out", "post", "mlp_out", "resid_post")


@dataclass(frozen=True)
class Component:
    """One thing that is changed: a site of a layer, one unit (head, neuron) of it or all, at one
    position or at all those that the sweep changes, in one of the ways that the sweep changes it.
    """

    site: str
    layer: int
    unit: int | None = None
    position: int | None = None
    change: int = 0


def target_ids(
    model: InstrumentedModel, targets: Targets | None, prompts: Prompts, count: int, read: Read
) -> list[list[int]]:
    """The watched token ids of each prompt; of a text, the token it begins with as a continuation;
    all of it, if a continuation is read.

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
    rows = [_row(model, given, read) for given in each]
    if len({len(row) for row in rows}) > 1:
        raise BadInput(
            f"The prompts have {sorted({len(row) for row in rows})} targets.",
            "as many for each prompt",
            "Watch as many everywhere.",
        )
    return rows


def _row(model: InstrumentedModel, given: list[Any], read: Read) -> list[int]:
    """The token ids that are watched after one prompt."""
    if isinstance(read, Continuation):
        given = _continuation(model, given)
    ids = [_token(model, target) for target in given]
    # Of ids that are named twice each stands for itself, unless they are compared; texts were
    # meant to differ.
    if isinstance(read, LogitDiff) or (read.per_target and len(set(given)) == len(given)):
        distinct(model, ids, given)
    return ids


def _continuation(model: InstrumentedModel, given: list[Any]) -> list[Any]:
    """All tokens of a text that follows the prompt."""
    if len(given) > 1 and any(isinstance(part, str) for part in given):
        raise BadInput(
            f"A continuation is one text, not {given!r}.",
            "its text, or its token ids",
            "Join the texts.",
        )
    return [
        token
        for part in given
        for token in (model.continuation_tokens(part) if isinstance(part, str) else [part])
    ]


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


def check_name(what: str, name: object, known: Sequence[str]) -> None:
    if name not in known:
        raise NotFound.named(what, str(name), known)


def pairs(given: Any, what: str) -> list[tuple[int, int]]:
    """(layer, number) pairs in order, each once. Raises BadInput for what is none."""
    plain = _plain(given)
    for pair in plain if isinstance(plain, list) else [plain]:
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
    return sorted({(layer, number) for layer, number in plain})


def check_heads(model: InstrumentedModel, heads: Pairs) -> list[tuple[int, int]]:
    """The heads as pairs, in order of layers. Raises BadInput for one the model does not have."""
    existing, named = set(model.heads()), pairs(heads, "head")
    for head in named:
        if head not in existing:
            raise BadInput(
                f"{model.card.name} has no head {head_name(*head)}.",
                f"L0H0 to {head_name(model.n_layers - 1, model.n_heads - 1)}",
                "Choose a head in that range.",
            )
    return named


def check_positions(given: Any) -> WhichPositions:
    """One of the words, or a list of whole numbers. Raises BadInput for anything else."""
    positions = _plain(given)
    if isinstance(positions, str):
        check_name("choice of positions", positions, ["last", "all"])
        return positions  # type: ignore[return-value]
    positions = [positions] if isinstance(positions, int) else positions
    if not isinstance(positions, list) or not positions or not _whole_numbers(positions):
        raise BadInput(
            f"{positions!r} are no positions.",
            "'last', 'all', or whole numbers, e.g. [0, -1]",
            "Choose one of those.",
        )
    return positions


def check_layers(given: Any) -> tuple[int, ...] | None:
    """A list of whole numbers, or None for all. Raises BadInput for anything else."""
    layers = _plain(given)
    layers = [layers] if isinstance(layers, int) else layers
    if layers is not None and (not isinstance(layers, list) or not _whole_numbers(layers)):
        raise BadInput(f"{layers!r} are no layers.", "whole numbers, e.g. [0, -1]", "Choose some.")
    return None if layers is None else tuple(layers)


def _whole_numbers(given: list[Any]) -> bool:
    return all(isinstance(n, int) and not isinstance(n, bool) for n in given)


def check_sites(given: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Names of sites, or None for the usual ones.

    Raises:
        BadInput: no names, or a site that a sweep does not change.
    """
    if given is None:
        return None
    sites = (given,) if isinstance(given, str) else tuple(given)
    if not sites or not all(isinstance(site, str) for site in sites):
        raise BadInput(f"{given!r} are no sites.", "names, e.g. ['attn_out']", "Name some.")
    for site in sites:
        short = site.removeprefix("hook_")
        if short in SITES and short not in _CHANGEABLE:
            raise BadInput(
                f"A sweep does not change {short!r}.",
                f"one of {', '.join(_CHANGEABLE)}",
                "Choose one of those.",
            )
    return sites


def changeable(
    model: InstrumentedModel, sites: Sequence[str], layers: int | Sequence[int] | None
) -> list[Place]:
    """The places of these sites in the layers that have them.

    Raises:
        SiteNotFound, BadInput: see `hooks.sites.resolve`.
    """
    chosen: list[Place] = []
    for site in sites:
        short = site.removeprefix("hook_")
        every = model.sites.get(short)
        chosen += places.resolve(
            model.layout, short, every if layers is None else layers, model.card.name
        )
    return chosen


def positions_changed(batch: Batch, positions: WhichPositions) -> Bool[Tensor, "prompt column"]:
    """True at the positions that are changed, (prompt, column of the batch).

    Raises:
        BadInput: a position that a prompt does not have.
    """
    real = batch.attention_mask.bool()
    if positions == "all":
        return real
    mask = torch.zeros_like(real)
    if isinstance(positions, str):
        mask[:, -1] = True
        return mask
    width = real.shape[1]
    for row, n in enumerate(batch.lengths):
        for position in positions:
            if not -n <= position < n:
                raise BadInput(
                    f"Prompt {row} of a batch has no position {position}: it has {n} tokens.",
                    f"{-n} to {n - 1}",
                    "Choose another.",
                )
            mask[row, (width - n if position >= 0 else width) + position] = True
    return mask


def text_positions(batch: Batch) -> Int[Tensor, "prompt column"]:
    """Each column's position in its prompt, negative in the padding, (prompt, column)."""
    width = batch.input_ids.shape[1]
    lengths = batch.attention_mask.sum(1, keepdim=True)
    return torch.arange(width, device=lengths.device)[None] - (width - lengths)
