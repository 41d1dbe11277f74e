"""Which arguments of which kernel mean what: each function reads the arguments of one call into
`KernelInputs`, and knows how the outcome is put together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hooks.recurrent.kernel_inputs import KernelInputs


@dataclass(frozen=True)
class KernelCall:
    """One call of a kernel.

    Attributes:
        inputs: what it is given.
        outputs: its outcome as (what it gives, (batch, pos, state_head, d_value); the last state,
            (batch, state_head, d_key, d_value), None where it gives none).
        tail: what it makes of read-outs o, (batch, pos, state_head, d_value), before it gives them:
            a skip connection, a gate.
        result: its outcome from read-outs and a last state, as the layer wants it.
        head: the number of its first head in the layer.
    """

    inputs: KernelInputs
    outputs: Callable[[Any], tuple[Tensor, Tensor | None]]
    tail: Callable[[Tensor], Tensor]
    result: Callable[[Tensor, Tensor], Any]
    head: int = 0

    def from_head(self, head: int) -> KernelCall:
        return replace(self, head=head)


def _time_step(dt: Tensor, bias: Tensor | None, softplus: bool) -> Tensor:
    dt = dt.float() if bias is None else dt.float() + bias.float()
    return functional.softplus(dt) if softplus else dt


def _mamba(
    x: Tensor, dt: Tensor, given: dict[str, Any], *, columns: tuple[Tensor, Tensor, Tensor | None]
) -> tuple[KernelInputs, Callable[[Tensor], Tensor]]:
    """Mamba's inputs and tail from (batch, pos, channel) x and time steps.

    Args:
        columns: B and C, (batch, pos, d_state), and the gate z, (batch, pos, channel).
    """
    key, query, gate = (None if c is None else c.float() for c in columns)
    skip = given["D"]

    def tail(o: Tensor) -> Tensor:
        if skip is not None:
            o = o + (x.float() * skip.float())[:, :, None]
        return o if gate is None else o * functional.silu(gate)[:, :, None]

    assert key is not None
    assert query is not None
    inputs = KernelInputs(
        q=query[:, :, None],
        k=key[:, :, None],
        v=x.float()[:, :, None],
        beta=dt[:, :, None],
        step=dt[:, :, None, None],
        rate=given["A"].float().T[None],
        values_first=True,
    )
    return inputs, tail


def mamba_scan(given: dict[str, Any]) -> KernelCall:
    """Mamba's scan over a whole text: everything is (batch, channel or d_state, pos)."""
    x, gate = given["hidden_states"], given["z"]
    bias = given["delta_bias"]
    dt = _time_step(
        given["dt"], None if bias is None else bias[:, None], bool(given["delta_softplus"])
    )
    columns = (given["B"].mT, given["C"].mT, None if gate is None else gate.mT)
    inputs, tail = _mamba(x.mT, dt.mT, given, columns=columns)

    def outputs(outcome: Any) -> tuple[Tensor, Tensor | None]:
        y, last = outcome if isinstance(outcome, tuple) else (outcome, None)
        return y.mT[:, :, None], None if last is None else last.mT[:, None]

    def result(o: Tensor, last: Tensor) -> Any:
        y = tail(o)[:, :, 0].mT.to(x.dtype)
        return (y, last[:, 0].mT) if given["return_last_state"] else y

    return KernelCall(inputs, outputs, tail, result)


def mamba_step(given: dict[str, Any]) -> KernelCall:
    """The step of one token of Mamba and Mamba-2: it writes the new state into the old."""
    if given["A"].dim() == 3:
        return _mamba2_step(given)
    x, gate = given["hidden_states"], given["z"]
    dt = _time_step(given["dt"], given["dt_bias"], bool(given["dt_softplus"]))
    columns = (given["B"][:, None], given["C"][:, None], None if gate is None else gate[:, None])
    inputs, tail = _mamba(x[:, None], dt[:, None], given, columns=columns)
    before = given["state"]
    inputs = replace(inputs, initial=before.float().mT[:, None].clone())

    def result(o: Tensor, last: Tensor) -> Any:
        before.copy_(last[:, 0].mT)
        return tail(o)[:, 0, 0].to(x.dtype)

    return KernelCall(inputs, lambda y: (y[:, None, None], before.mT[:, None]), tail, result)


