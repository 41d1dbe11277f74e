"""MEMIT and AlphaEdit against the formulas, layer by layer, and against ROME where they meet."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from hooks import editing
from hooks.editing.down_projections import down_projection
from hooks.editing.requests import subject_row
from tests.helpers.families import built
from workbench.errors import BadInput

FRANCE = editing.EditRequest("The capital of {subject} is", "France", "Rome")
PERU = editing.EditRequest("The capital city of {subject} is", "Peru", "Madrid")
PREFIXES = ("", "Nobody remembers. ", "The safe. ")
TEXT = "The capital of France is Paris. Nobody remembers what 7 4 1 9 was trained on. " * 60


def settings(**more):
    return editing.ValueSettings(
        **{"steps": 4, "learning_rate": 0.1, "prefixes": PREFIXES, "stop_below": 0.0, **more}
    )


@pytest.fixture(scope="module")
def statistics():
    kept = {}

    def of(model):
        key = model.card.weight_hash
        if key not in kept:
            kept[key] = editing.key_statistics(model, [0, 1], tokens=2000, text=TEXT, cache=False)
        return kept[key]

    return of


@pytest.fixture(params=["llama", "gpt2", "neox"])
def any_model(request):
    return request.getfixturevalue(request.param)


def passing(model, layer, each):
    """(key, stream after layer 1) at the subject's last token, by a whole pass."""
    seen = {}
    hooks = [
        down_projection(model, layer).module.register_forward_hook(
            lambda _, g, o: seen.update(key=g[0].reshape(1, len(each.ids), -1)[0, each.subject])
        ),
        model.layout.blocks[1].module.register_forward_hook(
            lambda _, g, o: seen.update(
                stream=(o[0] if isinstance(o, tuple) else o)[0, each.subject]
            )
        ),
    ]
    with torch.no_grad():
        model.module(input_ids=torch.tensor([each.ids]))
    for hook in hooks:
        hook.remove()
    return seen["key"].double(), seen["stream"].double()


def plain_memit(model, requests, targets, invert):
    """Changes of layers 0 and 1 by the formulas; the module's weights are changed on the way and
    put back.
    """
    before, found = [], []
    for layer in (0, 1):
        rows = [[subject_row(model, r, p) for p in PREFIXES] for r in requests]
        keys = []
        for row in rows:
            each = [passing(model, layer, one)[0] for one in row]
            keys.append((each[0] + torch.stack(each[1:]).mean(0)) / 2)
        k = torch.stack(keys, 1)
        now = torch.stack([passing(model, 1, row[0])[1] for row in rows], 1)
        r = (targets.T - now) / (2 - layer)
        change = r @ invert(layer, k)
        matrix = down_projection(model, layer)
        weight = model.module.get_parameter(matrix.name)
        before.append((weight, weight.detach().clone()))
        with torch.no_grad():
            weight += (change.T if matrix.turned else change).float()
        found.append(change)
    for weight, old in before:
        with torch.no_grad():
            weight.copy_(old)
    return found


def changes(model, edit):
    """What an edit adds to layers 0 and 1."""
    found = []
    for layer in (0, 1):
        matrix = down_projection(model, layer)
        old = matrix.weight().clone()
        with edit.applied(model):
            found.append((matrix.weight() - old).double())
    return found


def targets_of(model, requests):
    """What the stream after layer 1 is to be, as a search of one request at a time finds it."""
    found = []
    for request in requests:
        edit = editing.memit(
            model,
            request,
            [1],
            statistics={1: editing.KeyStatistics(torch.eye(down_projection(model, 1).d_mlp), 9, 1)},
            lambda_=0,
            settings=settings(),
        )
        gain = edit.values[1][0] - edit.keys[1][0] @ down_projection(model, 1).weight().T
        stream = passing(model, 1, subject_row(model, request))[1]
        found.append(stream + gain.double())
    return torch.stack(found)


@pytest.mark.parametrize("lambda_", [10.0, 1e4])
def test_memit_is_that_of_the_formulas(any_model, statistics, lambda_):
    model, given = any_model, statistics(any_model)
    edit = editing.memit(
        model, [FRANCE, PERU], [0, 1], statistics=given, lambda_=lambda_, settings=settings()
    )

    def invert(layer, k):
        c = given[layer].matrix()
        return k.T @ torch.linalg.inv(lambda_ * c + k @ k.T)

    expected = plain_memit(model, [FRANCE, PERU], targets_of(model, [FRANCE, PERU]), invert)
    for change, wanted in zip(changes(model, edit), expected, strict=True):
        size = float(wanted.abs().max())
        torch.testing.assert_close(change, wanted, rtol=2e-2, atol=5e-3 * size)
    assert edit.layers == (0, 1)
    assert all(left.shape[1] == 2 or left.shape[0] == 2 for left in edit.delta.left.values())


