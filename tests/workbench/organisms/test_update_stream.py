"""Streams of updates by a plain loop, and the organism that keeps up with them."""

from __future__ import annotations

from typing import Any

import torch

import workbench as wb
from workbench.organisms.modules import families, module_record, stream_training, update_stream
from workbench.organisms.modules.families import FAMILIES
from workbench.progress import Progress


def test_a_stream_by_a_plain_loop() -> None:
    stream = update_stream.make(5, torch.Generator().manual_seed(3), 30)
    words = update_stream.make_tokenizer()
    labels = stream.labels
    for row in range(5):
        text = words.convert_ids_to_tokens(stream.ids[row].tolist())
        now: dict[str, str] = {}
        counted: dict[str, int] = {}
        last: dict[str, int] = {}
        updates = 0
        for event in range(30):
            first, second = text[2 * event : 2 * event + 2]
            assert stream.asks[row, event] == (first == "?")
            assert int(labels[row, 2 * event]) == update_stream.NOT_ASKED
            if first == "?":
                answer = words.convert_ids_to_tokens(int(labels[row, 2 * event + 1]))
                assert answer == now[second]
                assert int(stream.since[row, event]) == updates - last[second]
                assert int(stream.times[row, event]) == counted[second]
                continue
            assert int(labels[row, 2 * event + 1]) == update_stream.NOT_ASKED
            assert int(stream.times[row, event]) == counted.get(first, 0)
            now[first] = second
            counted[first] = counted.get(first, 0) + 1
            updates += 1
            last[first] = updates
        assert len(now) == update_stream.ACTIVE


def test_training_is_the_same_from_the_same_seed_and_learns() -> None:
    from dataclasses import replace

    short = replace(FAMILIES["updates-in-slots"], steps=3)
    models = [stream_training.train_stream(short, seed, Progress()) for seed in (0, 0, 1)]
    first, again, other = (next(iter(model.parameters())) for model in models)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert stream_training.stream_recall(models[0], 5) < 0.3


def test_what_ships_keeps_up_with_updates() -> None:
    home = families.home("updates-in-slots")
    assert home is not None
    assert sum(file.stat().st_size for file in home.iterdir()) < 2 * 10**6
    model: Any = wb.load("organism/updates-in-slots")
    record = module_record.read_home(model.module)
    assert record is not None
    assert record.task == "updates"
    found = stream_training.stream_recall(model.module, record.seed + 1)
    assert abs(found - record.recall) < 0.01
    assert record.recall > 0.95 > 10 * record.guessed
    for line in record.example().splitlines():
        prompt, answer = line.split(" → ")
        assert model.next_tokens(prompt, 1)["token"][0].strip() == answer
