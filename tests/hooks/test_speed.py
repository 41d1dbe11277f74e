"""One short pass says how long a token takes, and leaves nothing behind."""

from __future__ import annotations

import time

from hooks.speed import speed


def test_every_number_is_above_zero(llama):
    found = speed(llama)
    assert found.forward > 0
    assert found.backward > 0
    assert found.passes >= 0


def test_it_is_a_short_pass_and_measured_once(gpt2, monkeypatch):
    read = []
    forward = gpt2.forward

    def counted(**given):
        read.append(next(given[k].shape[:2].numel() for k in given if k.startswith("input")))
        return forward(**given)

    monkeypatch.setattr(gpt2, "forward", counted)
    monkeypatch.delitem(gpt2.__dict__, "speed", raising=False)
    kept = gpt2.speed
    assert 0 < sum(read) < 1400
    before = len(read)
    assert gpt2.speed is kept
    assert len(read) == before
    assert all(p.grad is None for p in gpt2.module.parameters())


def test_what_the_machine_does_beside_is_not_counted(llama, monkeypatch):
    """One of several timings is the model's; the others have something else in them."""
    plain = speed(llama).forward
    clock, jumps = [0.0], iter([0.0, 3.0, 0.0, 0.0] * 100)
    seconds = time.perf_counter

    def busy():
        clock[0] += next(jumps)
        return seconds() + clock[0]

    monkeypatch.setattr("hooks.speed._SLOW", 1e3)
    monkeypatch.setattr("hooks.speed.time.perf_counter", busy)
    assert speed(llama).forward < max(100 * plain, 1e-2)


def test_a_model_without_gradients_is_measured_too(llama, monkeypatch):
    def refuse(*_):
        raise NotImplementedError("no backward kernel")

    monkeypatch.setattr("hooks.speed._gradients", refuse)
    found = speed(llama)
    assert found.backward == 2 * found.forward
