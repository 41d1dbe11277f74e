"""What the hook layer does with a model that lies elsewhere: nothing is left on the CPU, and
nothing is waited for in a layer.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from analyses.measures.windows import Window
from hooks import device_transfer
from hooks.capture import _Array
from hooks.decode import InterventionDecoder
from hooks.gradients.activations import activation_gradients
from hooks.gradients.parameters import gradient_sizes
from hooks.layer_replay import logit_error
from hooks.metrics import loss
from hooks.reduce import Project
from tests.helpers import card, families
from tests.helpers.card import CARD, OnCard, on_card
from tests.helpers.tiny import tiny_gpt2, tiny_llama, tiny_tokenizer
from workbench.models import weight_hash

PROMPTS = ["The capital of France is", "The safe opens with 7 4 1 9, and"]
TARGETS = [[5, 7], [9, 11]]


@pytest.fixture
def pair():
    """The same model here and on the card, and what was seen there."""
    here = wb.load((tiny_llama(), tiny_tokenizer()))
    with card.card() as seen:
        yield here, wb.load((on_card(tiny_llama()), tiny_tokenizer())), seen


def values(found):
    """Everything in what a call gave, as arrays."""
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list | tuple):
        return [array for part in found for array in values(part)]
    if isinstance(found, torch.Tensor):
        return [found.detach().cpu().numpy()]
    return [np.asarray(getattr(found, "values", found))]


def agree(job, pair):
    """What the job gives here and on the card; both would agree on nothing but zeros too."""
    here, there, _ = pair
    expected = values(job(here))
    for own, far in zip(expected, values(job(there)), strict=True):
        if own.dtype.kind in "fiu":
            np.testing.assert_allclose(far, own, rtol=1e-4, atol=1e-4, equal_nan=True)
        else:
            np.testing.assert_array_equal(far, own)
    assert any(own.dtype.kind not in "fiu" or np.nan_to_num(own).any() for own in expected)
    return expected


def test_agreement_on_other_values_or_on_nothing_fails(pair):
    card_model = pair[1]
    for job in (
        lambda m: torch.zeros(3),
        lambda m: [],
        lambda m: torch.ones(3) if m is card_model else torch.full((3,), 2.0),
    ):
        with pytest.raises(AssertionError):
            agree(job, pair)


def test_the_card_refuses_what_a_card_refuses():
    with card.card() as seen:
        far, near = torch.arange(6.0).view(2, 3).to(CARD), torch.ones(2, 3)
        assert far.device == CARD
        assert isinstance(far, OnCard)
        for mixed in (
            lambda: far + near,
            lambda: near[torch.tensor([0], device=CARD)],
            lambda: far.gather(1, torch.zeros(2, 1, dtype=torch.long)),
            lambda: far.masked_fill(near > 0, 0.0),
            lambda: torch.cat([far, near]),
        ):
            with pytest.raises(RuntimeError, match="card"):
                mixed()
        with pytest.raises((RuntimeError, TypeError)):
            far.numpy()
        assert {why for why, _ in seen.waits} == {"a tensor is sent"}
        seen.waits.clear()
        assert far[far > 1].sum().item() == 14
        assert [why for why, _ in seen.waits] == ["how many are chosen", "a number is read"]
        torch.testing.assert_close(
            (far + torch.tensor(1.0)).cpu(), torch.arange(1.0, 7.0).view(2, 3)
        )


@pytest.mark.parametrize(
    "reduce", [None, "last", "mean", "norm", "entropy", "topk:3", "lowrank:2", "project"]
)
def test_captures(pair, reduce):
    here, _, _ = pair
    how = Project(torch.eye(32)[:2]) if reduce == "project" else reduce
    sites = {
        "entropy": ["pattern", "logits"],
        "topk:3": ["pattern", "attn_scores", "logits", "post"],
    }
    vectors = ["resid_post"] if reduce == "project" else ["resid_post", "z", "ln1", "post"]
    chosen = list(here.sites) if reduce is None else sites.get(reduce, vectors)

    def job(model):
        trace = wb.capture(model, PROMPTS, chosen, reduce=how)
        return [trace[name].values for name in trace if not name.endswith(".basis")]

    if reduce == "lowrank:2":  # directions may point the other way

        def job(model):
            trace = wb.capture(model, PROMPTS, chosen, reduce=how)
            return [(trace[s] * trace[f"{s}.basis"]).sum("rank").values for s in chosen]

    agree(job, pair)


def test_captures_to_a_folder(pair, tmp_path):
    for dtype in ("float16", "bfloat16"):
        agree(
            lambda model, dtype=dtype: (
                wb.capture(
                    model,
                    PROMPTS,
                    ["z", "pattern"],
                    positions=[0, -1],
                    dtype=dtype,
                    out=tmp_path / f"{dtype}{model.device.type}",
                )["z"].values
            ),
            pair,
        )


def test_changes_hold_during_generate(pair):
    other = "The capital of Norway is"
    trace = wb.capture(pair[0], other, ["z", "resid_post", "pattern", "attn_scores", "rot_q"])
    unchanged = pair[0].next_logits(PROMPTS[0])
    changes = [
        lambda m: wb.ablate(m, heads=[(1, 1), (0, 2)]),
        lambda m: wb.ablate(m, heads=[(1, 1)], positions=[0, -1]),
        lambda m: wb.ablate(m, heads=[(1, 1)], method="mean", reference=PROMPTS),
        lambda m: wb.ablate(m, heads=[(1, 1)], method="resample", reference=PROMPTS),
        lambda m: wb.scale(m, site="pattern", heads=[(1, 1)], factor=0.5),
        lambda m: wb.scale(m, site="attn_scores", layers=[1], factor=0.5),
        lambda m: wb.add(m, torch.ones(32), site="resid_post", layers=[1], positions=[-1]),
        *(lambda m, s=site: wb.patch(m, trace, site=s, layers=[1]) for site in trace),
    ]
    for change in changes:

        def job(model, change=change):
            with change(model):
                return model.next_logits(PROMPTS[0]), list(
                    model.generate(PROMPTS[0], max_new_tokens=3)
                )

        changed = agree(job, pair)[0]
        assert abs(changed - unchanged.numpy()).max() > 1e-3  # else nothing need hold


@pytest.mark.parametrize(
    "over", ["heads", "layers", wb.Neurons([(1, 3), (2, 5)]), "positions", "edges"]
)
@pytest.mark.parametrize("positions", ["last", "all"])
def test_sweeps(pair, over, positions):
    agree(
        lambda m: wb.sweep(m, PROMPTS, TARGETS, over=over, read="logit_diff", positions=positions)[
            "effect"
        ],
        pair,
    )


@pytest.mark.parametrize(
    "change", [wb.Mean(PROMPTS), wb.Resample(PROMPTS), wb.Patch(PROMPTS[::-1]), wb.Noise()]
)
def test_sweeps_of_other_values(pair, change):
    agree(lambda m: wb.sweep(m, PROMPTS, TARGETS, over="positions", change=change)["effect"], pair)


def test_other_sweeps(pair):
    for ask in ("logprob", "kl", lambda logits: logits[:, 3] - logits.mean(-1)):
        agree(lambda m, ask=ask: wb.sweep(m, PROMPTS, TARGETS, read=ask)["effect"], pair)
    agree(lambda m: wb.sweep(m, PROMPTS, TARGETS, read=wb.Logit(norm="frozen"))["effect"], pair)
    agree(
        lambda m: wb.sweep(
            m, PROMPTS, [[5, 7, 9], [5, 7, 8]], read="continuation", positions="all"
        )["effect"],
        pair,
    )
    agree(
        lambda m: wb.sweep(m, PROMPTS, TARGETS, over=wb.Edges([(2, 1), (1, 0)]))["effect"],
        pair,
    )
    agree(
        lambda m: wb.sweep(m, PROMPTS, TARGETS, over="neurons", method=wb.Attribution(recheck=3))[
            "exact"
        ],
        pair,
    )


def test_gradients(pair):
    sites = ["z", "resid_post", "pattern", "rot_q", "embed"]
    agree(lambda m: [activation_gradients(m, PROMPTS, loss, sites)[s].values for s in sites], pair)
    agree(lambda m: wb.weight_gradients(m, PROMPTS)["W_Q"], pair)
    for at_once in (False, True):
        agree(
            lambda m, one=at_once: wb.gradient_norms(m, PROMPTS, one_by_one=one)["layer_total"],
            pair,
        )
    agree(lambda m: gradient_sizes(m, PROMPTS)["W_O"], pair)
    agree(
        lambda m: wb.sweep(
            m, PROMPTS, TARGETS, read="logit_diff", positions="all", method=wb.Attribution(0)
        )["effect"],
        pair,
    )
    agree(lambda m: wb.integrated_gradients(m, PROMPTS[0], steps=4)["embed"], pair)
    agree(lambda m: wb.influence(m, PROMPTS, PROMPTS)["influence"], pair)


def test_extraction_and_completion(pair):
    windows = [
        Window(0, i, (0,), tuple(range(5 + i, 11 + i)), tuple(range(20 + i, 28 + i)))
        for i in range(5)
    ]
    for whole in (True, False):
        agree(
            lambda m, w=whole: score(m, windows, Sampler(1.0, 40, 0.9), whole=w, floor=-60).log_p,
            pair,
        )

    def job(model):
        completer = InterventionDecoder(model, [model.tokens(p) for p in PROMPTS])
        with completer.with_head_scales({(1, 1): 0.0, (2, 0): 2.0}) as reading:
            said = [c.text for c in reading.complete(lambda row, text: len(text) > 5, 4)]
            return [*reading.logp([[5, 7], [9]]), said]

    agree(job, pair)


def test_the_model_itself(pair):
    here, there, _ = pair
    agree(lambda m: [m.next_logits(PROMPTS), m.next_tokens(PROMPTS[0])["id"].to_numpy()], pair)
    agree(
        lambda m: m.unembed(
            torch.ones(2, 32, device=m.device), torch.tensor([1, 2], device=m.device)
        ),
        pair,
    )
    assert weight_hash(there.module) == weight_hash(here.module)
    assert there.card.device == "lazy:0"
    assert all(line.holds() for line in wb.contract(there))


@pytest.mark.parametrize("name", ["gpt_neox", "gemma2", "mixtral", "mamba2", "recurrent_gemma"])
def test_other_families(name):
    tokenizer = tiny_tokenizer()
    here = wb.load((families.module(name), tokenizer))
    with card.card() as seen:
        both = here, wb.load((on_card(families.module(name)), tokenizer)), seen
        sites = [
            s for s in here.sites if here.sites[s] is None or len(here.sites[s]) == here.n_layers
        ]
        ids = [here.tokens(PROMPTS[0])[:6]]

        def captured(model):
            trace = wb.capture(model, ids, sites)
            return [trace[site].values for site in sites]

        agree(captured, both)
        agree(lambda m: list(m.generate("The", max_new_tokens=2)), both)
        if "z" in here.sites and here.heads():
            agree(lambda m: wb.sweep(m, ids, [[5, 7]], read="logit_diff")["effect"], both)


def test_bfloat16_reaches_numpy():
    """NumPy has no bfloat16; whatever becomes an array is made float32 or bits first."""
    with card.card():
        model = wb.load((on_card(tiny_gpt2().to(torch.bfloat16)), tiny_tokenizer()))
        trace = wb.capture(model, PROMPTS, ["resid_post", "z", "pattern", "logits"])
        assert all(trace[s].dtype == np.float32 for s in trace)
        assert np.isfinite(wb.sweep(model, PROMPTS, TARGETS, read="logit_diff")["effect"]).all()
        assert np.isfinite(activation_gradients(model, PROMPTS[:1], loss, "z")["z"]).all()
        assert np.isfinite(wb.gradient_norms(model, PROMPTS[:1])["layer_total"]).all()


def test_nothing_is_waited_for_between_the_layers(pair, monkeypatch):
    """A forward pass with hooks in it runs through: the processor waits as often with four
    layers as with two.
    """
    _, _, seen = pair
    waited = []
    monkeypatch.setattr(device_transfer, "_on_a_card", lambda x: x.device.type == CARD.type)
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    counts: dict[str, list[int]] = {}
    trace = wb.capture(pair[0], PROMPTS[0], ["z", "resid_post"])
    for n_layers in (2, 4):
        model = wb.load((on_card(tiny_llama(n_layers)), tiny_tokenizer()))
        ids = [model.tokens(PROMPTS[0])]
        jobs = {
            "capture": lambda m=model, i=ids: wb.capture(m, i, ["z", "resid_post", "pattern"]),
            "reduced": lambda m=model, i=ids: wb.capture(
                m, i, ["resid_post", "pattern"], reduce="last"
            ),
            "ablate": lambda m=model, i=ids: _under(
                wb.ablate(m, heads=m.heads()[:: m.n_heads], positions=[-1]), m, i
            ),
            "patch": lambda m=model, i=ids: _under(
                wb.patch(m, trace, site="z", layers=[0, 1]), m, i
            ),
            "sweep": lambda m=model, i=ids: wb.sweep(m, i, [[5, 7]]),
            "sweep, all": lambda m=model, i=ids: wb.sweep(m, i, [[5, 7]], positions="all"),
        }
        for name, job in jobs.items():
            job()
            seen.waits.clear()
            job()
            # What is ordered now and waited for later is fetched without waiting.
            real = Counter(
                why
                for why, where in seen.waits
                if why != "a tensor is fetched" or "device_transfer.py" not in where
            )
            counts.setdefault(name, []).append(real.total())
    assert all(few == many for few, many in counts.values()), counts
    assert counts["patch"][0] == counts["ablate"][0] + 2, (
        counts
    )  # the source's values for two layers are sent, once
    assert len(waited) == 8  # each capture waits once


def _under(change, model, ids):
    with change:
        return model.next_logits(ids)


def test_what_is_ordered_early_arrives_in_its_order(monkeypatch):
    monkeypatch.setattr(device_transfer, "_on_a_card", lambda x: x.dtype == torch.float32)
    waited, came = [], []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    monkeypatch.setattr(device_transfer, "MOST", 4 * 100)
    away = device_transfer.Fetching()
    away.send([torch.full((60,), 1.0)], lambda x: came.append(float(x[0][0])))
    assert came == []
    away.send([torch.full((2,), 9)], lambda x: came.append(int(x[0][0])))  # lies here already
    away.send([torch.full((60,), 2.0)], lambda x: came.append(float(x[0][0])))  # too much: waits
    assert came == [9, 1.0, 2.0]
    assert len(waited) == 1
    away.send([torch.full((60,), 3.0)], lambda x: came.append(float(x[0][0])))
    away.arrive()
    away.arrive()
    assert came == [9, 1.0, 2.0, 3.0]
    assert len(waited) == 2


def test_not_everything_is_held_in_memory_that_cannot_be_swapped_out(llama, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda x: True)
    want = wb.capture(llama, PROMPTS[0], "resid_post")["resid_post"].values
    held = []
    real = device_transfer.MOST
    for most in (real, 16):
        monkeypatch.setattr(device_transfer, "MOST", most)
        with monkeypatch.context() as patched:
            patched.setattr(
                "hooks.capture._Array.hold",
                lambda array, at, x, hold=_Array.hold: (held.append(at), hold(array, at, x)),
            )
            np.testing.assert_array_equal(
                wb.capture(llama, PROMPTS[0], "resid_post")["resid_post"].values, want
            )
    assert held == [0, 1, 2]


def test_a_card_that_rounds_factors_is_given_room(llama, monkeypatch):
    """TF32 keeps 10 bits of each factor: a control row that is off by that much is no fault of
    the architecture.
    """
    logits = torch.ones(1, 4)
    monkeypatch.setattr("hooks.rounding.tensor_float", lambda device: True)
    assert logit_error(logits, logits, llama)[1] == pytest.approx(
        2.0**-10 * (2 * llama.n_layers) ** 0.5
    )
    monkeypatch.setattr("hooks.rounding.tensor_float", lambda device: False)
    assert logit_error(logits, logits, llama)[1] == 1e-3
