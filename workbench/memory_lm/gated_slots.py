"""Slots that are read by attention and written behind gates while text is read (relational memory
core, Santoro et al. 2018; LM2, Kang et al. 2025).

What differs from LM2: a slot is written from what it reads of the tokens and not the other way
round, so there may be fewer slots than tokens; tokens compete for slots, so that one update goes
into few of them; the gate in front of the reading is of each head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workbench.memory_lm.slots_config import GatedSlotsConfig


@dataclass(frozen=True)
class SlotReads:
    """What the tokens of a chunk read.

    Attributes:
        query: (batch, pos, head, d_key), divided by the root of d_key.
        key: of every slot, (batch, head, slot, d_key).
        weight: softmax over the slots, (batch, pos, head, slot).
        gate: 0 to 1, (batch, pos, head).
    """

    query: Tensor
    key: Tensor
    weight: Tensor
    gate: Tensor


class SlotCell(nn.Module):
    """The slots, and one chunk of tokens that reads and then writes them.

    Attributes:
        held: what stands in the slots, (batch, slot, d_model); None before a text.
    """

    def __init__(self, config: GatedSlotsConfig) -> None:
        super().__init__()
        d_model, self.heads = config.hidden_size, config.memory_heads
        self.d_key = d_model // self.heads
        self.start_slots = nn.Parameter(torch.empty(config.memory_slots, d_model))
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key = nn.Linear(d_model, d_model, bias=False)
        self.read_gate = nn.Linear(d_model, self.heads)
        self.address = nn.Linear(d_model, d_model, bias=False)
        self.slot_address = nn.Linear(d_model, d_model, bias=False)
        self.content = nn.Linear(d_model, d_model, bias=False)
        self.gates = nn.Linear(2 * d_model, 2 * d_model)
        self.held: Tensor | None = None

    def start(self) -> None:
        """As before training: slots that differ, and a forget gate that keeps what is there."""
        nn.init.normal_(self.start_slots)
        with torch.no_grad():
            self.gates.bias.zero_()
            self.gates.bias[len(self.gates.bias) // 2 :] = 2.0

    def begin(self, rows: int) -> None:
        """A new text: every row of a batch has slots of its own."""
        self.held = self.start_slots.expand(rows, -1, -1)

    def forward(self, x: Tensor) -> Tensor:
        """What the heads read of the slots as they stand, (batch, pos, head × d_model); then x,
        (batch, pos, d_model), is written.
        """
        held = self.start_slots[None] if self.held is None else self.held
        read = self.look_up(x, held)
        brought = read.weight @ held[:, None]  # batch, pos, head, d_model
        self.held = self._written(x, held)
        given: Tensor = (brought * read.gate[..., None]).flatten(2)
        return given

    def look_up(self, x: Tensor, held: Tensor) -> SlotReads:
        """The slots that each token reads."""
        query = self.query(x).unflatten(-1, (self.heads, self.d_key)) * self.d_key**-0.5
        key = self.key(held).unflatten(-1, (self.heads, self.d_key)).transpose(1, 2)
        weight = torch.einsum("bphd,bhsd->bphs", query, key).softmax(-1)
        return SlotReads(query, key, weight, torch.sigmoid(self.read_gate(x)))

    def _written(self, x: Tensor, held: Tensor) -> Tensor:
        """The slots behind these tokens: new = in gate × tanh(content) + forget gate × old, as much
        as the tokens chose the slot.
        """
        score = self.address(x) @ self.slot_address(held).mT * held.shape[-1] ** -0.5
        chosen = score.softmax(-1)  # batch, pos, slot: tokens share themselves out
        content = chosen.mT @ self.content(x)
        into, keep = self.gates(torch.cat([content, held], -1)).chunk(2, -1)
        new = torch.sigmoid(into) * torch.tanh(content) + torch.sigmoid(keep) * held
        much = 1 - (1 - chosen).prod(1)[..., None]  # whether any token chose the slot
        changed: Tensor = held + much * (new - held)
        return changed


class GatedSlots(nn.Module):
    """A text, chunk by chunk: what is read of the slots, through a last matrix."""

    def __init__(self, config: GatedSlotsConfig) -> None:
        super().__init__()
        self.chunk = config.memory_chunk
        self.cell = SlotCell(config)
        self.out = nn.Linear(config.memory_heads * config.hidden_size, config.hidden_size, False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, pos, d_model) to (batch, pos, d_model)."""
        self.cell.begin(len(x))
        read = torch.cat([self.cell(chunk) for chunk in x.split(self.chunk, 1)], 1)
        if self.cell.held is not None:
            self.cell.held = self.cell.held.detach()
        given: Tensor = self.out(read)
        return given
