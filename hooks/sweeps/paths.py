"""Path patching: what one head's change does through another head's query, key or value alone.

Wang et al. 2022, Goldowsky-Dill et al. 2023, in three runs: (1) the unchanged one; (2) a sender is
changed while all other heads keep their values (MLPs and norms react, or keep theirs too), and what
arrives at the receivers' inputs is read; (3) the unchanged run again with only one receiver's
query, key or value as it was in (2), everything after it free. With the logits as receiver, (2) is
the result.

A receiver is a query head. Under grouped queries a key or value that several of them share is
replaced for that one head only, so in (3) nothing but its output z differs: z is made from (2)
directly, and (3) is a sweep over heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.attention import AttentionCall, add_mask, probabilities, soft_cap
from hooks.layer_replay import RecordedSuffix, read
from hooks.sites import SITES, Place
from hooks.sweeps.batched_forward import BatchedForward, Edit
from hooks.sweeps.over import Receiver
from hooks.sweeps.runner import WALK, SweepJob, edits_of, rows_at_once
from hooks.sweeps.values import BatchValues

if TYPE_CHECKING:
    from hooks.batch import Batch


@dataclass
class PathJob(SweepJob):
    """A job whose components are senders; its effects are (receiver × sender, prompt, target), NaN
    below the receiver.
    """

    receivers: Sequence[Receiver] = ()
    _zs: dict[tuple[Receiver, int], Tensor] = field(default_factory=dict)

    @property
    def _size(self) -> int:
        return len(self.receivers) * len(self.components)

    @property
    def _work(self) -> int:
        pairs = [
            r for r, _, _ in self.receivers for component in self.components if component.layer < r
        ]
        return len(self.ids) * sum(self.model.n_layers - layer for layer in pairs)

    def _position(self, i: int) -> int | None:
        return None

    @torch.no_grad()
    def _one_batch(self, batch: Batch, prompts: list[int], order: Sequence[int]) -> None:
        new = self.new_values(batch, prompts)
        starts = [each.first_column for each in new]
        for start in sorted(set(starts)):
            suffix = self._read(batch, start, order, new, prompts)
            for change in (i for i, first in enumerate(starts) if first == start):
                senders_of = [i for i in order if self.components[i].change == change]
                size = rows_at_once(self.model, suffix)
                for i in range(0, len(senders_of), size):
                    senders = senders_of[i : i + size]
                    for receivers in self._groups(suffix, len(senders)):
                        self._one_group(suffix, new, senders, receivers, prompts)

    def _read(
        self,
        batch: Batch,
        start: int,
        order: Sequence[int],
        new: Sequence[BatchValues],
        prompts: Sequence[int],
    ) -> RecordedSuffix:
        """The recorded run from `start` on, or from the first column on where that is not exact."""
        keep = [
            *self._keep(order),
            *(Place(SITES["z"], layer) for layer in self.model.sites["z"] or []),
        ]
        for first in (0,) if self.whole else (start, 0):
            suffix = read(self.model, batch, first, list(dict.fromkeys(keep)), calls=True)
            self.write_unchanged(suffix, new, prompts)
            unchanged = self._walk(suffix, [_nothing(suffix)], control=True)[0]
            if self._control(unchanged, suffix, prompts):
                break
            self.whole = True
        return suffix

    def _groups(self, suffix: RecordedSuffix, senders: int) -> Iterator[list[Receiver]]:
        batch, n = suffix.shape
        size = max(1, WALK // (4 * senders * batch * n * self.model.d_head))
        ordered = sorted(self.receivers)
        for i in range(0, len(ordered), size):
            yield ordered[i : i + size]

    def _one_group(
        self,
        suffix: RecordedSuffix,
        new: Sequence[BatchValues],
        senders: list[int],
        receivers: list[Receiver],
        prompts: Sequence[int],
    ) -> None:
        """All of `senders`, which are changed in one way, to all of `receivers`: run (2) for the
        senders, then run (3) for each pair.
        """
        edits = edits_of([self.components[i] for i in senders], new, suffix, self.freeze)
        arrived: dict[Receiver, list[Tensor]] = {receiver: [] for receiver in receivers}

        def inspect(layer: int, call: AttentionCall, joined: list[tuple[slice, Edit]]) -> None:
            for rows, edit in joined:
                if edit.layer >= layer:
                    continue
                for receiver in receivers:
                    if receiver[0] == layer:
                        arrived[receiver].append(_received(call, suffix, rows, receiver))

        last = receivers[-1][0]
        # Senders above every receiver of the group reach none of them.
        edits = [edit for edit in edits if edit.layer < last]
        if not edits:
            return
        BatchedForward(
            self.model, suffix, edits, control=False, inspect=inspect, until=last + 1
        ).run()
        mask = new[self.components[senders[0]].change].mask[:, suffix.start :]
        real = suffix.batch.attention_mask[:, suffix.start :].bool()
        # A sender changes nothing before the first position it is changed at.
        where = (real & (mask.cumsum(1) > 0))[None]
        pairs: list[tuple[int, Edit]] = []
        for receiver in receivers:
            if arrived[receiver]:
                z = torch.cat(arrived[receiver])
                first = self.receivers.index(receiver) * len(self.components)
                unit = torch.tensor([receiver[1]], device=z.device)
                pairs += [
                    (first + senders[row], Edit("z", receiver[0], z[row : row + 1], where, unit, 1))
                    for row in range(len(z))
                ]
        size = rows_at_once(self.model, suffix)
        for i in range(0, len(pairs), size):
            chunk = pairs[i : i + size]
            joined = _joined([edit for _, edit in chunk])
            final = self._walk(suffix, joined, control=False)
            self.write(
                self._effects(final, suffix, prompts),
                joined,
                [index for index, _ in chunk],
                suffix.batch,
                prompts,
            )


def _joined(edits: Sequence[Edit]) -> list[Edit]:
    """Edits of single heads as one edit per layer."""
    out = []
    for layer in sorted({edit.layer for edit in edits}):
        of_layer = [edit for edit in edits if edit.layer == layer]
        units = torch.cat([edit.units for edit in of_layer if edit.units is not None])
        out.append(
            Edit(
                "z",
                layer,
                torch.cat([edit.values for edit in of_layer]),
                of_layer[0].where,
                units,
                len(of_layer),
            )
        )
    return out


def _nothing(suffix: RecordedSuffix) -> Edit:
    """An edit of no variant: a walk with it carries the control alone."""
    return Edit(
        "resid_post",
        0,
        suffix.logits.new_zeros(0, 1, 1, 1),
        torch.zeros(0, 1, 1, dtype=torch.bool),
        None,
        0,
    )


def _received(
    call: AttentionCall, suffix: RecordedSuffix, rows: slice, receiver: Receiver
) -> Float[Tensor, "variant prompt pos d_head"]:
    """The receiver's output z with one input as in these rows and the others as recorded,
    (variant, prompt, pos, d_head).
    """
    layer, head, which = receiver
    batch, n = suffix.shape
    base = suffix.calls[layer]
    group = head // (base.query.shape[1] // base.key.shape[1])

    def changed(x: Tensor, index: int) -> Tensor:  # (variant, prompt, pos, d)
        return x.view(-1, batch, *x.shape[1:])[rows, :, index, -n:]

    query, key, value = base.query[:, head], base.key[:, group], base.value[:, group]
    scores = (query @ key.transpose(-1, -2))[None]
    if which == "q":
        scores = changed(call.query, head) @ key.transpose(-1, -2)
    elif which == "k":
        to_changed = query @ changed(call.key, group).transpose(-1, -2)
        scores = torch.cat([scores[..., :-n].expand(len(to_changed), -1, -1, -1), to_changed], -1)
    pattern = _pattern(scores, base, head).to(value.dtype)
    z = pattern @ value
    if which == "v":
        z = z + pattern[..., -n:] @ (changed(call.value, group) - value[:, -n:])
    return z


def _pattern(
    scores: Float[Tensor, "variant prompt query key"], base: AttentionCall, head: int
) -> Float[Tensor, "variant prompt query key"]:
    """Attention probabilities from raw scores of one head, (variant, prompt, query, key)."""
    options = dict(base.options)
    if options.get("s_aux") is not None:
        options["s_aux"] = options["s_aux"][head : head + 1]
    scores = soft_cap(scores.float() * base.scaling, options)
    if base.bias is not None:
        scores = scores + base.bias[:, head].float()
    if base.mask is not None:
        mask = base.mask[:, head if base.mask.shape[1] > 1 else 0]
    else:
        n_query, n_key = scores.shape[-2:]
        last = torch.arange(n_query, device=scores.device)[:, None] + (n_key - n_query)
        mask = torch.arange(n_key, device=scores.device)[None] <= last
    return probabilities(add_mask(scores, mask), options)
