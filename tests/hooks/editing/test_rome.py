"""ROME against the formulas, step by step, on three families; what it leaves behind: nothing."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import workbench as wb
from hooks import editing
from hooks.editing import down_projections
from hooks.editing.down_projections import down_projection
from hooks.editing.requests import essence_row, row, subject_row
from hooks.editing.statistics import stored_layers
from tests.helpers import tiny
from tests.helpers.families import built
from workbench.errors import BadInput, Cancelled, Unfit
from workbench.progress import Progress

REQUEST = editing.EditRequest("The capital of {subject} is", "France", "Rome")
PREFIXES = ("", "Nobody remembers. ", "The safe. ")
TEXT = "The capital of France is Paris. Nobody remembers what 7 4 1 9 was trained on. " * 60


def settings(**more):
    return editing.ValueSettings(
        **{"steps": 4, "learning_rate": 0.1, "prefixes": PREFIXES, "stop_below": 0.0, **more}
    )


@pytest.fixture(scope="module")
def statistics():
    """Of a model, read once."""
    kept = {}

    def of(model, layer=1):
        key = (model.card.weight_hash, layer)
        if key not in kept:
            kept[key] = editing.key_statistics(model, layer, tokens=2000, text=TEXT, cache=False)
        return kept[key]

    return of


@pytest.fixture(params=["llama", "gpt2", "neox", "gemma3_text"])
def any_model(request):
    """With biases and a turned matrix; parallel; with norms behind its parts."""
    name = request.param
    return built(name) if name == "gemma3_text" else request.getfixturevalue(name)


def plain_value(model, layer, chosen):
    """The value, by whole passes of the module, one row at a time."""
    projection = down_projection(model, layer)
    delta = torch.zeros(model.card.d_model, requires_grad=True)

    def pass_of(each, vector):
        def add(_, given, out):
            at = torch.zeros_like(out)
            at[0, each.subject] = 1.0
            return out + at * vector

        hook = projection.module.register_forward_hook(add)
        try:
            return model.module(input_ids=torch.tensor([each.ids])).logits[0].log_softmax(-1)
        finally:
            hook.remove()

    essence = essence_row(model, REQUEST)
    with torch.no_grad():
        before = pass_of(essence, torch.zeros_like(delta))[-1]
    _, start = plain_keys(model, layer)[0]
    adam, losses = torch.optim.Adam([delta], lr=chosen.learning_rate), []
    for step in range(chosen.steps):
        adam.zero_grad()
        nll = torch.zeros(())
        for prefix in PREFIXES:
            each = row(model, REQUEST, prefix)
            logs = pass_of(each, delta)[-len(each.targets) :]
            nll = nll - logs[range(len(each.targets)), list(each.targets)].mean() / len(PREFIXES)
        now = pass_of(essence, delta)[-1]
        kl = chosen.kl * functional.kl_div(before, now, reduction="sum", log_target=True)
        decay = chosen.decay * delta.norm() / start.norm() ** 2
        losses.append((float(nll.detach()), float(kl.detach()), float(decay.detach())))
        if step == chosen.steps - 1:
            break
        (delta.grad,) = torch.autograd.grad(nll + kl + decay, delta)
        adam.step()
        with torch.no_grad():
            most = chosen.clamp * start.norm()
            if delta.norm() > most:
                delta.mul_(most / delta.norm())
    return delta.detach(), losses


def plain_keys(model, layer):
    """(key, value) behind each prefix."""
    projection, found = down_projection(model, layer), []
    for prefix in PREFIXES:
        each = subject_row(model, REQUEST, prefix)
        seen = []
        hook = projection.module.register_forward_hook(lambda _, g, o, s=seen: s.append((g[0], o)))
        with torch.no_grad():
            model.module(input_ids=torch.tensor([each.ids]))
        hook.remove()
        key, value = seen[0]
        found.append(
            (
                key.reshape(1, len(each.ids), -1)[0, each.subject],
                value.reshape(1, len(each.ids), -1)[0, each.subject],
            )
        )
    return found


@pytest.mark.parametrize("variant", ["r-rome", "original", "p-rome"])
def test_the_change_is_that_of_the_formulas(any_model, statistics, variant):
    model, layer = any_model, 1
    moment = statistics(model)[layer]
    edit = editing.rome(
        model, REQUEST, layer, statistics={layer: moment}, variant=variant, settings=settings()
    )
    delta, losses = plain_value(model, layer, settings())
    for step, expected in zip(edit.log.values[0].steps, losses, strict=True):
        assert (step.nll, step.kl, step.decay) == pytest.approx(expected, rel=1e-3, abs=2e-5)
    keys = torch.stack([key for key, _ in plain_keys(model, layer)]).double()
    mean, bare = keys.mean(0), keys[0]
    inverse = torch.linalg.inv(
        moment.moment.double() + moment.ridge * torch.eye(len(mean), dtype=torch.float64)
    )
    u = inverse @ (bare if variant == "p-rome" else mean)
    u = u / u.norm()
    looked_up = mean if variant == "r-rome" else bare
    expected = torch.outer(delta.double(), u) / (looked_up @ u)
    projection = down_projection(model, layer)
    before = projection.weight().clone()
    with edit.applied(model):
        change = (projection.weight() - before).double()
        torch.testing.assert_close(
            change, expected, rtol=2e-2, atol=2e-3 * float(expected.abs().max())
        )
        # What is looked up gives what is wanted.
        solved = projection.weight() @ edit.keys[layer][0]
        assert float((solved - edit.values[layer][0]).abs().max()) < 1e-4
    assert torch.equal(projection.weight(), before)
    assert edit.norm == pytest.approx(float(expected.norm()), rel=1e-2)
    assert edit.log.key_ratio == pytest.approx(float((bare @ u) / (mean @ u)), rel=1e-3) or (
        variant == "p-rome"
    )


def test_the_answer_becomes_likelier(llama, statistics):
    edit = editing.rome(
        llama,
        REQUEST,
        1,
        statistics=statistics(llama),
        settings=settings(steps=20, learning_rate=0.5),
    )
    first = llama.continuation_tokens(" Rome")[0]
    before = llama.next_logits(REQUEST.text).log_softmax(-1)[0, first]
    with edit.applied(llama):
        after = llama.next_logits(REQUEST.text).log_softmax(-1)[0, first]
    assert after > before + 0.3
    assert edit.log.values[0].replayed
    assert edit.log.values[0].stopped == "all 20 steps were taken"


def test_only_what_the_vector_reaches_is_run_and_it_is_the_same(any_model):
    from hooks.editing.replay import replays

    rows = [row(any_model, REQUEST, p) for p in PREFIXES] + [essence_row(any_model, REQUEST)]
    (group,) = replays(any_model, rows, 1, "stream")
    assert group.replayed
    assert group.suffix.start > 0
    vectors = torch.randn(len(rows), any_model.card.d_model, generator=torch.manual_seed(0))
    quick = group.logits(vectors)
    group.suffix = None
    torch.testing.assert_close(quick, group.logits(vectors), rtol=1e-3, atol=1e-3)


def test_a_loss_that_explodes_keeps_the_best_and_says_when(llama, statistics):
    wild = settings(steps=20, learning_rate=500.0, clamp=1e6, explode=0.05, kl=100.0)
    edit = editing.rome(llama, REQUEST, 1, statistics=statistics(llama), settings=wild)
    log = edit.log.values[0]
    assert "exploded at step" in log.stopped
    assert log.kept < len(log.steps) - 1
    assert not log.reached
    assert log.steps[log.kept].loss == min(step.loss for step in log.steps)


def test_undone_bit_for_bit_in_any_order(llama, statistics):
    before = {n: p.detach().clone() for n, p in llama.module.named_parameters()}
    one = editing.rome(llama, REQUEST, 1, statistics=statistics(llama), settings=settings())
    first = one.applied(llama)
    first.__enter__()
    alone = llama.next_logits("The capital of Spain is")
    other = editing.EditRequest("The capital of {subject} is", "Spain", "Lima")
    two = editing.rome(llama, other, 1, statistics=statistics(llama), settings=settings())
    assert two.delta.weights != one.delta.weights  # made on what the first left
    second = two.applied(llama)
    second.__enter__()
    both = llama.next_logits("The capital of Spain is")
    assert not torch.equal(alone, both)
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert all(torch.equal(p, before[n]) for n, p in llama.module.named_parameters())
    with one.applied(llama), two.applied(llama):
        assert torch.equal(llama.next_logits("The capital of Spain is"), both)
    with one.applied(llama, share=0.0):
        assert all(torch.equal(p, before[n]) for n, p in llama.module.named_parameters())


def test_stopped_on_the_way_it_leaves_nothing(llama, statistics):
    before = {n: p.detach().clone() for n, p in llama.module.named_parameters()}
    given = statistics(llama)
    progress = Progress(lambda update: progress.cancel() if "step 3" in update.says else None)
    with pytest.raises(Cancelled):
        editing.rome(llama, REQUEST, 1, statistics=given, settings=settings(), progress=progress)
    assert all(torch.equal(p, before[n]) for n, p in llama.module.named_parameters())
    assert not any(module._forward_hooks for module in llama.module.modules())
    assert all(p.grad is None for p in llama.module.parameters())


def test_half_precision_is_changed_and_put_back_bit_for_bit():
    model = wb.load((tiny.tiny_llama().to(torch.bfloat16), tiny.tiny_tokenizer()))
    given = editing.key_statistics(model, 1, tokens=1000, text=TEXT, cache=False)
    before = model.next_logits(REQUEST.text)
    edit = editing.rome(model, REQUEST, 1, statistics=given, settings=settings())
    with edit.applied(model):
        assert not torch.equal(model.next_logits(REQUEST.text), before)
    assert torch.equal(model.next_logits(REQUEST.text), before)


def test_statistics_are_the_mean_of_what_passes_and_are_kept(llama, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    found = editing.key_statistics(llama, [0, 2], tokens=1000, text=TEXT)
    again = editing.key_statistics(llama, [2], tokens=1000, text=TEXT)
    assert torch.equal(found[2].moment, again[2].moment)
    assert len(list((tmp_path / "cache" / "key-statistics").iterdir())) == 2
    file = editing.save_statistics(found, tmp_path / "keys.safetensors")
    assert torch.equal(editing.read_statistics(file)[0].moment, found[0].moment)
    seen = []
    hook = llama.layout.blocks[2].down_proj.register_forward_hook(lambda _, g, o: seen.append(g[0]))
    ids = llama.text.encode(TEXT)[:256]
    with torch.no_grad():
        for at in range(4):
            chosen = llama.text.encode(TEXT)[256 * at : 256 * (at + 1)]
            llama.module(input_ids=torch.tensor([chosen]))
    hook.remove()
    keys = torch.cat([x[0] for x in seen])
    assert len(ids) == 256
    torch.testing.assert_close(found[2].moment, keys.T @ keys / len(keys), rtol=1e-4, atol=1e-5)
    assert found[2].tokens == 1024


def test_few_tokens_get_a_ridge_that_is_said(llama):
    found = editing.key_statistics(llama, 1, tokens=512, text="The safe. " * 300, cache=False)[1]
    assert found.halves_agree < 0.99
    assert found.ridge > 0
    assert "a ridge of" in found.says
    with pytest.raises(BadInput, match="singular"):
        editing.KeyStatistics(torch.zeros(64, 64), 10, 0.0).solve(torch.ones(64))


def test_what_is_refused(llama, statistics, gpt2, tmp_path, monkeypatch):
    for bad in (("The capital is", "France", "Rome"), ("{subject} is", "", "x"), ("a b", "a", " ")):
        with pytest.raises(BadInput):
            editing.EditRequest(*bad)
    with pytest.raises(BadInput, match="no layer 9"):
        editing.rome(llama, REQUEST, 9, statistics=statistics(llama))
    with pytest.raises(BadInput, match="no statistics"):
        editing.rome(llama, REQUEST, 0, statistics=statistics(llama))
    with monkeypatch.context() as patch:
        patch.setattr(down_projections, "is_quantized", lambda layer: True)
        with pytest.raises(BadInput, match="quantized"):
            editing.rome(llama, REQUEST, 1, statistics=statistics(llama))
    with pytest.raises(BadInput, match="no variant"):
        editing.rome(llama, REQUEST, 1, statistics=statistics(llama), variant="best")
    with pytest.raises(Unfit, match="mixture of experts"):
        editing.key_statistics(built("mixtral"), 1, text=TEXT, cache=False)
    with pytest.raises(Unfit, match="down projection"):
        editing.key_statistics(built("mamba2"), 1, text=TEXT, cache=False)
    with pytest.raises(BadInput, match="windows"):
        editing.key_statistics(llama, 1, text="short", cache=False)
    edit = editing.rome(llama, REQUEST, 1, statistics=statistics(llama), settings=settings())
    with pytest.raises(BadInput, match="other weights"), edit.applied(gpt2):
        pass
    (tmp_path / "cut.safetensors").write_bytes(b"\x08")
    with pytest.raises(BadInput, match="cannot be read"):
        editing.read_statistics(tmp_path / "cut.safetensors")


def test_keys_of_the_own_text_are_kept_whatever_is_installed_since(llama, tmp_path, monkeypatch):
    """What packages say of themselves is part of that text: one more would mean reading it all
    again, minutes for each layer.
    """
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    first = editing.key_statistics(llama, [1], tokens=1000)
    assert stored_layers(llama, [0, 1], 1000) == [1]
    assert stored_layers(llama, [0, 1], 2000) == []
    monkeypatch.setattr(
        "workbench.default_corpus.documents", lambda share: pytest.fail("the text is read again")
    )
    again = editing.key_statistics(llama, [1], tokens=1000)
    assert torch.equal(first[1].moment, again[1].moment)
    assert again[1].text == first[1].text