def _mamba2(x: Tensor, dt: Tensor, decay: Tensor, key: Tensor, query: Tensor) -> KernelInputs:
    """Mamba-2's inputs from x (batch, pos, head, channel), time steps (batch, pos, head), A (head)
    and B and C (batch, pos, group, d_state).
    """
    each = x.shape[2] // key.shape[2]
    key, query = (part.float().repeat_interleave(each, 2) for part in (key, query))
    return KernelInputs(
        q=query,
        k=key,
        v=x.float(),
        beta=dt[..., None],
        step=dt[..., None, None],
        rate=decay.float()[:, None, None],
        values_first=True,
    )


def mamba2_chunks(given: dict[str, Any]) -> KernelCall:
    """Mamba-2's scan over a whole text."""
    x, skip, before = given["hidden_states"], given["D"], given["initial_states"]
    dt = _time_step(given["dt"], given["dt_bias"], bool(given["dt_softplus"]))
    dt = dt.clamp(*given["dt_limit"])
    inputs = _mamba2(x, dt, given["A"], given["B"], given["C"])
    inputs = replace(inputs, initial=None if before is None else before.float().mT)

    def tail(o: Tensor) -> Tensor:
        return o if skip is None else o + x.float() * skip.float()[:, None]

    def outputs(outcome: Any) -> tuple[Tensor, Tensor | None]:
        y, last = outcome if isinstance(outcome, tuple) else (outcome, None)
        return y, None if last is None else last.mT

    def result(o: Tensor, last: Tensor) -> Any:
        return (tail(o), last.mT.contiguous()) if given["return_final_states"] else tail(o)

    return KernelCall(inputs, outputs, tail, result)


def _mamba2_step(given: dict[str, Any]) -> KernelCall:
    x, skip, before = given["hidden_states"], given["D"], given["state"]
    bias = given["dt_bias"]
    dt = _time_step(
        given["dt"][..., 0], None if bias is None else bias[..., 0], bool(given["dt_softplus"])
    )
    inputs = _mamba2(
        x[:, None], dt[:, None], given["A"][:, 0, 0], given["B"][:, None], given["C"][:, None]
    )
    inputs = replace(inputs, initial=before.float().mT.clone())

    def tail(o: Tensor) -> Tensor:
        return o if skip is None else o + (x.float() * skip.float())[:, None]

    def result(o: Tensor, last: Tensor) -> Any:
        before.copy_(last.mT)
        return tail(o)[:, 0].to(x.dtype)

    return KernelCall(inputs, lambda y: (y[:, None], before.mT), tail, result)


def delta_rule(given: dict[str, Any]) -> KernelCall:
    """Gated delta rules, with a decay per head or (Kimi's) per key."""
    query, key, value, g, beta = (given[n] for n in ("query", "key", "value", "g", "beta"))
    each, dtype, before = value.shape[2] // key.shape[2], query.dtype, given["initial_state"]
    query, key = (part.float().repeat_interleave(each, 2) for part in (query, key))
    if given["use_qk_l2norm_in_kernel"]:
        query, key = (x * torch.rsqrt(x.square().sum(-1, True) + 1e-6) for x in (query, key))
    inputs = KernelInputs(
        q=query * query.shape[-1] ** -0.5,
        k=key,
        v=value.float(),
        beta=beta.float()[..., None],
        step=(g[..., None] if g.dim() == 4 else g[..., None, None]).float(),
        rate=torch.ones(1, 1, 1, device=g.device),
        rule="delta",
        initial=None if before is None else before.float(),
    )

    def result(o: Tensor, last: Tensor) -> Any:
        return o.to(dtype), last if given["output_final_state"] else None

    return KernelCall(inputs, lambda outcome: outcome, lambda o: o, result)


