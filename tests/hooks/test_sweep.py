"""The fast sweeps equal one full, hooked forward pass per change."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from hooks import sweep
from hooks.sweeps import batched_forward, runner
from tests.helpers import plain_loop
from tests.helpers.capturing import hooks_on
from tests.helpers.plain_loop import set_to
from workbench.errors import BadInput, Cancelled, NotFound, SiteNotFound, WorkbenchError

PROMPT = "Question: What is the capital city of Peru?\nAnswer: The capital city of Peru is"
OTHER = "Question: What is the capital city of Italy?\nAnswer: The capital city of Italy is"
TARGETS = [5, 77, 200]


def loop(model, ids, values, *, direct):
    """All heads at the last position, the plain way.

    `values` is (layer, head, d_head); `direct` freezes all others.
    """
    own = [plain_loop.values(model, ids, "z", layer) for layer in range(model.n_layers)]
    base = plain_loop.run(model, ids)[TARGETS]
    last = [len(ids) - 1]
    out = torch.zeros(model.n_layers, model.n_heads, len(TARGETS))
    for layer, head in model.heads():
        changes = [("z", layer, set_to(values[layer][None].expand(len(ids), -1, -1), last, head))]
        if direct:
            changes += [
                ("z", later, set_to(own[later], last)) for later in range(layer + 1, model.n_layers)
            ]
        out[layer, head] = plain_loop.run(model, ids, changes)[TARGETS] - base
    return out


@pytest.mark.parametrize("text", [PROMPT, "a", "The capital of France is"])
def test_every_head_at_the_last_position_equals_the_loop(model, text):
    ids, other = model.tokens(text), model.tokens(OTHER)
    source = torch.stack(
        [plain_loop.values(model, other, "z", layer)[-1] for layer in range(model.n_layers)]
    )
    mean = torch.stack(
        [
            (source[layer] + plain_loop.values(model, ids, "z", layer)[-1]) / 2
            for layer in range(model.n_layers)
        ]
    )
    for over, change, values in [
        ("edges", wb.Patch(OTHER), source),
        ("heads", wb.Patch(OTHER), source),
        ("heads", "zero", torch.zeros_like(source)),
        ("heads", wb.Mean([text, OTHER], positions="last"), mean),
    ]:
        swept = sweep(model, text, TARGETS, over=over, change=change)["effect"]
        want = loop(model, ids, values, direct=over == "edges")
        torch.testing.assert_close(torch.as_tensor(swept.values[0]), want, atol=1e-4, rtol=1e-4)
        assert abs(swept).max() > 1e-3  # the comparison would pass on nothing but zeros
    assert hooks_on(model) == 0


@pytest.mark.parametrize("kind", ["heads", "layers", "neurons", "positions", "edges"])
@pytest.mark.parametrize("at", ["last", "all"])
def test_a_parts_own_value_changes_exactly_nothing(model, kind, at):
    found = sweep(
        model, [PROMPT, "a"], [[5], [77]], over=kind, change=wb.Patch([PROMPT, "a"]), positions=at
    )
    assert (found["effect"].fillna(0) == 0).all()


def test_the_whole_stream_at_layer_0_is_the_other_prompt(model):
    ids = model.tokens(PROMPT)
    found = sweep(
        model,
        [ids],
        [TARGETS],
        over=wb.Layers("resid_pre", layers=0),
        change=wb.Patch([ids[::-1]]),
        positions="all",
    ).isel(prompt=0)
    effect, gap = found["effect"].values[0, 0], (found["source"] - found["before"]).values
    torch.testing.assert_close(torch.as_tensor(effect), torch.as_tensor(gap), atol=1e-4, rtol=1e-4)
    assert abs(gap).max() > 1e-3


def test_several_positions_and_a_window_of_them_at_once(model):
    prompts, at = [PROMPT, "The capital of France is"], [1, -2]
    found = sweep(model, prompts, [TARGETS, TARGETS], positions=at)
    for row, text in enumerate(prompts):
        ids = model.tokens(text)
        for layer, head in model.heads():
            change = set_to(0.0, [1, len(ids) - 2], head)
            want = (
                plain_loop.run(model, ids, [("z", layer, change)]) - plain_loop.run(model, ids)
            )[TARGETS]
            got = torch.as_tensor(
                found["effect"].sel({"prompt": row, "layer": layer, "head": head}).values
            )
            torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", ["mean", "resample"])
@pytest.mark.parametrize("at", ["last", "all"])
def test_reference_values_are_those_of_ablate(model, method, at):
    prompts, reference = [PROMPT, "Nobody"], ["The safe opens with 7 4 1 9", "a", OTHER]
    change = wb.Mean(reference) if method == "mean" else wb.Resample(reference, seed=3)
    found = sweep(model, prompts, [TARGETS, TARGETS], change=change, positions=at)
    positions = None if at == "all" else [-1]
    for row, text in enumerate(prompts):
        for head in model.heads()[::3]:
            with wb.ablate(
                model, heads=[head], method=method, reference=reference, seed=3, positions=positions
            ):
                want = model.next_logits(text)[0, TARGETS]
            got = found["effect"].sel({"prompt": row, "layer": head[0], "head": head[1]}) + found[
                "before"
            ].sel({"prompt": row})
            torch.testing.assert_close(torch.as_tensor(got.values), want, atol=1e-4, rtol=1e-4)


def test_neurons_equal_the_loop(model):
    chosen = [(0, 3), (1, 60), (2, 0)]
    for at in ("last", "all"):
        found = sweep(model, [PROMPT, "a"], [TARGETS] * 2, over=wb.Neurons(chosen), positions=at)
        whole = sweep(model, [PROMPT, "a"], [TARGETS] * 2, over="neurons", positions=at)
        for row, text in enumerate([PROMPT, "a"]):
            ids = model.tokens(text)
            for layer, neuron in chosen:
                positions = range(len(ids)) if at == "all" else [len(ids) - 1]
                want = plain_loop.run(
                    model, ids, [("post", layer, set_to(0.0, positions, neuron))]
                ) - plain_loop.run(model, ids)
                for some in (found, whole):
                    got = torch.as_tensor(
                        some["effect"].sel({"prompt": row, "layer": layer, "neuron": neuron}).values
                    )
                    torch.testing.assert_close(got, want[TARGETS], atol=1e-4, rtol=1e-4)


def test_noise_is_the_same_wherever_a_prompt_stands(llama):
    options = {"over": "positions", "change": wb.Noise(1.0, seed=5)}
    alone = sweep(llama, ["Nobody"], [[5]], **options)["effect"]
    beside = sweep(llama, [PROMPT, "Nobody"], [[5], [5]], **options)["effect"].sel({"prompt": 1})
    torch.testing.assert_close(
        torch.as_tensor(alone.values[0]),
        torch.as_tensor(beside.sel({"pos": alone["pos"]}).values),
        atol=1e-4,
        rtol=1e-4,
    )
    assert abs(alone).max() > 1e-2


METRICS = {
    "logit": lambda now, before, t: now[t],
    "logit_diff": lambda now, before, t: (now[t[0]] - now[t[1:]].mean())[None],
    "logprob": lambda now, before, t: now.log_softmax(-1)[t],
    "prob": lambda now, before, t: now.softmax(-1)[t],
    "kl": (
        lambda now, before, t: (
            before.softmax(-1) * (before.log_softmax(-1) - now.log_softmax(-1))
        ).sum()[None]
    ),
}


@pytest.mark.parametrize("metric", METRICS)
def test_metrics(model, metric, monkeypatch):
    monkeypatch.setattr("hooks.sweeps.readout._WHOLE", 3 * 384)  # rows of three at a time
    prompts = [PROMPT, "Nobody"]
    found = sweep(model, prompts, None if metric == "kl" else [TARGETS] * 2, read=metric)
    for row, text in enumerate(prompts):
        ids = model.tokens(text)
        base = plain_loop.run(model, ids)
        for layer, head in model.heads()[::5]:
            now = plain_loop.run(model, ids, [("z", layer, set_to(0.0, [len(ids) - 1], head))])
            want = METRICS[metric](now, base, TARGETS) - METRICS[metric](base, base, TARGETS)
            got = torch.as_tensor(
                found["effect"].sel({"prompt": row, "layer": layer, "head": head}).values
            ).reshape(-1)
            torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-3)
    own = sweep(model, prompts, read=lambda logits: logits[:, 3].exp())
    logit = sweep(model, prompts, [[3], [3]])
    before = logit["before"].values[:, None, None]
    torch.testing.assert_close(
        torch.as_tensor(own["effect"].values[..., None]),
        torch.as_tensor(logit["effect"].values + before).exp() - torch.as_tensor(before).exp(),
        atol=1e-4,
        rtol=1e-3,
    )


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_prompts_any_cuts(llama, data):
    """Whatever the lengths, the number of prompts, and where work is cut into pieces: the same
    numbers.
    """
    texts = data.draw(
        st.lists(st.text("abc Perusafe", min_size=1, max_size=40), min_size=1, max_size=4)
    )
    texts = [t for t in texts if llama.tokens(t)]
    options = {
        "over": data.draw(st.sampled_from(["heads", "layers", "positions"])),
        "positions": data.draw(st.sampled_from(["last", "all"])),
        "change": wb.Patch([t[::-1] for t in texts]),
    }
    whole = sweep(llama, texts, [[5]] * len(texts), **options)["effect"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "WALK", data.draw(st.sampled_from([1, 10**5, 10**6])))
        patch.setattr(runner, "RECORD", data.draw(st.sampled_from([1, 10**5])))
        patch.setattr(runner, "STRETCHES", data.draw(st.sampled_from([1, 3, 100])))
        cut = sweep(llama, texts, [[5]] * len(texts), **options)["effect"]
    torch.testing.assert_close(
        torch.as_tensor(whole.values),
        torch.as_tensor(cut.values),
        atol=1e-4,
        rtol=1e-4,
        equal_nan=True,
    )


def test_a_family_that_breaks_the_identity_is_read_whole_or_refused(llama, monkeypatch):
    want = sweep(llama, PROMPT, TARGETS)["effect"]
    monkeypatch.setattr(
        batched_forward,
        "_single_tokens",
        lambda query, key, value, recorded: torch.zeros_like(query.transpose(1, 2)),
    )
    torch.testing.assert_close(
        torch.as_tensor(sweep(llama, PROMPT, TARGETS)["effect"].values),
        torch.as_tensor(want.values),
        atol=1e-4,
        rtol=1e-4,
    )
    walk = batched_forward.BatchedForward.run
    monkeypatch.setattr(batched_forward.BatchedForward, "run", lambda self: walk(self).flip(-1))
    with pytest.raises(WorkbenchError, match="does not reproduce"):
        sweep(llama, PROMPT, TARGETS)


def test_a_sweep_reports_and_can_be_cancelled(llama):
    seen = []
    progress = wb.Progress(lambda update: seen.append(update.fraction))
    sweep(llama, [PROMPT, "a"], [TARGETS] * 2, positions="all", progress=progress)
    assert seen == sorted(seen)
    assert seen[-1] > 0
    progress.cancel()
    with pytest.raises(Cancelled):
        sweep(llama, PROMPT, TARGETS, progress=progress)
    assert hooks_on(llama) == 0


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"over": "head"}, NotFound, "Did you mean 'heads'"),
        ({"over": wb.Heads}, NotFound, "kind of component"),
        ({"change": "zeros"}, NotFound, "Did you mean 'zero'"),
        ({"change": "patch"}, BadInput, "source is missing"),
        ({"change": "mean"}, BadInput, "reference is missing"),
        ({"change": None}, NotFound, "way to change"),
        ({"read": "logitdiff"}, NotFound, "Did you mean 'logit_diff'"),
        ({"read": ["logit"]}, NotFound, "metric"),
        ({"read": "logit_diff", "targets": 5}, BadInput, "at least 2"),
        ({"over": wb.Heads([(9, 0)])}, BadInput, "no head L9H0"),
        ({"over": wb.Heads(layers=7)}, BadInput, "no layer 7"),
        ({"over": wb.Neurons([(0, 9999)])}, BadInput, "no such neuron"),
        ({"over": wb.Edges([(9, 0)])}, BadInput, "no head L9H0"),
        ({"over": wb.Layers("mlp_outt")}, SiteNotFound, "Did you mean 'mlp_out'"),
        ({"change": wb.Patch(["a", "b"])}, BadInput, "2 sources for 1 prompts"),
        ({"positions": [99]}, BadInput, "no position 99"),
        ({"positions": "first"}, NotFound, "choice of positions"),
        ({"method": "attributions"}, NotFound, "Did you mean 'attribution'"),
        ({"targets": [[5], [6]], "prompts": ["a"]}, BadInput, "2 targets for 1 prompts"),
        ({"targets": 100_000}, BadInput, "no token 100000"),
        ({"read": lambda logits: logits}, BadInput, "one number per row"),
        ({"read": lambda logits, ids: logits}, BadInput, "cannot be called with logits"),
        ({"prompts": []}, BadInput, "no prompt"),
    ],
)
def test_what_cannot_be_is_said(llama, options, error, says):
    given = {"prompts": "Nobody", "targets": [5], **options}
    with pytest.raises(error, match=says):
        sweep(llama, given.pop("prompts"), given.pop("targets"), **given)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: wb.Heads([5]), BadInput, "no head"),
        (lambda: wb.Heads(5), BadInput, "no head"),
        (lambda: wb.Heads(["L0H0"]), BadInput, "no head"),
        (lambda: wb.Heads([(0, 1)], layers=[0]), BadInput, "Both heads and layers"),
        (lambda: wb.Heads(layers="all"), BadInput, "no layers"),
        (lambda: wb.Heads(layers=[0.5]), BadInput, "no layers"),
        (lambda: wb.Neurons([3]), BadInput, "no neuron"),
        (lambda: wb.Neurons([(0, 3)], layers=0), BadInput, "Both neurons and layers"),
        (lambda: wb.Layers("pattern"), BadInput, "does not change 'pattern'"),
        (lambda: wb.Positions([]), BadInput, "no sites"),
        (lambda: wb.Edges("logit"), NotFound, "Did you mean 'logits'"),
        (lambda: wb.Edges([2]), BadInput, "no head"),
        (lambda: wb.Edges([]), BadInput, "need a receiver"),
        (lambda: wb.Edges([(1, 1)], inputs=["w"]), NotFound, "input of a head 'w'"),
        (lambda: wb.Edges(freeze="everything"), NotFound, "freeze"),
        (lambda: wb.Mean([]), BadInput, "no reference prompts"),
        (lambda: wb.Mean("a", positions=[]), BadInput, "no positions"),
        (lambda: wb.Resample(None), BadInput, "no reference prompts"),
        (lambda: wb.Resample("a", seed=0.5), BadInput, "no seed"),
        (lambda: wb.Patch([]), BadInput, "no source prompts"),
        (lambda: wb.Patch("a", align="middle"), NotFound, "alignment"),
        (lambda: wb.Noise(-1.0), BadInput, "standard deviation"),
        (lambda: wb.Noise("loud"), BadInput, "standard deviation"),
        (lambda: wb.Noise(float("nan")), BadInput, "standard deviation"),
        (lambda: wb.Logit(norm="melted"), NotFound, "final norm"),
        (lambda: wb.Custom(5), BadInput, "cannot be called with logits"),
        (lambda: wb.LogitDiff().of([5]), BadInput, "at least 2"),
    ],
)
def test_a_part_of_the_question_is_checked_when_it_is_made(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_references_may_be_given_once(llama):
    """A generator of prompts can be read once; the change that holds it can be used again."""
    change = wb.Mean(text for text in ["a", PROMPT])
    first, again = (sweep(llama, PROMPT, TARGETS, change=change) for _ in range(2))
    assert first.equals(again)
    assert first.equals(sweep(llama, PROMPT, TARGETS, change=wb.Mean(["a", PROMPT])))
