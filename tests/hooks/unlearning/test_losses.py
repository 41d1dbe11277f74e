"""Each method minimises what its paper says: compared with plain formulas on the changed model."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hooks.unlearning import METHODS, Settings, Text, losses, unlearn
from hooks.unlearning.concept_erasure import behind, novice_target
from hooks.unlearning.original_model import OriginalModel
from hooks.unlearning.steering import Steering
from hooks.unlearning.trained_weights import MatrixEntries, matrix_names

AIM = 1000.0


def said(model, text):
    """ln p over the vocabulary at every predicted token, and that of the true one; by hand."""
    with torch.no_grad():
        logits = model.module(input_ids=torch.tensor([text.ids])).logits[0].double().numpy()
    rows = logits[text.first - 1 : -1]
    every = rows - np.log(np.exp(rows).sum(-1, keepdims=True))
    return every, np.array([row[t] for row, t in zip(every, text.targets, strict=True)])


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def nll(old, new):
    return -new[1].sum()


def nll_by_token(old, new):
    return -new[1].mean()


def kl(old, new):
    return sum((np.exp(a) * (a - b)).sum() for a, b in zip(old[0], new[0], strict=True))


def ascent(old, new):
    return new[1].sum()


def npo(old, new):
    return -2 / 0.05 * math.log(sigmoid(-0.05 * (new[1].sum() - old[1].sum())))


def simnpo(old, new):
    return -2 / 0.05 * math.log(sigmoid(-0.05 * new[1].mean()))


def undial(old, new, text):
    total = 0.0
    for a, b, token in zip(old[0], new[0], text.targets, strict=True):
        logits = a.copy()
        logits[token] -= 0.05
        target = np.exp(logits) / np.exp(logits).sum()
        total -= (target * b).sum()
    return total / len(text.targets)


FORMULAS = {
    "ga": (ascent, None),
    "graddiff": (ascent, nll),
    "ga-klr": (ascent, kl),
    "mask": (ascent, kl),
    "npo": (npo, None),
    "npo-gdr": (npo, nll),
    "npo-klr": (npo, kl),
    "simnpo": (simnpo, nll_by_token),
    "undial": (undial, None),
}


@pytest.mark.parametrize("method", FORMULAS)
def test_the_loss_is_the_formula(knowing, forget, retain, method):
    own, other = FORMULAS[method]
    settings = Settings(AIM, steps=2, rates=(0.05,), beta=0.05, retain_weight=0.7)
    done = unlearn(knowing, method, forget, retain, settings)
    old = {text: said(knowing, text) for text in (*forget, *retain)}
    with done.applied(knowing):
        new = {text: said(knowing, text) for text in (*forget, *retain)}
    assert max(np.abs(new[t][1] - old[t][1]).max() for t in forget) > 0.01
    if method == "undial":
        expected = mean(own(old[t], new[t], t) for t in forget)
    else:
        expected = mean(own(old[t], new[t]) for t in forget)
    if other:
        expected += 0.7 * mean(other(old[t], new[t]) for t in retain)
    log = done.log
    assert len(log.total) == 3
    assert log.total[-1] == pytest.approx(expected, rel=1e-4)
    assert log.forget[-1] == pytest.approx(mean(-new[t][1].mean() for t in forget), rel=1e-4)
    assert log.retain[-1] == pytest.approx(mean(-new[t][1].mean() for t in retain), rel=1e-4)
    if other is kl:
        per_token = mean(kl(old[t], new[t]) / len(t.targets) for t in retain)
        assert log.divergence[-1] == pytest.approx(per_token, rel=1e-3)
    else:
        assert math.isnan(log.divergence[-1])


def test_all_other_methods_are_known():
    assert set(METHODS) - set(FORMULAS) == {"rmu", "task-vector", "random-labels", "elm"}


def test_preference_optimization_becomes_gradient_ascent_as_beta_vanishes():
    log_p = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    before = torch.tensor([-0.4, -0.3, -0.1])

    def gradient(loss):
        return torch.autograd.grad(loss, log_p)[0]

    ascent_ = gradient(losses.ascent(log_p))
    ratio = 2.7
    for beta, within in ((1e-4, 1e-3), (1.0, 1.0)):
        found = gradient(losses.preference(log_p, before, beta))
        torch.testing.assert_close(found, ascent_, rtol=within, atol=0)
    # 2 p^β / (p^β + p0^β), from the paper
    weight = 2 / (1 + math.exp(ratio))
    torch.testing.assert_close(found, ascent_ * weight)


def test_the_same_in_weights(knowing, forget):
    """The direction in which NPO moves weights is that of gradient ascent, without its fading."""
    steps = {
        beta: unlearn(
            knowing, "npo", forget, [], Settings(AIM, steps=3, rates=(0.02,), beta=beta)
        ).delta.values
        for beta in (1e-5, 1.0)
    }
    ascent_ = unlearn(knowing, "ga", forget, [], Settings(AIM, steps=3, rates=(0.02,)))
    for name, wanted in ascent_.delta.values.items():
        np.testing.assert_allclose(steps[1e-5][name], wanted, atol=2e-4)
    assert any(np.abs(steps[1.0][n] - w).max() > 2e-3 for n, w in ascent_.delta.values.items())


def test_random_labels_are_tokens_of_the_texts(knowing):
    """Of texts of one token each label is that token, and its loss is the text's own."""
    texts = [Text((7, 9, 9, 9)), Text((8, 9, 9))]
    done = unlearn(knowing, "random-labels", texts, [], Settings(AIM, steps=1, rates=(1e-3,)))
    assert done.log.total[0] == pytest.approx(done.log.forget[0], rel=1e-5)