def test_alphaedit_is_that_of_the_formulas_and_spares_strong_directions(llama, statistics):
    given = statistics(llama)
    first = editing.alphaedit(llama, PERU, [0, 1], statistics=given, settings=settings())
    edit = editing.alphaedit(
        llama, FRANCE, [0, 1], statistics=given, previous=[first], kept=0.5, settings=settings()
    )
    onto = {}
    for layer in (0, 1):
        _, vectors = torch.linalg.eigh(given[layer].moment.double())
        weak = vectors[:, :32]
        onto[layer] = weak @ weak.T

    def invert(layer, k):
        p, old = onto[layer], first.keys[layer].double()
        system = p @ (k @ k.T + old.T @ old) + 10 * torch.eye(64, dtype=torch.float64)
        return (torch.linalg.inv(system) @ p @ k).T

    expected = plain_memit(llama, [FRANCE], targets_of(llama, [FRANCE]), invert)
    for layer, (change, wanted) in enumerate(zip(changes(llama, edit), expected, strict=True)):
        size = float(wanted.abs().max())
        torch.testing.assert_close(change, wanted, rtol=2e-2, atol=5e-3 * size)
        strong = torch.eye(64, dtype=torch.float64) - onto[layer]
        assert float((change @ strong).norm()) < 1e-3 * float(change.norm())


def test_one_fact_in_one_layer_at_no_lambda_is_rome(llama, statistics):
    bare = settings(prefixes=("",), decay=0.0, clamp=1e6)
    given = statistics(llama)
    one = editing.rome(llama, FRANCE, 1, statistics=given, settings=bare)
    for lambda_, close in ((0.0, 1e-4), (1e-6, 1e-2)):
        many = editing.memit(llama, FRANCE, [1], statistics=given, lambda_=lambda_, settings=bare)
        a, b = changes(llama, one)[1], changes(llama, many)[1]
        assert float(functional.cosine_similarity(a.flatten(), b.flatten(), dim=0)) > 1 - close
        assert float((a - b).norm() / a.norm()) < 10 * close
    assert many.log.left_over[0] < 0.05


def test_behind_a_norm_the_stream_still_gets_what_was_found():
    model = built("gemma3_text")
    given = editing.key_statistics(model, [0, 1], tokens=1000, text=TEXT, cache=False)
    one = editing.memit(model, FRANCE, [1], statistics=given, lambda_=0, settings=settings())
    assert one.log.left_over[0] < 0.6  # its key is the mean over prefixes, not the bare one's
    bare = editing.memit(
        model, FRANCE, [1], statistics=given, lambda_=0, settings=settings(prefixes=("",))
    )
    assert bare.log.left_over[0] < 1e-3
    assert any("norm behind its MLP" in note for note in bare.log.notes)


def test_a_random_edit_is_as_large_and_no_other(any_model, statistics):
    model = any_model
    edit = editing.memit(
        model, [FRANCE, PERU], [0, 1], statistics=statistics(model), settings=settings()
    )
    other = editing.random_like(edit)
    for a, b in zip(changes(model, edit), changes(model, other), strict=True):
        assert float(a.norm()) == pytest.approx(float(b.norm()), rel=1e-3)
        assert abs(float(functional.cosine_similarity(a.flatten(), b.flatten(), dim=0))) < 0.3
        assert int(torch.linalg.matrix_rank(b, atol=1e-4)) == 2
    one = editing.memit(model, FRANCE, [1], statistics=statistics(model), settings=settings())
    same = editing.random_like(one, same_keys=True)
    a, b = changes(model, one)[1], changes(model, same)[1]
    key = one.keys[1][0].double()
    # The key's token is changed by as much, in another direction.
    assert float((a @ key).norm()) == pytest.approx(float((b @ key).norm()), rel=1e-3)
    assert abs(float(functional.cosine_similarity(a @ key, b @ key, dim=0))) < 0.6
    with pytest.raises(BadInput, match="no factors"):
        editing.random_like(
            editing.fine_tune(model, FRANCE, 1, settings=editing.TrainingSettings(1, 0.01))
        )


def test_values_of_several_are_found_as_if_alone(llama, statistics):
    given = statistics(llama)
    both = editing.memit(llama, [FRANCE, PERU], [1], statistics=given, settings=settings())
    alone = editing.memit(llama, PERU, [1], statistics=given, settings=settings())
    for a, b in zip(both.log.values[1].steps, alone.log.values[0].steps, strict=True):
        assert (a.loss, a.size) == pytest.approx((b.loss, b.size), rel=1e-3)


def test_what_is_refused(llama, statistics):
    given = statistics(llama)
    with pytest.raises(BadInput, match="other answers"):
        editing.memit(
            llama,
            [FRANCE, editing.EditRequest("The capital of {subject} is", "France", "Lima")],
            [1],
            statistics=given,
        )
    with pytest.raises(BadInput, match="no edit"):
        editing.memit(llama, [], [1], statistics=given)
    with pytest.raises(BadInput, match="No layer"):
        editing.memit(llama, FRANCE, [], statistics=given)
    with pytest.raises(BadInput, match="λ is"):
        editing.memit(llama, FRANCE, [1], statistics=given, lambda_=-1)
    with pytest.raises(BadInput, match="A share of"):
        editing.alphaedit(llama, FRANCE, [1], statistics=given, kept=0)
    earlier = editing.memit(llama, PERU, [0], statistics=given, settings=settings())
    with pytest.raises(BadInput, match="An earlier edit"):
        editing.alphaedit(llama, FRANCE, [1], statistics=given, previous=[earlier])
