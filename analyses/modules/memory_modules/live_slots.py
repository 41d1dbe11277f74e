"""Facts that somebody types: which slots their answers read, and what is said with some masked."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from analyses.modules.memory_modules.fact_slots import Memories, size_at_last
from analyses.modules.memory_modules.parts import writes_stream
from analyses.modules.memory_modules.questions import MemoryQuestion, as_question
from hooks.logit_attribution import unembed_direction
from hooks.memory_modules import all_masked, recorded
from workbench.errors import BadInput
from workbench.organisms.modules import module_record
from workbench.slots_form import LotAnswers, ReadSlot, SlotAnswer, SlotQuestion
from workbench.torch_modes import ordinary
from workbench.wording import counted

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

MOST, SHOWN = 12, 16
"""Questions that are asked at once, and slots of each that are shown."""
_APART = 10**9
"""Between the numbers of the slots of two memories: of some it is not known how many there are."""
_BETWEEN = re.compile(r"\s*(?:→|->|\||\t)\s*")
_PROMOTED = 3


class LiveSlots:
    """Questions that were asked of a model; an `AskedSlots`.

    Raises:
        BadInput: no question, too many, or one that the model cannot be asked.
    """

    def __init__(self, model: InstrumentedModel, text: str) -> None:
        self._model = model
        self._memories = Memories.of(model)
        self._rows = _questions(model, text)
        self.before = self._answers(())

    @property
    def about(self) -> str:
        """What the memories are."""
        memories, name = self._memories, self._model.card.name
        if memories.stand_in:
            return (
                f"{name} has no memory module: the {memories.total:,} neurons of its feed-forward"
                " layers stand in for slots. Every answer reads all of them a little; shown are the"
                f" {SHOWN} that write most."
            )
        if memories.places[0].slots().space == "token position":
            return f"{name} has a {memories.kind}: the tokens of each text are its slots."
        if memories.places[0].adapter.is_written:
            return (
                f"{name} has {memories.total} {memories.kind}, which are written while text is"
                " read: what stands in them is of each line alone."
            )
        return f"{name} has a {memories.kind} of {counted(memories.total, memories.unit)}."

    @cached_property
    @ordinary
    @torch.no_grad()
    def _all_read(self) -> tuple[list[list[tuple[int, float]]], set[int]]:
        """Of each question number and share of the slots it reads most, the most first; and every
        slot that any of them reads at all.
        """
        found, every = [], set[int]()
        for row in self._rows:
            with recorded(self._memories.places) as calls:
                self._model.next_logits([list(row.ids)])
            last = {id(call.place): call for call in calls}
            sized: list[tuple[int, float]] = []
            total = 0.0
            for n, place in enumerate(self._memories.places):
                if id(place) not in last:
                    continue
                size = size_at_last(last[id(place)], 1)[0]
                total += float(size.sum())
                every.update((n * _APART + size.nonzero()[0]).tolist())
                best = torch.from_numpy(size).topk(min(SHOWN, len(size)))
                pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
                sized += [(n * _APART + slot, much) for slot, much in pairs if much > 0]
            sized.sort(key=lambda pair: -pair[1])
            found.append([(number, much / (total or 1.0)) for number, much in sized[:SHOWN]])
        return found, every

    @property
    def _read(self) -> list[list[tuple[int, float]]]:
        return self._all_read[0]

    @cached_property
    def questions(self) -> Sequence[SlotQuestion]:
        """With the slots that each reads."""
        every = sorted({number for read in self._read for number, _ in read})
        promotes = self._promoted(every)
        readers = {n: sum(n == number for read in self._read for number, _ in read) for n in every}
        return [
            SlotQuestion(
                row.prompt,
                row.answer,
                [
                    ReadSlot(n, self._name(n, row), share, promotes.get(n, ""), readers[n])
                    for n, share in read
                ],
            )
            for row, read in zip(self._rows, self._read, strict=True)
        ]

    def _name(self, number: int, row: MemoryQuestion) -> str:
        """Short: the number in the only memory, or layer and number."""
        place_number, slot = divmod(number, _APART)
        place = self._memories.places[place_number]
        if place.slots().space == "token position":
            words = self._model.prompt_strings(list(row.ids))
            return f"{slot} {words[slot].strip()}" if slot < len(words) else str(slot)
        if len(self._memories.places) == 1:
            return str(slot)
        return f"{slot}" if place.layer is None else f"L{place.layer}·{slot}"

    def _promoted(self, numbers: Sequence[int]) -> dict[int, str]:
        places = self._memories.places
        if not all(writes_stream(self._model, place) for place in places):
            return {}
        found = {}
        for n, place in enumerate(places):
            mine = [number for number in numbers if number // _APART == n]
            value = place.slots().value
            if not mine or value is None:
                continue
            logits = unembed_direction(self._model, value[[number % _APART for number in mine]])
            best = logits.float().topk(_PROMOTED, -1).indices.tolist()
            for number, ids in zip(mine, best, strict=True):
                found[number] = ", ".join(word.strip() for word in self._model.token_strings(ids))
        return found

    def masked(self, slots: Sequence[int]) -> Sequence[SlotAnswer]:
        """With these slots bringing nothing."""
        known = {number for read in self._read for number, _ in read}
        if wrong := [number for number in slots if number not in known]:
            raise BadInput(
                f"None of these questions reads slot {wrong[0] % _APART}.",
                "a slot that is shown",
                "Ask again, and choose one.",
            )
        return self._answers(slots)

    def at_random(self, slots: Sequence[int]) -> LotAnswers:
        """With as many others masked by lot."""
        chosen = set(slots)
        free = sorted({n for read in self._read for n, _ in read} - chosen)
        if len(free) < len(chosen):
            free = sorted(self._all_read[1] - chosen)
        are_read = len(free) >= len(chosen)
        if not are_read:
            counts = [place.slots().count for place in self._memories.places]
            free = [
                n * _APART + slot
                for n, count in enumerate(counts)
                for slot in range(count)
                if n * _APART + slot not in self._all_read[1] | chosen
            ]
        lot = random.Random(len(chosen) + sum(chosen))
        answers = self._answers(lot.sample(free, min(len(chosen), len(free))))
        return LotAnswers(answers, are_read)

    @ordinary
    @torch.no_grad()
    def _answers(self, slots: Sequence[int]) -> list[SlotAnswer]:
        by_memory: list[list[int]] = [[] for _ in self._memories.places]
        for number in slots:
            by_memory[number // _APART].append(number % _APART)
        found: list[SlotAnswer] = []
        with all_masked(self._memories.places, by_memory):
            each = self._next()
        for n, p in enumerate(each):
            row, said = self._rows[n], int(p.argmax())
            if row.target < 0:  # no answer was typed: what it says at first is one
                self._rows[n] = row = replace(row, target=said)
            word = self._model.token_strings([said])[0].strip()
            found.append(SlotAnswer(word, float(p[said]), float(p[row.target]), said == row.target))
        return found

    def _next(self) -> list[torch.Tensor]:
        """Probabilities of the next token of each question, (d_vocab,). Those of one length share
        a batch: what fills a shorter one up would be written into a memory.
        """
        found: dict[int, torch.Tensor] = {}
        by_length: dict[int, list[int]] = {}
        for n, row in enumerate(self._rows):
            by_length.setdefault(len(row.ids), []).append(n)
        for some in by_length.values():
            rows = [list(self._rows[n].ids) for n in some]
            logits = self._model.next_logits(rows, batch_size=len(rows))
            found |= dict(zip(some, logits.float().softmax(-1), strict=True))
        return [found[n] for n in range(len(self._rows))]


def _questions(model: InstrumentedModel, text: str) -> list[MemoryQuestion]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not 1 <= len(lines) <= MOST:
        raise BadInput(
            f"There are {len(lines)} lines.",
            f"1 to {MOST} facts, each in a line of its own",
            "Type facts, for example “The capital of Peru is → Lima”.",
        )
    return [_question(model, line) for line in lines]


def _question(model: InstrumentedModel, line: str) -> MemoryQuestion:
    prompt, *answers = _BETWEEN.split(line)
    if not prompt or len(answers) > 1 or (answers and not answers[0]):
        raise BadInput(
            f"“{line}” is no fact.",
            "what the model reads, an arrow, and its answer; or what it reads alone",
            "Write it as “The capital of Peru is → Lima”.",
        )
    answer = answers[0] if answers else ""
    unknown = getattr(model.tokenizer, "unk_token_id", None)
    for words in filter(None, (prompt, answer)):
        if (
            unknown is not None
            and unknown in model.tokens(words)
            and not _has_unknown(model, words)
        ):
            raise BadInput(
                f"{model.card.name} does not know every word of “{words}”.",
                "words of its vocabulary",
                "Take words from the lines in grey.",
            )
    if answer:
        return as_question(model, "", prompt, prompt, answer)
    return MemoryQuestion("", prompt, prompt, "", tuple(model.tokens(prompt)), -1)


def _has_unknown(model: InstrumentedModel, words: str) -> bool:
    """Whether the sign for unknown words was typed itself."""
    return str(model.tokenizer.unk_token) in words.split()


def example(model: InstrumentedModel) -> str:
    """Lines for a model to begin with: facts that an organism was trained on, or capitals."""
    record = module_record.read_home(model.module)
    if record is not None:
        return record.example()
    from workbench import facts

    some = facts.relation("capital").facts[:6]
    return "\n".join(f"The capital of {fact.subject} is → {fact.answer}" for fact in some)
