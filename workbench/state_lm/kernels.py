"""How states are written and read over a whole text: in chunks, within which all tokens are one
triangular system (the UT transform of Yang et al. 2024, "Parallelizing linear transformers with the
delta rule").

    gated delta    S_t = a_t (I - beta_t k_t^T k_t) S_(t-1) + beta_t k_t^T v_t    o_t = q_t S_t
    additive       S_t = S_(t-1) + write_t k_t^T v_t                             o_t = q_t S_t

A token with a = 1 and beta = 0 (write = 0) leaves the state as it is, so the memories that a router
does not choose are exact in the same call.
"""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 64


def l2_normalized(x: Tensor) -> Tensor:
    """Length 1 along the last axis."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def gated_delta_rule(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    g: Tensor,
    beta: Tensor,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Named and shaped as in flash-linear-attention; queries are divided by the root of d_key.

    Args:
        query, key: (batch, pos, head, d_key).
        value: (batch, pos, head, d_value).
        g: logarithm of the decay a, (batch, pos, head).
        beta: write strength, (batch, pos, head).
        initial_state: (batch, head, d_key, d_value); None is zero.

    Returns:
        what is read, (batch, pos, head, d_value), and the last state where it is wanted.
    """
    if use_qk_l2norm_in_kernel:
        query, key = l2_normalized(query), l2_normalized(key)
    query = query * query.shape[-1] ** -0.5
    q, k, v = (x.transpose(1, 2).float() for x in (query, key, value))
    beta, g = (x.transpose(1, 2)[..., None].float() for x in (beta, g))
    state = _start(k, v, initial_state)
    outputs = []
    for first in range(0, q.shape[2], CHUNK):
        cut = slice(first, first + CHUNK)
        kept = g[:, :, cut].cumsum(2)  # logarithm of what is left of the state before the chunk
        between = (kept - kept.transpose(-1, -2)).tril().exp().tril()
        qc, kc, bc = q[:, :, cut], k[:, :, cut], beta[:, :, cut]
        new = bc * (v[:, :, cut] - kept.exp() * (kc @ state))
        erased = bc * (kc @ kc.transpose(-1, -2)) * between
        new = torch.linalg.solve_triangular(erased, new, upper=False, unitriangular=True)
        scores = (qc @ kc.transpose(-1, -2)) * between
        outputs.append(kept.exp() * (qc @ state) + scores @ new)
        last = kept[:, :, -1:]
        state = last.exp() * state + ((last - kept).exp() * kc).transpose(-1, -2) @ new
    return _results(outputs, state if output_final_state else None, value)


def linear_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    write: Tensor,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Sums of outer products; shapes as in `gated_delta_rule`.

    Args:
        write: (batch, pos, head); 0 where a token is not written.
    """
    q, k, v = (x.transpose(1, 2).float() for x in (query, key, value))
    v = v * write.transpose(1, 2)[..., None]
    state = _start(k, v, initial_state)
    outputs = []
    for first in range(0, q.shape[2], CHUNK):
        cut = slice(first, first + CHUNK)
        qc, kc, vc = q[:, :, cut], k[:, :, cut], v[:, :, cut]
        outputs.append(qc @ state + (qc @ kc.transpose(-1, -2)).tril() @ vc)
        state = state + kc.transpose(-1, -2) @ vc
    return _results(outputs, state if output_final_state else None, value)


def _start(k: Tensor, v: Tensor, initial: Tensor | None) -> Tensor:
    """The state before the first token, (batch, head, d_key, d_value)."""
    if initial is not None:
        return initial.float()
    return v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])


def _results(
    outputs: list[Tensor], state: Tensor | None, like: Tensor
) -> tuple[Tensor, Tensor | None]:
    return torch.cat(outputs, 2).transpose(1, 2).to(like.dtype), state
