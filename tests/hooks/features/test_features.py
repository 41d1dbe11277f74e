"""Features as places: what is seen is what SAELens computes, and what is changed is what was
asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from hooks.features.attribute import ERROR
from hooks.features.quality import quality
from hooks.features.sae import SKIP
from hooks.metrics import loss
from tests.helpers.autoencoders import KINDS, made, saved
from workbench.errors import BadInput, NotFound
from workbench.progress import Progress

TEXTS = [
    "The capital of France is Paris.",
    "Nobody remembers what the model was trained on, nobody at all.",
]


@pytest.fixture(params=KINDS)
def features(request: pytest.FixtureRequest, llama: Any, tmp_path: Path) -> Any:
    folder = saved(made(request.param, llama.card.d_model), tmp_path / request.param)
    return wb.open_features(folder, llama, force=True)


def stream(model: Any, text: str, layer: int = 1) -> torch.Tensor:
    """The residual stream after a layer, (pos, d_model), by a plain hook of our own."""
    kept = []
    handle = model.layout.blocks[layer].module.register_forward_hook(
        lambda m, a, out: kept.append(out[0] if isinstance(out, tuple) else out)
    )
    with torch.no_grad():
        model.module(**model.batch(text).kwargs())
    handle.remove()
    return kept[0][0]


def logits(model: Any, text: str) -> torch.Tensor:
    with torch.no_grad():
        return model.module(**model.batch(text).kwargs()).logits[0]


def test_activations_are_those_of_saelens(features: Any, llama: Any, tmp_path: Path) -> None:
    with torch.no_grad():
        own = features.sae.encode(stream(llama, TEXTS[0]))
    assert (own > 0).any()
    trace = wb.capture(
        llama, TEXTS, sites="resid_post", layers=1, reduce=features.active(features.width)
    )
    values = trace["resid_post"].isel(prompt=0, layer=0).values[: len(own)]
    index = trace["resid_post.index"].isel(prompt=0, layer=0).values[: len(own)]
    dense = np.zeros(own.shape)
    for pos, (row, where) in enumerate(zip(values, index, strict=True)):
        dense[pos, where[where >= 0]] = row[where >= 0]
    assert dense == pytest.approx(own.numpy(), abs=1e-5)
    assert (
        trace["resid_post.count"].isel(prompt=0, layer=0).values[: len(own)]
        == (own > 0).sum(-1).numpy()
    ).all()
    with torch.no_grad():
        error = (stream(llama, TEXTS[0]) - features.sae.decode(own)).norm(dim=-1)
    assert trace["resid_post.error"].isel(prompt=0, layer=0).values[: len(own)] == pytest.approx(
        error.numpy(), rel=1e-4
    )


def test_only_the_strongest_are_kept_and_how_many_there_were_is_said(
    features: Any, llama: Any
) -> None:
    trace = wb.capture(
        llama, TEXTS[0], sites="resid_post", layers=1, reduce=features.active(3, threshold=0.1)
    )
    kept, count = (
        trace["resid_post"].isel(prompt=0, layer=0),
        trace["resid_post.count"].isel(prompt=0, layer=0),
    )
    assert kept.sizes["rank"] == 3
    assert (np.isfinite(kept.values).sum(-1) == np.minimum(count.values, 3)).all()
    assert (kept.values[np.isfinite(kept.values)] > 0.1).all()
    assert (np.diff(np.nan_to_num(kept.values), axis=-1) <= 0).all()


def test_streamed_to_a_folder_they_are_the_same(features: Any, llama: Any, tmp_path: Path) -> None:
    asked = {"sites": "resid_post", "layers": 1, "reduce": features.active(8)}
    here, there = (
        wb.capture(llama, TEXTS, **asked),
        wb.capture(llama, TEXTS, out=tmp_path / "trace", **asked),
    )
    for name in here:
        assert np.allclose(here[name].values, there[name].values, equal_nan=True, atol=1e-6), name


def test_steering_to_what_is_there_changes_nothing(features: Any, llama: Any) -> None:
    own = logits(llama, TEXTS[0])
    with torch.no_grad():
        at_last = features.sae.encode(stream(llama, TEXTS[0]))[-1]
    with features.steer(
        {f: float(at_last[f]) for f in range(0, features.width, 7)}, positions=[-1]
    ):
        assert torch.allclose(logits(llama, TEXTS[0]), own, atol=1e-5)
    with features.scale([0, 1, 2], factor=1.0):
        assert torch.equal(logits(llama, TEXTS[0]), own)


@pytest.mark.parametrize("how", ["ablate", "scale", "steer"])
def test_a_change_is_that_of_the_decoder_row_and_the_error_term_stays(
    features: Any, llama: Any, how: str
) -> None:
    x = stream(llama, TEXTS[0])
    with torch.no_grad():
        own = features.sae.encode(x)
    which = own[-1].topk(3).indices.tolist()
    goal = {"ablate": own * 0, "scale": own * 2.5, "steer": own * 0 + 1.5}[how]
    expected = x.clone()
    for feature in which:
        expected[-1] += (goal - own)[-1, feature] * features.sae.W_dec[feature].detach()
    context = {
        "ablate": lambda: features.ablate(which, positions=[-1]),
        "scale": lambda: features.scale(which, factor=2.5, positions=[-1]),
        "steer": lambda: features.steer(dict.fromkeys(which, 1.5), positions=[-1]),
    }[how]
    with context():
        found = wb.capture(llama, TEXTS[0], sites="resid_post", layers=1)["resid_post"].values[0, 0]
    assert found == pytest.approx(expected.numpy(), abs=1e-4)
    assert torch.equal(stream(llama, TEXTS[0]), x)


def test_splicing_puts_the_reconstruction_there(features: Any, llama: Any) -> None:
    x = stream(llama, TEXTS[0])
    with torch.no_grad():
        said = features.sae.decode(features.sae.encode(x))
    with features.splice(positions=[2, 3]):
        found = torch.as_tensor(
            wb.capture(llama, TEXTS[0], sites="resid_post", layers=1)["resid_post"].values[0, 0]
        )
    assert torch.allclose(found[2:4], said[2:4], atol=1e-5)
    assert torch.equal(found[4:], x[4:])


def test_changes_hold_at_generated_tokens(llama: Any, tmp_path: Path) -> None:
    features = wb.open_features(saved(made("standard", 32), tmp_path / "sae"), llama, force=True)
    own = llama.generate(TEXTS[0], max_new_tokens=12)
    with features.steer({5: 60.0}):
        steered = llama.generate(TEXTS[0], max_new_tokens=12)
    assert steered != own
    assert llama.generate(TEXTS[0], max_new_tokens=12) == own


def test_where_the_autoencoder_normalises_each_vector_a_unit_is_that_vectors(
    llama: Any, tmp_path: Path
) -> None:
    sae = made("standard", 32, normalize_activations="layer_norm")
    features = wb.open_features(saved(sae, tmp_path / "sae"), llama, force=True)
    x = stream(llama, TEXTS[0])
    with torch.no_grad():
        own = features.sae.encode(x)
        off = own.clone()
        off[:, 11] = 0
        whole = features.sae.decode(own)
        features.sae.encode(x)  # SAELens keeps the scale of one call for one decoding
        expected = x + features.sae.decode(off) - whole
    with features.ablate([11]):
        found = wb.capture(llama, TEXTS[0], sites="resid_post", layers=1)["resid_post"].values[0, 0]
    assert found == pytest.approx(expected.numpy(), abs=1e-4)


def test_heads_are_read_side_by_side(llama: Any, tmp_path: Path) -> None:
    sae = made(
        "standard",
        llama.n_heads * llama.d_head,
        hook="blocks.1.attn.hook_z",
        reshape_activations="hook_z",
    )
    features = wb.open_features(saved(sae, tmp_path / "sae"), llama, force=True)
    z = (
        wb.capture(llama, TEXTS[0], sites="z", layers=1)["z"]
        .transpose("prompt", "layer", "pos", "head", "d_head")
        .values[0, 0]
    )
    flat = torch.as_tensor(z).flatten(-2)
    with torch.no_grad():
        own = torch.relu((flat - sae.b_dec) @ sae.W_enc + sae.b_enc)
    assert torch.allclose(features.encode(torch.as_tensor(z)), own, atol=1e-5)
    with features.ablate([3], positions=[-1]):
        found = wb.capture(llama, TEXTS[0], sites="z", layers=1)["z"].transpose(
            "prompt", "layer", "pos", "head", "d_head"
        )
    expected = flat[-1] - own[-1, 3] * sae.W_dec[3].detach()
    assert found.values[0, 0][-1].ravel() == pytest.approx(expected.numpy(), abs=1e-4)


def test_attribution_is_the_slope_of_scaling_a_feature(features: Any, llama: Any) -> None:
    found = wb.attribute_features(features, TEXTS, loss, k=20)
    x = stream(llama, TEXTS[1])
    with torch.no_grad():
        own = features.sae.encode(x)
    best = found[(found["prompt"] == 1) & (found["feature"] != ERROR)].iloc[:5]
    assert (best["activation"] > 0).all()
    batch = llama.batch(TEXTS[1])
    for row in best.itertuples():
        factor = torch.ones((), requires_grad=True)

        def scaled(m: Any, a: Any, out: Any, row: Any = row, factor: Any = factor) -> Any:
            first = out[0] if isinstance(out, tuple) else out
            new = first.clone()
            new[0, row.pos] = (
                new[0, row.pos]
                + (factor - 1)
                * own[row.pos, row.feature]
                * features.sae.W_dec[row.feature].detach()
            )
            return (new, *out[1:]) if isinstance(out, tuple) else new

        handle = llama.layout.blocks[1].module.register_forward_hook(scaled)
        value = loss(
            llama.module(**batch.kwargs()).logits, batch.input_ids, batch.attention_mask
        ).sum()
        handle.remove()
        (slope,) = torch.autograd.grad(value, factor)
        assert row.effect == pytest.approx(float(slope), rel=1e-3, abs=1e-6)


def test_features_and_error_term_together_are_gradient_times_activation(
    llama: Any, tmp_path: Path
) -> None:
    """What the features say, the error and the decoder's bias make up the vector, so their
    effects add up.
    """
    sae = made("standard", 32)
    sae.b_dec.data.zero_()
    features = wb.open_features(saved(sae, tmp_path / "sae"), llama, force=True)
    found = wb.attribute_features(features, TEXTS[0], k=10**6)
    whole = wb.activation_gradients(
        llama, TEXTS[0], sites="resid_post", layers=1, times_activation=True
    )["resid_post"]
    by_token = found.groupby("pos")["effect"].sum().to_numpy()
    assert by_token == pytest.approx(whole.values[0, 0].sum(-1), abs=1e-4)


def test_the_quality_card_is_what_a_plain_loop_finds(features: Any, llama: Any) -> None:
    ids = [list(range(20 + 3 * n, 60 + 3 * n)) for n in range(20)]
    card = quality(features, ids, Progress())
    kept = []
    for row in ids:
        caught = []
        handle = llama.layout.blocks[1].module.register_forward_hook(
            lambda m, a, out, caught=caught: caught.append(
                out[0] if isinstance(out, tuple) else out
            )
        )
        with torch.no_grad():
            llama.module(input_ids=torch.tensor([row]))
        handle.remove()
        kept.append(caught[0][0, SKIP:])
    x = torch.cat(kept)
    with torch.no_grad():
        own = features.sae.encode(x)
        said = features.sae.decode(own)
    expected = 1 - float(((x - said) ** 2).sum() / ((x - x.mean(0)) ** 2).sum())
    assert card["explained_variance"] == pytest.approx(expected, rel=1e-3)
    assert card["l0"] == pytest.approx(float((own > 0).float().sum(-1).mean()), rel=1e-4)
    assert card["never_active"] == int((~(own > 0).any(0)).sum())
    assert card["tokens_measured"] == len(x)

    def own_loss(change: Any) -> float:
        losses = []
        for row in ids:
            handle = llama.layout.blocks[1].module.register_forward_hook(change) if change else None
            with torch.no_grad():
                out = llama.module(input_ids=torch.tensor([row])).logits[0, SKIP:-1]
            if handle:
                handle.remove()
            losses.append(torch.nn.functional.cross_entropy(out, torch.tensor(row[SKIP + 1 :])))
        return float(torch.stack(losses).mean())

    def put(new: Any) -> Any:
        def change(m: Any, a: Any, out: Any) -> Any:
            first = (out[0] if isinstance(out, tuple) else out).clone()
            first[:, SKIP:] = new(first[:, SKIP:])
            return (first, *out[1:]) if isinstance(out, tuple) else first

        return change

    spliced, zeroed = own_loss(put(features.reconstruct)), own_loss(put(torch.zeros_like))
    assert card["loss"] == pytest.approx(own_loss(None), rel=1e-5)
    assert card["loss_spliced"] == pytest.approx(spliced, rel=1e-4)
    assert card["recovered"] == pytest.approx(
        (zeroed - spliced) / (zeroed - own_loss(None)), rel=1e-2
    )


def test_features_that_are_not_there_are_refused(features: Any) -> None:
    with pytest.raises(NotFound, match=r"no feature 96(.|\n)*0 to 95"), features.ablate([96]):
        pass
    with pytest.raises(NotFound), features.steer({-1: 2.0}):
        pass
    with pytest.raises(BadInput):
        features.active(0)
    with pytest.raises(BadInput):
        features.active(97)


def test_the_reducer_fits_only_its_own_site(features: Any, llama: Any) -> None:
    with pytest.raises(BadInput, match="resid_post"):
        wb.capture(llama, TEXTS[0], sites="mlp_out", layers=1, reduce=features.active(4))


def test_what_lies_above_the_last_place_is_not_computed(model: Any) -> None:
    wb.capture(model, TEXTS, sites="resid_post")  # what is asked once per model has been asked
    ran: list[int] = []
    handles = [
        b.module.register_forward_hook(lambda m, a, o, n=n: ran.append(n))
        for n, b in enumerate(model.layout.blocks)
    ]
    try:
        early = wb.capture(model, TEXTS, sites=["resid_post", "z"], layers=[0, 1])
        assert sorted(set(ran)) == [0, 1]
        ran.clear()
        whole = wb.capture(model, TEXTS, sites=["resid_post", "z"])
        assert sorted(set(ran)) == [0, 1, 2]
    finally:
        for handle in handles:
            handle.remove()
    for site in early:
        assert np.array_equal(
            early[site].values, whole[site].isel(layer=[0, 1]).values, equal_nan=True
        )
    assert not any(b.module._forward_pre_hooks for b in model.layout.blocks)


def test_the_end_of_a_forward_pass_is_no_error_that_others_see(llama: Any) -> None:
    with torch.no_grad():
        own = llama.module(**llama.batch(TEXTS[0]).kwargs()).logits
    wb.capture(llama, TEXTS[0], sites="resid_post", layers=0)
    with torch.no_grad():
        assert torch.equal(llama.module(**llama.batch(TEXTS[0]).kwargs()).logits, own)
