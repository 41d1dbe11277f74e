"""Small memories that keep what they read last under names: one of each kind that papers describe
and that an adapter is mapped onto in the tests.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class DocumentBank(nn.Module):
    """Soft tokens of every document, over which a question looks (MAC, CMT, QA pairs)."""

    def __init__(self) -> None:
        super().__init__()
        self.bank = nn.Parameter(_drawn(5, 8, seed=0))

    def forward(self, x: Tensor) -> Tensor:
        self.last_weight = (x @ self.bank.T).softmax(-1)
        return self.last_weight @ self.bank


class TwoSpaces(nn.Module):
    """Two banks in orthogonal halves of the space, and a share of the reading for each."""

    def __init__(self) -> None:
        super().__init__()
        own, theirs = torch.zeros(3, 8), torch.zeros(4, 8)
        own[:, :4], theirs[:, 4:] = _drawn(3, 4, seed=0), _drawn(4, 4, seed=1)
        self.own, self.theirs = nn.Parameter(own), nn.Parameter(theirs)
        self.own_key, self.their_key = own.clone(), theirs.clone()

    def forward(self, x: Tensor) -> Tensor:
        share = torch.sigmoid(x[..., :1])
        self.own_weight = share * (x @ self.own_key.T).softmax(-1)
        self.their_weight = (1 - share) * (x @ self.their_key.T).softmax(-1)
        return self.own_weight @ self.own + self.their_weight @ self.theirs


class Codebook(nn.Module):
    """A vector of a token, kept as a code in each of two halves (MEMORY-VQ)."""

    def __init__(self) -> None:
        super().__init__()
        self.codes = nn.Parameter(_drawn(2, 6, 4, seed=0))
        self.centres = self.codes.detach().clone()  # of the encoder, which chooses the codes

    def forward(self, x: Tensor) -> Tensor:
        halves = x.unflatten(-1, (2, 4))
        far = (halves[..., None, :] - self.centres).norm(dim=-1)
        self.last_code = far.argmin(-1, keepdim=True)
        head = torch.arange(2)[:, None]
        return self.codes[head, self.last_code][..., 0, :].flatten(-2)


class PromptOfTurns(nn.Module):
    """Vectors in front of a text, made anew of each turn by an LSTM (MemoryPrompt); tokens look at
    them and at each other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTMCell(8, 8)
        self.to_prompt = nn.Linear(8, 3 * 8)
        for name, parameter in self.named_parameters():
            parameter.data = _drawn(*parameter.shape, seed=len(name))
        self.turn: tuple[Tensor, Tensor] | None = None
        self.prompt = torch.zeros(1, 3, 8)

    def forward(self, x: Tensor) -> Tensor:
        prompt = self.prompt.expand(len(x), -1, -1)
        every = torch.cat([prompt, x], 1)
        seen = torch.ones(x.shape[1], every.shape[1]).tril(prompt.shape[1]).bool()
        weight = (x @ every.mT).masked_fill(~seen, -torch.inf).softmax(-1)
        self.last_weight, self.beside = weight[..., :3], weight[..., 3:] @ x
        self.turn = self.lstm(x.mean(1), self.turn)
        out = self.last_weight @ prompt + self.beside
        self.prompt = self.to_prompt(self.turn[0]).unflatten(-1, (3, 8))
        return out


class AssociativeUnit(nn.Module):
    """Keys and values of all earlier tokens, a query is the key (Memory Mosaics): the key a leaky
    mean, the value a look at the next token, so the last pair is not there yet.
    """

    def forward(self, x: Tensor) -> Tensor:
        mean, keys = torch.zeros_like(x[:, 0]), []
        for token in x.unbind(1):
            mean = 0.5 * mean + token
            keys.append(mean / mean.norm(dim=-1, keepdim=True))
        self.key = torch.stack(keys, 1)
        self.value = torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], 1)
        earlier = torch.ones(x.shape[1], x.shape[1]).tril(-1).bool()
        score = (4 * self.key @ self.key.mT).masked_fill(~earlier, -torch.inf)
        self.weight = score.softmax(-1).nan_to_num(0.0)
        return self.weight @ self.value


class WrittenWords(nn.Module):
    """Words of a table that a model writes into a notebook between its sentences, and reads as it
    reads tokens (symbolic working memory).
    """

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Parameter(_drawn(7, 8, seed=0))
        self.note = torch.zeros(1, 4, 8)
        self.written: list[int] = [0, 0, 0, 0]

    def forward(self, x: Tensor) -> Tensor:
        self.last_weight = (x @ self.note.mT).softmax(-1).expand(len(x), -1, -1)
        out = self.last_weight @ self.note
        word = int((x[0].mean(0) @ self.words.T).argmax())
        self.written = [*self.written[1:], word]
        note = self.note.clone()
        note[:, word % 4] = self.words[word].detach()
        self.note = note
        return out


class ReversibleCompressor(nn.Module):
    """Virtual tokens that a text was turned into by an invertible network; run backwards they give
    the text again (R³Mem).
    """

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Parameter(_drawn(4, 4, seed=0))
        self.texts = _drawn(3, 8, seed=1)
        self.virtual = nn.Parameter(self.compress(self.texts).detach())
        self.key = self.virtual.detach().clone()

    def compress(self, x: Tensor) -> Tensor:
        """An additive coupling."""
        a, b = x.chunk(2, -1)
        b = b + torch.tanh(a @ self.inner)
        return torch.cat([b, a], -1)

    def rebuild(self, y: Tensor) -> Tensor:
        b, a = y.chunk(2, -1)
        return torch.cat([a, b - torch.tanh(a @ self.inner)], -1)

    def forward(self, x: Tensor) -> Tensor:
        self.last_weight = (x @ self.key.T).softmax(-1)
        return self.last_weight @ self.virtual
