"""Relearning, against a plain training loop, and on models of which it is known what they read."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch

import workbench as wb
from analyses.weights.unlearning_audit.block_weights import block_matrices, put_back, replaced
from analyses.weights.unlearning_audit.memorized import exact_memorization, scores
from analyses.weights.unlearning_audit.relearning import excess_area, relearn, steps_to_half
from hooks.gradients.weights import weights
from hooks.unlearning.texts import Text, nats
from hooks.weights import requires_grad
from workbench import organisms
from workbench.errors import BadInput, Cancelled
from workbench.models.card import weight_hash
from workbench.organisms.ledger import read
from workbench.progress import Progress


@pytest.fixture(scope="module")
def control():
    """The organism's twin, which never read the passages."""
    return wb.load("organism/planted-control")


@pytest.fixture(scope="module")
def planted(organism):
    """Passages that were planted often, others of the same kinds, and prose that never was."""
    entries = read(organisms.folder_of("organism/planted")).entries
    begin = organism.text.beginning
    often = [e for e in entries if e.repeats == 64]
    never = [e for e in entries if e.repeats == 0 and e.kind == "literary"]
    chosen = (often[::5], often[1::5], never[:8])
    return [[Text((*begin, *e.ids), len(begin)) for e in each] for each in chosen]


def _random_texts(n, length, seed):
    draw = torch.Generator().manual_seed(seed)
    return [
        Text(tuple(torch.randint(1, 200, (length,), generator=draw).tolist())) for _ in range(n)
    ]


def test_equals_a_plain_training_loop(model):
    texts, held_out = _random_texts(3, 9, 0), _random_texts(2, 9, 1)
    before = weight_hash(model.module)
    table = relearn(model, texts, held_out, 0.02, steps=(0, 3, 1), seed=4)
    assert weight_hash(model.module) == before
    assert table["step"].tolist() == [0, 0, 1, 1, 3, 3]
    start = scores(model, held_out)
    again = relearn(model, texts, held_out, 0.02, steps=(0, 3, 1), seed=4, at_start=start)
    pd.testing.assert_frame_equal(again, table)

    module = model.module
    kept = {name: p.detach().clone() for name, p in module.named_parameters()}
    names = sorted({w.parameter for w in weights(model)})
    adam = torch.optim.Adam(
        {"params": [p], "lr": 0.02 * float(p.detach().std())}
        for name, p in module.named_parameters()
        if name in names
    )
    expected = [scores(model, held_out)]
    try:
        for step in (1, 2, 3):
            adam.zero_grad()
            # Fewer texts than a batch holds: each step has all of them, in whatever order.
            loss = sum(
                torch.nn.functional.cross_entropy(
                    module(input_ids=torch.tensor([t.ids])).logits[0, :-1], torch.tensor(t.ids[1:])
                )
                for t in texts
            )
            (loss / len(texts)).backward()
            adam.step()
            if step != 2:
                expected.append(scores(model, held_out))
    finally:
        module.zero_grad()
        with torch.no_grad():
            for name, p in module.named_parameters():
                p.copy_(kept[name])
    wanted = pd.concat(expected, ignore_index=True)
    assert table["nats"].tolist() == pytest.approx(wanted["nats"].tolist(), rel=1e-3)
    assert table["text"].tolist() == wanted["text"].tolist()


def test_weights_are_put_back_when_it_is_cancelled(llama):
    before = weight_hash(llama.module)
    progress = Progress(lambda update: progress.cancel() if update.fraction > 0.4 else None)
    with pytest.raises(Cancelled):
        relearn(llama, _random_texts(2, 6, 0), _random_texts(1, 6, 1), 0.02, progress=progress)
    assert weight_hash(llama.module) == before


def test_only_what_was_read_comes_back(organism, control, planted):
    """Gradient ascent hides passages that were planted often, and training on some of them brings
    the others back. A model that never read them learns less of them from the same, and nothing
    from prose.
    """
    held_out, others, prose = planted
    original = exact_memorization(organism, held_out).mean()
    names = [m.name for m in block_matrices(organism)]
    with replaced(organism, _after_ascent(organism, held_out, names)):
        before = exact_memorization(organism, held_out).mean()
        hidden = relearn(organism, others, held_out, 0.01, steps=(0, 2, 5))
    reference, null = (
        relearn(control, texts, held_out, 0.01, steps=(0, 2, 5)) for texts in (others, prose)
    )
    assert original > 0.6
    assert before < original / 2
    gains = [
        table.groupby("step")["exact_memorization"].mean().diff().sum()
        for table in (hidden, reference, null)
    ]
    assert gains[0] > 0.15, gains
    assert gains[1] < gains[0] / 2, gains
    assert abs(gains[2]) < 0.02, gains
    assert excess_area(hidden, reference) > 0.2
    assert steps_to_half(reference, before, original) == math.inf


def _after_ascent(model, texts, names):
    """The weights after gradient ascent on some texts, as soon as less than half is said."""
    most = exact_memorization(model, texts).mean() / 2
    with put_back([model.module.get_parameter(name) for name in names]):
        own = [model.module.get_parameter(name) for name in names]
        while exact_memorization(model, texts).mean() > most:
            with requires_grad(own), torch.enable_grad():
                found = torch.autograd.grad(nats(model, texts).mean(), own)
            with torch.no_grad():
                for p, g in zip(own, found, strict=True):
                    p += 0.005 * p.std() * g.sign()
        return {name: p.detach().clone() for name, p in zip(names, own, strict=True)}


def _curve(values):
    return pd.DataFrame(
        [
            {"step": step, "text": text, "exact_memorization": value + shift}
            for step, value in values.items()
            for text, shift in ((0, -0.1), (1, 0.1))
        ]
    )


def test_steps_to_half_by_hand():
    rows = _curve({0: 0.2, 1: 0.3, 4: 0.6, 16: 0.9})
    assert steps_to_half(rows, 0.2, 0.8) == pytest.approx(1 + 3 * 2 / 3)
    assert steps_to_half(rows, 0.1, 0.3) == 0
    assert steps_to_half(rows, 0.95, 1.0) == math.inf
    assert math.isnan(steps_to_half(rows, 0.5, 0.5))


def test_excess_area_by_hand():
    rows, reference = _curve({0: 0.2, 1: 0.4, 3: 0.6}), _curve({0: 0.2, 1: 0.2, 3: 0.2})
    # ln(1 + step) goes up by ln 2 twice; the curves are apart by 0, 0.2 and 0.4.
    assert excess_area(rows, reference) == pytest.approx((0.1 + 0.3) / 2)
    assert excess_area(rows, rows) == 0
    with pytest.raises(BadInput, match="same steps"):
        excess_area(rows, _curve({0: 0.2, 2: 0.2}))


def test_what_says_nothing_is_refused(llama):
    one, two = _random_texts(2, 6, 0)
    for bad in (
        ([], [one], 0.01, (0, 1)),
        ([one], [], 0.01, (0, 1)),
        ([one], [two], 0.0, (0, 1)),
        ([one], [two], 0.01, ()),
        ([one], [two], 0.01, (-1,)),
        ([one], [two, one], 0.01, (0, 1)),
    ):
        with pytest.raises(BadInput):
            relearn(llama, *bad)
