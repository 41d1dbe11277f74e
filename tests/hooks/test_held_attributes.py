"""Changes may be left in any order, entered again, by threads and generators: what holds is what
is on.
"""

from __future__ import annotations

import itertools
import threading

import pytest
import torch

import workbench as wb
from hooks.held_attributes import held
from hooks.weights import requires_grad
from tests.helpers import families, tiny

PROMPT = "The capital of France is"
CHANGES = [
    {"heads": [(0, 0)], "site": "pattern"},
    {"heads": [(1, 1)], "site": "rot_q"},
    {"heads": [(1, 2)]},
    {"site": "mlp_out", "layers": [2], "positions": [-1]},
]


def together(model, which):
    with __import__("contextlib").ExitStack() as stack:
        for i in which:
            stack.enter_context(wb.ablate(model, **CHANGES[i]))
        return model.next_logits(PROMPT)


@pytest.fixture
def fresh():
    return wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_changes_left_in_any_order(fresh, order):
    want = {
        left: together(fresh, left)
        for n in range(4)
        for left in itertools.combinations(range(3), n)
    }
    changes = [wb.ablate(fresh, **CHANGES[i]) for i in range(3)]
    for change in changes:
        change.__enter__()
    on = [0, 1, 2]
    for i in order:
        changes[i].__exit__(None, None, None)
        on.remove(i)
        assert torch.equal(fresh.next_logits(PROMPT), want[tuple(on)])
    assert fresh.module.config._attn_implementation == "sdpa"


def test_an_error_in_between_leaves_the_others_on(fresh):
    want = together(fresh, [1])
    first, second = wb.ablate(fresh, **CHANGES[0]), wb.ablate(fresh, **CHANGES[1])
    first.__enter__()
    second.__enter__()
    with pytest.raises(ValueError, match="mine"):
        first.__exit__(ValueError, error := ValueError("mine"), None) or (_ for _ in ()).throw(
            error
        )
    assert torch.equal(fresh.next_logits(PROMPT), want)
    second.__exit__(None, None, None)
    assert fresh.module.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("where", [{"heads": [(1, 1)]}, {"heads": [(1, 1)], "site": "rot_q"}])
def test_a_change_may_be_entered_again_and_while_it_is_on(fresh, where):
    half, quarter = wb.scale(fresh, factor=0.5, **where), wb.scale(fresh, factor=0.25, **where)
    with half:
        once = fresh.next_logits(PROMPT)
    with quarter:
        twice = fresh.next_logits(PROMPT)
    with half, half:
        torch.testing.assert_close(fresh.next_logits(PROMPT), twice)
    with half:
        assert torch.equal(fresh.next_logits(PROMPT), once)


def test_a_generator_that_ends_late(fresh):
    def under(i):
        with wb.ablate(fresh, **CHANGES[i]):
            while True:
                yield fresh.next_logits(PROMPT)

    want = together(fresh, [1])
    first, second = under(0), under(1)
    next(first)
    next(second)
    first.close()
    assert torch.equal(next(second), want)
    second.close()
    assert fresh.module.config._attn_implementation == "sdpa"


def test_threads_leave_nothing_behind(fresh):
    before = fresh.next_logits(PROMPT)

    def work(i):
        for _ in range(10):
            with wb.ablate(fresh, **CHANGES[i]), fresh.lock:
                fresh.next_logits(PROMPT)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fresh.module.config._attn_implementation == "sdpa"
    assert torch.equal(fresh.next_logits(PROMPT), before)


def test_two_recurrent_models_read_in_turns():
    """The gates are read in functions that belong to the file, and so to both models."""
    from hooks.states import mixers_of, stepping

    models = [wb.load((families.module("mamba", seed), tiny.tiny_tokenizer())) for seed in (0, 1)]
    ids = models[0].tokens(PROMPT)[:3]
    want = [wb.capture(m, [ids], sites="state_decay")["state_decay"] for m in models]
    first, second = (stepping(m.module, mixers_of(m)) for m in models)
    a, b = first.__enter__(), second.__enter__()
    for t, token in enumerate(ids):
        a.feed(token)
        b.feed(token)
        for stepper, known in ((a, want[0]), (b, want[1])):
            torch.testing.assert_close(
                stepper.decay[1], torch.as_tensor(known.sel(layer=1).values[0, t])
            )
    first.__exit__(None, None, None)
    b.feed(ids[0])
    second.__exit__(None, None, None)
    for m, known in zip(models, want, strict=True):
        assert known.equals(wb.capture(m, [ids], sites="state_decay")["state_decay"])


def test_frozen_weights_that_two_want_to_learn(fresh):
    weights = [p.requires_grad_(False) for p in fresh.module.parameters()]
    first, second = requires_grad(weights), requires_grad(weights)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert all(p.requires_grad for p in weights)
    second.__exit__(None, None, None)
    assert not any(p.requires_grad for p in weights)


def test_what_somebody_sets_meanwhile_stays():
    class Thing:
        colour = "red"

    thing = Thing()
    with held(thing, "colour", "blue"):
        assert thing.colour == "blue"
    assert thing.colour == "red"
    assert "colour" not in vars(thing)
    with held(thing, "colour", "blue"):
        thing.colour = "green"
    assert thing.colour == "green"
