"""Slots that are read by attention and written behind gates while text is read (relational memory
core, Santoro et al. 2018; LM2, Kang et al. 2025).

What differs from LM2: a chunk of tokens chooses the slots that it writes, so there may be fewer
slots than tokens and an update goes into few of them; slots are found at a learned address and not
by what stands in them; the gate in front of the reading is of each head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.memory_lm.slots_config import GatedSlotsConfig


@dataclass(frozen=True)
class SlotReads:
    """What the tokens of a chunk read.

    Attributes:
        query: (batch, pos, head, d_key), as long as the sharpness.
        weight: softmax over the slots, (batch, pos, head, slot).
        gate: 0 to 1, (batch, pos, head).
    """

    query: Tensor
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
        self.address = nn.Linear(d_model, d_model, bias=False)
        self.read_gate = nn.Linear(d_model, self.heads)
        self.slot_address = nn.Parameter(torch.empty(config.memory_slots, d_model))
        self.sharpness = nn.Parameter(torch.full((2,), 8.0))  # of reading and of writing
        self.content = nn.Linear(d_model, d_model, bias=False)
        self.gates = nn.Linear(2 * d_model, 2 * d_model)
        self.held: Tensor | None = None

    def start(self) -> None:
        """As before training: slots that differ a little, matrices that keep the length of what
        they are given (what is written is lost beside what is there where they are small), and a
        forget gate that is nearly open.
        """
        for part in (self.address, self.content):
            nn.init.normal_(part.weight, std=part.in_features**-0.5)
        nn.init.normal_(self.start_slots, std=0.2)
        nn.init.normal_(self.slot_address)
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
        read = self.look_up(x)
        brought = read.weight @ held[:, None]  # batch, pos, head, d_model
        self.held = self._written(x, held)
        given: Tensor = (brought * read.gate[..., None]).flatten(2)
        return given

    def look_up(self, x: Tensor) -> SlotReads:
        """The slots that each token reads."""
        query = self.address(x).unflatten(-1, (self.heads, self.d_key))
        query = functional.normalize(query, dim=-1) * self.sharpness[0]
        weight = torch.einsum("bphd,hsd->bphs", query, self.keys()).softmax(-1)
        return SlotReads(query, weight, torch.sigmoid(self.read_gate(x)))

    def keys(self) -> Tensor:
        """Of every slot and head, of unit length, (head, slot, d_key)."""
        key = self.slot_address.unflatten(-1, (self.heads, self.d_key)).transpose(0, 1)
        return functional.normalize(key, dim=-1)

    def chosen(self, first: Tensor) -> Tensor:
        """How much of a write goes into each slot, (…, slot), from the first token of a chunk, (…,
        d_model).
        """
        toward = functional.normalize(self.address(first), dim=-1)
        score = toward @ functional.normalize(self.slot_address, dim=-1).T * self.sharpness[1]
        return score.softmax(-1)

    def _written(self, x: Tensor, held: Tensor) -> Tensor:
        """The slots behind these tokens, which write together where the first of them points: new =
        in gate × tanh(content) + forget gate × old, as much as it chose the slot.
        """
        chosen = self.chosen(x[:, 0])[..., None]
        content = self.content(x).mean(1, keepdim=True).expand_as(held)
        into, keep = self.gates(torch.cat([content, held], -1)).chunk(2, -1)
        new = torch.sigmoid(into) * torch.tanh(content) + torch.sigmoid(keep) * held
        changed: Tensor = held + chosen * (new - held)
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
