"""Token by token: what the state of one layer holds, loses and gets, and for how long.

S' = decay ⊙ S_(t−1) is what is left when a token is read, S_t what is held after it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from analyses.state.recurrent_state.constants import TRACES
from hooks.recurrent.scan import states_of

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from torch import Tensor

    from hooks.recurrent.kernel_inputs import KernelInputs

_COMPARED = 512
"""Tokens at most whose keys are compared with each other."""


@dataclass(frozen=True)
class StateLedger:
    """Of one layer and one prompt.

    Attributes:
        traces: by name of `constants.TRACES`, (state_head, pos). `norm` |S_t|; `decay`
            |S_(t−1) − S'|; `erase` |beta k^T (k S')| (delta rules; 0 for others); `write`
            |k^T (beta v)|; `net` |S_t − S'|; `match` cosine of k S' and v; `surprise`
            |v − k S'| / |v| (delta rules, whose states predict values; NaN for others).
        spectra: singular values, (state_head, at, value), largest first.
        half_life: tokens until decay alone has halved what is held: ln 2 over the mean of
            −ln decay, (state_head,); infinite where nothing decays.
        key_overlap: mean |cosine| of two tokens' keys, (state_head,).
        retention: cosine of k_s S_t and v_s: how well what was written at s is read at t with its
            own key, (state_head, stored, pos); None where it was not asked for.
        damage: |k_s (S_t − S')|: how much t writes under the key of s, and on the diagonal what s
            itself writes under its key, (state_head, stored, pos); None where it was not asked for.
    """

    traces: dict[str, Float[Tensor, "state_head pos"]]
    spectra: Float[Tensor, "state_head at value"]
    half_life: Float[Tensor, " state_head"]
    key_overlap: Float[Tensor, " state_head"]
    retention: Tensor | None = None
    damage: Tensor | None = None


def of_layer(inputs: KernelInputs, at: Sequence[int], *, matrices: bool) -> StateLedger:
    """A walk over the tokens of one prompt; no pass of the model.

    Args:
        at: after which tokens singular values are wanted.
        matrices: whether `retention` and `damage` are; they grow with the square of the prompt.
    """
    _, heads, d_key, d_value = inputs.state_shape
    n = inputs.n_tokens
    decay = inputs.log_decay[0].exp()  # (pos, head, row, col)
    k, v, beta = inputs.k[0], inputs.v[0], inputs.beta[0]
    traces = {name: torch.zeros(heads, n) for name in TRACES}
    spectra = torch.zeros(heads, len(at), min(d_key, d_value))
    retention = torch.zeros(heads, n, n) if matrices else None
    wanted = {t: place for place, t in enumerate(at)}
    before = inputs.v.new_zeros(heads, d_key, d_value)
    changed = torch.zeros(n, heads)  # |u_t| where the token adds k_t^T u_t
    is_delta = inputs.rule == "delta"
    for t, (state,) in enumerate(states_of(inputs)):
        left = decay[t] * before
        held = (k[t][:, None] @ left)[:, 0]  # (head, d_value)
        update = beta[t] * (v[t] - held) if is_delta else beta[t] * v[t]
        changed[t] = update.norm(dim=-1).cpu()
        length = k[t].norm(dim=-1)
        now = {
            "norm": state.flatten(1).norm(dim=1),
            "decay": (before - left).flatten(1).norm(dim=1),
            "erase": length * (beta[t] * held).norm(dim=-1) * is_delta,
            "write": length * (beta[t] * v[t]).norm(dim=-1),
            "net": length * update.norm(dim=-1),
            "match": functional.cosine_similarity(held, v[t], dim=-1),
            "surprise": (v[t] - held).norm(dim=-1) / v[t].norm(dim=-1).clamp(min=1e-30)
            if is_delta
            else torch.full((heads,), math.nan),
        }
        for name, value in now.items():
            traces[name][:, t] = value.cpu()
        if t in wanted:
            spectra[:, wanted[t]] = _singular_values(state)
        if retention is not None:
            found = torch.einsum("shk,hkv->hsv", k[: t + 1], state)
            stored = v[: t + 1].transpose(0, 1)
            retention[:, : t + 1, t] = functional.cosine_similarity(found, stored, dim=-1).cpu()
        before = state
    return StateLedger(
        traces,
        spectra,
        _half_life(inputs),
        _overlap(k),
        retention,
        _damage(k, changed) if matrices else None,
    )


def of_states(states: Tensor, decay: Tensor | None, at: Sequence[int]) -> StateLedger:
    """What the states of one prompt say by themselves, where a kernel cannot be read: their length,
    how far each token moves them, singular values, half-life. The rest is NaN.

    Args:
        states: (pos, state_head, row, col), after every token.
        decay: what each token multiplies them by, as the site `state_decay`; None: not known.
    """
    heads = states.shape[1]
    nothing = torch.full((heads, len(states)), math.nan)
    moved = torch.diff(states, dim=0, prepend=torch.zeros_like(states[:1]))
    known = {"norm": states.flatten(2).norm(dim=2).T, "net": moved.flatten(2).norm(dim=2).T}
    lives = torch.full((heads,), math.nan)
    if decay is not None:
        lives = _life(-decay.double().clamp(min=1e-30).log().mean(0).flatten(1))
    return StateLedger(
        {name: known.get(name, nothing) for name in TRACES},
        torch.stack([_singular_values(states[t]) for t in at], 1),
        lives,
        torch.full((heads,), math.nan),
    )


def _overlap(k: Tensor) -> Tensor:
    """Mean |cosine| of two tokens' keys, (state_head,); of long texts evenly spaced tokens."""
    some = k[:: -(-len(k) // _COMPARED)]
    unit = functional.normalize(some.double(), dim=-1).transpose(0, 1)
    n, total = len(some), (unit @ unit.mT).abs().sum((1, 2))
    return ((total - n) / max(1, n * (n - 1))).float().cpu()


def _damage(k: Tensor, changed: Tensor) -> Tensor:
    """(state_head, stored, pos), zero where the writer comes before what is stored."""
    match = torch.einsum("shk,thk->hst", k, k).abs().cpu()
    lengths: Tensor = match * changed.T[:, None]
    return lengths.triu()


def _singular_values(state: Tensor) -> Tensor:
    """(head, value), largest first, from the smaller of the two products of the state."""
    narrow = state.double() if state.shape[1] <= state.shape[2] else state.double().mT
    squared: Tensor = torch.linalg.eigvalsh(narrow @ narrow.mT)
    return squared.flip(-1).clamp(min=0).sqrt().float().cpu()


def _half_life(inputs: KernelInputs) -> Tensor:
    """(state_head,)"""
    return _life(-inputs.log_decay[0].mean(0).flatten(1).double())


def _life(rates: Tensor) -> Tensor:
    """Tokens until half is left, (state_head,); of heads whose rows or columns decay by themselves,
    the median of them.

    Args:
        rates: −ln decay, (state_head, number).
    """
    lives = math.log(2) / rates.clamp(min=0).abs()  # abs: no minus zero
    return lives.median(-1).values.float().cpu()


def effective_rank(spectra: np.ndarray) -> np.ndarray:
    """exp of the entropy of the singular values as shares (Roy and Vetterli 2007); NaN for a state
    of zeros.

    Args:
        spectra: (…, value).
    """
    import numpy as np

    total = spectra.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = spectra / total
        entropy = -np.where(share > 0, share * np.log(share), 0.0).sum(-1)
    return np.where(total[..., 0] > 0, np.exp(entropy), np.nan)