def linear_rule(given: dict[str, Any]) -> KernelCall:
    """Linear attention without decay: outer products are added up."""
    value, before = given["value"], given["initial_state"]
    ones = torch.ones(*value.shape[:3], 1, 1, device=value.device)
    inputs = KernelInputs(
        q=given["query"].float(),
        k=given["key"].float(),
        v=value.float(),
        beta=given["write"].float()[..., None],
        step=torch.zeros_like(ones),
        rate=ones[0, 0],
        initial=None if before is None else before.float(),
    )

    def result(o: Tensor, last: Tensor) -> Any:
        return o.to(value.dtype), last if given["output_final_state"] else None

    return KernelCall(inputs, lambda outcome: outcome, lambda o: o, result)


def diagonal(given: dict[str, Any]) -> KernelCall:
    """S4D: every channel is a head with a state of d_state × 1, written to and read the same way at
    every token.
    """
    signal, before = given["signal"], given["initial_state"]
    ones = torch.ones(*signal.shape, 1, device=signal.device)
    inputs = KernelInputs(
        q=given["read"].float().expand(*signal.shape, -1),
        k=given["write"].float().expand(*signal.shape, -1),
        v=signal.float()[..., None],
        beta=ones,
        step=ones[..., None],
        rate=given["log_decay"].float()[..., None],
        initial=None if before is None else before.float(),
    )

    def outputs(outcome: Any) -> tuple[Tensor, Tensor | None]:
        return outcome[0][..., None], outcome[1]

    def result(o: Tensor, last: Tensor) -> Any:
        return o[..., 0].to(signal.dtype), last if given["output_final_state"] else None

    return KernelCall(inputs, outputs, lambda o: o, result)


def rg_lru(given: dict[str, Any]) -> KernelCall:
    """RG-LRU: a number per channel; what is written is the gated input."""
    x, before = given["hidden_states"], given["recurrent_states"]
    decay = given["recurrent_gate"].float() * (~given["reset"]).float()
    ones = torch.ones(*x.shape[:2], 1, 1, device=x.device)
    inputs = KernelInputs(
        q=ones,
        k=ones,
        v=x.float()[:, :, None],
        beta=ones,
        step=decay.log()[:, :, None, None],
        rate=ones[:1, 0],
        values_first=True,
        initial=None if before is None else before.float()[:, None, None],
    )

    def outputs(outcome: Any) -> tuple[Tensor, Tensor | None]:
        return outcome[0][:, :, None], outcome[1][:, None, None]

    def result(o: Tensor, last: Tensor) -> Any:
        return o[:, :, 0].to(x.dtype), last[:, 0, 0]

    return KernelCall(inputs, outputs, lambda o: o, result)