def test_random_labels_are_not_the_texts_own(knowing, forget):
    done = unlearn(knowing, "random-labels", forget, [], Settings(AIM, steps=1, rates=(1e-3,)))
    assert done.log.total[0] > done.log.forget[0] + 3


def states(model, text, layer):
    with torch.no_grad():
        out = model.module(input_ids=torch.tensor([text.ids]), output_hidden_states=True)
    return out.hidden_states[layer + 1][0].double()


def test_steering_pushes_states_of_the_one_and_holds_those_of_the_other(knowing, forget, retain):
    layer = 1  # not the last, after whose states the final norm comes
    settings = Settings(AIM, steps=2, rates=(0.05,), layer=layer, steer=3.0, retain_weight=0.7)
    done = unlearn(knowing, "rmu", forget, retain, settings)
    old = {text: states(knowing, text, layer) for text in (*forget, *retain)}
    with done.applied(knowing):
        new = {text: states(knowing, text, layer) for text in (*forget, *retain)}
    every = torch.cat([old[t] for t in forget])
    drawn = torch.rand(every.shape[1], generator=torch.Generator().manual_seed(0)).double()
    aim = 3.0 * every.norm(dim=1).mean() * drawn / drawn.norm()
    unit = every.square().mean()
    expected = mean(((new[t] - aim) ** 2).mean() / unit for t in forget)
    expected += 0.7 * mean(((new[t] - old[t]) ** 2).mean() / unit for t in retain)
    assert done.log.total[-1] == pytest.approx(float(expected), rel=1e-4)
    assert done.log.total[-1] < done.log.total[0]
    assert {name.split(".")[2] for name in done.delta.index} == {"0", "1"}
    assert all(name.endswith("down_proj.weight") for name in done.delta.index)


def test_steering_reads_texts_of_any_length(knowing, forget):
    """States of a short text in a batch are its own, not those of the padding."""
    trained = MatrixEntries(knowing, matrix_names(knowing)[:1])
    original = OriginalModel(knowing, trained)
    objective = Steering(original, forget, 1, 1.0, Settings(AIM))
    together = [float(term.loss) for term in objective.forget(forget)]
    alone = [float(next(iter(objective.forget([text]))).loss) for text in forget]
    assert together == pytest.approx(alone, rel=1e-4)


def test_the_novice_target_by_hand():
    plain, expert, novice = (torch.randn(5, 80).log_softmax(-1) for _ in range(3))
    found = novice_target(plain, expert, novice)
    for n, eta in enumerate((1.0, 250.75, 500.5, 750.25, 1000.0)):
        logits = (plain[n] + eta * (novice[n] - expert[n])).double().numpy()
        keep = np.argsort(-logits)[:50]
        expected = np.zeros(80)
        expected[keep] = np.exp(logits[keep] - logits.max())
        np.testing.assert_allclose(found[n].numpy(), expected / expected.sum(), atol=1e-4)


def test_a_prefix_moves_what_is_predicted_and_changes_nothing_of_it(knowing):
    text = Text.of(knowing, "The capital of France is Paris.")
    longer = behind(knowing, "Somebody says:", text)
    assert longer.targets == text.targets
    prefix = knowing.text.encode("Somebody says:")
    assert longer.ids == (*prefix, *text.ids)  # this tokenizer puts nothing in front
    assert longer.first == len(prefix) + text.first


def test_elm_learns_what_the_novice_says(knowing, forget, retain):
    settings = Settings(AIM, steps=8, rates=(0.02,))
    done = unlearn(knowing, "elm", forget, retain, settings)
    assert done.log.total[-1] < done.log.total[0] - 0.5
    assert done.log.forget[-1] > done.log.forget[0]