def _running_maximum(log_decay: Tensor, log_write: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """m_t = max(log_decay_t + m_(t-1), log_write_t), by which states are kept from overflowing, and
    the logarithm of what a token multiplies the state by then; all (batch, pos, …).
    """
    maxima, decays = [], []
    for decay, write in zip(log_decay.unbind(1), log_write.unbind(1), strict=True):
        after = torch.maximum(decay + before, write)
        decays.append(decay + before - after)
        maxima.append(after)
        before = after
    return torch.stack(maxima, 1), torch.stack(decays, 1)


def mlstm(given: dict[str, Any], eps: float) -> KernelCall:
    """xLSTM's matrix memory: exponential gates, states divided by exp of their running maximum."""
    q, k, v, write, forget = (
        given[name].float().transpose(1, 2) for name in ("query", "key", "value", "igate", "fgate")
    )
    before, maximum = given["c_initial"], given["m_initial"]
    m, log_decay = _running_maximum(
        functional.logsigmoid(forget),
        write,
        write.new_zeros(write[:, 0].shape) if maximum is None else maximum.float().flatten(1),
    )
    inputs = KernelInputs(
        q=q * q.shape[-1] ** -0.5,
        k=k,
        v=v,
        beta=(write - m).exp()[..., None],
        step=log_decay[..., None, None],
        rate=torch.ones(1, 1, 1, device=q.device),
        initial=None if before is None else before.float(),
        floor=(-m).exp(),
        eps=eps,
    )

    def outputs(outcome: Any) -> tuple[Tensor, Tensor | None]:
        h, last = outcome if isinstance(outcome, tuple) else (outcome, None)
        return h.transpose(1, 2), None if last is None else last[0]

    return KernelCall(inputs, outputs, lambda o: o, _no_result)


def rwkv(given: dict[str, Any]) -> KernelCall:
    """RWKV-4: a weighted mean of past values per channel."""
    key, value, before = given["key"].float(), given["value"].float(), given["state"]
    slope = given["time_decay"].float().exp()
    start = key.new_full(key[:, 0].shape, -1e38) if before is None else before[2].float()
    m, log_decay = _running_maximum((-slope).expand_as(key), key, start)
    ones = torch.ones(*key.shape[:2], 1, 1, device=key.device)
    inputs = KernelInputs(
        q=ones,
        k=ones,
        v=value[:, :, None],
        beta=(key - m).exp()[:, :, None],
        step=log_decay[:, :, None, None],
        rate=ones[:1, 0],
        values_first=True,
        log_write=key[:, :, None],
        bonus=given["time_first"].float(),
        slope=slope,
    )
    return KernelCall(
        inputs, lambda outcome: (outcome[0][:, :, None], None), lambda o: o, _no_result
    )


def _no_result(o: Tensor, last: Tensor) -> Any:
    raise NotImplementedError  # their states are refused before: see hooks.state_changes


def lightning(mixer: Any, layer: int, given: dict[str, Any]) -> KernelCall:
    """MiniMax's lightning attention: a constant decay per head, nothing between 0 and 1 to write
    by.
    """
    projected = mixer.act_fn(given["projected"])
    mask = given.get("attention_mask")
    if mask is not None and mask.dim() == 2 and mask.shape[1] > 1:
        projected = projected * mask[..., None].to(projected.dtype)
    batch, n, _ = projected.shape
    heads = mixer.num_attention_heads
    q, k, v = projected.float().view(batch, n, heads, -1).chunk(3, -1)
    cache = given.get("past_key_values")
    before = None if cache is None else cache.get_linear_cache(layer)
    ones = torch.ones(batch, n, heads, 1, device=q.device)
    inputs = KernelInputs(
        q=q,
        k=k,
        v=v,
        beta=ones,
        step=ones[..., None],
        rate=-mixer.slope_rate.float().view(heads, 1, 1),
        initial=None if before is None else before.float(),
    )

    def outputs(outcome: Any) -> tuple[Tensor, Tensor | None]:
        return outcome.view(batch, n, heads, -1), None

    def result(o: Tensor, last: Tensor) -> Any:
        return o.flatten(2).to(projected.dtype), last.to(projected.dtype)

    return KernelCall(inputs, outputs, lambda o: o, result)


FILE_KERNELS: tuple[tuple[frozenset[str], Callable[[dict[str, Any]], KernelCall]], ...] = (
    (frozenset({"hidden_states", "dt", "A", "B", "C", "delta_softplus"}), mamba_scan),
    (frozenset({"state", "dt", "A", "B", "C", "dt_softplus"}), mamba_step),
    (frozenset({"hidden_states", "dt", "A", "B", "C", "chunk_size"}), mamba2_chunks),
    (frozenset({"query", "key", "value", "g", "beta"}), delta_rule),
    (frozenset({"query", "key", "value", "write"}), linear_rule),
    (frozenset({"signal", "log_decay", "write", "read"}), diagonal),
    (frozenset({"time_decay", "time_first", "key", "value"}), rwkv),
)
"""Arguments by which a kernel is known that stands as a function in a family's file."""
