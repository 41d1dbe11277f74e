"""Reducers against plain NumPy over the whole values, prompt by prompt; misfits are refused with
what would fit.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from hooks import reduce
from hooks.sites import SITES
from workbench.errors import BadInput, NotFound, SiteNotFound

PROMPTS = ["The capital of France is", "Nobody", "The safe opens with 7 4 1 9, and the other one"]


@pytest.fixture(scope="module")
def whole(llama):
    return wb.capture(
        llama, PROMPTS, sites=["resid_post", "z", "pattern", "attn_scores", "logits", "post"]
    )


def each(whole, site):
    """The values of each prompt without padding, (layer, …)."""
    return [whole.read(site, [n]).values[0] for n in range(len(PROMPTS))]


def reduced(model, site, how, **options):
    """The same, reduced inside the hook, all prompts in one batch."""
    trace = wb.capture(model, PROMPTS, sites=site, reduce=how, **options)
    return trace, [trace.read(site, [n]).values[0] for n in range(len(PROMPTS))]


def close(got, want, atol=2e-5):
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, atol=atol)


def test_norm(llama, whole):
    for site, dims in (("resid_post", ("pos",)), ("z", ("pos", "head"))):
        trace, got = reduced(llama, site, "norm")
        close(got, [np.linalg.norm(x, axis=-1) for x in each(whole, site)])
        assert trace[site].dims == ("prompt", "layer", *dims)
        assert trace[site].attrs["unit"] == "activation"
        assert trace[site].attrs["reduce"] == "norm"


def test_mean_leaves_padding_out(llama, whole):
    for site, axis in (("resid_post", 1), ("z", 1), ("pattern", 2)):
        trace, got = reduced(llama, site, "mean")
        close(got, [x.mean(axis) for x in each(whole, site)])
    assert trace["pattern"].dims == ("prompt", "layer", "head", "key")
    _, got = reduced(llama, "resid_post", "mean", positions=[0, -1])
    close(got, [x[:, [0, -1]].mean(1) for x in each(whole, "resid_post")])


def test_last(llama, whole, monkeypatch):
    from hooks.attention import AttentionCall

    rows = []
    pattern = AttentionCall.pattern
    monkeypatch.setattr(
        AttentionCall,
        "pattern",
        lambda self, queries: (rows.append(queries), pattern(self, queries))[1],
    )
    for site, axis in (("resid_post", 1), ("pattern", 2), ("logits", 0)):
        _, got = reduced(llama, site, "last")
        close(got, [np.take(x, -1, axis) for x in each(whole, site)])
    assert rows
    assert all(len(asked) == 1 for asked in rows)  # the other rows were never computed


def test_entropy_is_in_nats(llama, whole):
    trace, got = reduced(llama, "pattern", "entropy")
    close(
        got,
        [
            -np.sum(np.where(x > 0, x * np.log(np.where(x > 0, x, 1)), 0), -1)
            for x in each(whole, "pattern")
        ],
    )
    assert trace["pattern"].attrs["unit"] == "nats"
    _, got = reduced(llama, "logits", "entropy")
    odds = [np.exp(x - x.max(-1, keepdims=True)) for x in each(whole, "logits")]
    shares = [x / x.sum(-1, keepdims=True) for x in odds]
    close(got, [-(p * np.log(p)).sum(-1) for p in shares])


@pytest.mark.parametrize("site", ["pattern", "attn_scores"])
def test_top_keys_of_every_query(llama, whole, site):
    trace, values = reduced(llama, site, "topk:3")
    index = [trace.read(f"{site}.index", [n]).values[0] for n in range(len(PROMPTS))]
    for x, v, i in zip(each(whole, site), values, index, strict=True):
        for query in range(x.shape[2]):
            n = min(3, query + 1)  # keys it may look at
            want = -np.sort(-x[:, :, query, : query + 1], axis=-1)[..., :n]
            np.testing.assert_allclose(v[:, :, query, :n], want, atol=1e-5)
            np.testing.assert_allclose(
                np.take_along_axis(x[:, :, query], i[:, :, query, :n], -1), want, atol=1e-5
            )
            assert np.isnan(v[:, :, query, n:]).all()
            assert (i[:, :, query, n:] == -1).all()


def test_top_tokens_and_neurons(llama, whole):
    for site in ("logits", "post"):
        trace, values = reduced(llama, site, "topk:4")
        for n, (x, v) in enumerate(zip(each(whole, site), values, strict=True)):
            np.testing.assert_allclose(v, -np.sort(-x, axis=-1)[..., :4], atol=1e-5)
            index = trace.read(f"{site}.index", [n]).values[0]
            np.testing.assert_allclose(np.take_along_axis(x, index, -1), v, atol=1e-5)


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_projection_on_directions_of_length_one(llama, whole, tmp_path, suffix):
    from safetensors.numpy import save_file

    file = tmp_path / f"a=b{suffix}"
    directions = np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32)
    np.save(file, directions) if suffix == ".npy" else save_file({"any": directions}, file)
    units = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    trace, got = reduced(llama, "resid_post", f"project:{file}")
    close(got, [x @ units.T for x in each(whole, "resid_post")])
    assert trace["resid_post"].dims[-1] == "direction"
    one = reduce.Project(torch.tensor(directions[0]))
    trace, got = reduced(llama, "resid_post", {"resid_post": one})
    close(got, [x @ units[0] for x in each(whole, "resid_post")])
    assert trace["resid_post"].dims == ("prompt", "layer", "pos")
    # The spec in a manifest says which numbers, not which file.
    assert (
        one.spec
        == reduce.Project(torch.tensor(directions[0])).spec
        != reduce.Project(torch.ones(32)).spec
    )


def test_low_rank_is_the_best_of_that_rank(llama, whole):
    for site in ("resid_post", "z"):
        trace, _ = reduced(llama, site, "lowrank:4")
        close_to = (
            (trace[site] * trace[f"{site}.basis"])
            .sum("rank", skipna=False)
            .transpose(*whole[site].dims)
        )
        for n, x in enumerate(each(whole, site)):
            heads = np.moveaxis(x, 1, -2)
            u, s, v = np.linalg.svd(heads, full_matrices=False)
            best = np.moveaxis((u[..., :4] * s[..., None, :4]) @ v[..., :4, :], -2, 1)
            np.testing.assert_allclose(close_to.values[n, :, : x.shape[1]], best, atol=1e-4)
            basis = trace.read(f"{site}.basis", [n]).values[0]
            rank = min(4, x.shape[1])
            gram = basis @ np.swapaxes(basis, -1, -2)
            np.testing.assert_allclose(
                gram[..., :rank, :rank],
                np.broadcast_to(np.eye(rank), gram[..., :rank, :rank].shape),
                atol=1e-4,
            )
            if x.shape[1] <= 4:
                np.testing.assert_allclose(close_to.values[n, :, : x.shape[1]], x, atol=1e-4)


def rows_of(lengths):
    return reduce.BatchLayout(tuple(lengths), max(lengths), True)


@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    k=st.integers(1, 9),
)
@settings(max_examples=40, deadline=None)
def test_padding_never_counts(lengths, seed, k):
    """Whatever stands in the padding, NaN included, each prompt gets what it gets alone."""
    random = torch.Generator().manual_seed(seed)
    rows, n, width = rows_of(lengths), len(lengths), max(lengths)
    stream = torch.randn(n, width, 6, generator=random)
    pattern = torch.zeros(n, 2, width, width)
    for row, length in enumerate(lengths):
        stream[row, : width - length] = torch.nan
        pattern[row, :, -length:, -length:] = torch.softmax(
            torch.randn(2, length, length, generator=random), -1
        )
    for reducer, site, x in (
        (reduce.MeanReducer(), "resid_post", stream),
        (reduce.Norm(), "resid_post", stream),
        (reduce.LowRank(3), "resid_post", stream),
        (reduce.MeanReducer(), "pattern", pattern),
        (reduce.Entropy(), "pattern", pattern),
        (reduce.TopK(k), "pattern", pattern),
    ):
        about = SITES[site]
        outputs = reducer.outputs(about, {"d_model": 6, "head": 2})
        together = reducer(about, x, rows)
        for row, length in enumerate(lengths):
            own = tuple(
                slice(-length, None) if dim in {"pos", "query", "key"} else slice(None)
                for dim in about.dims
            )
            alone = reducer(about, x[row][own][None], rows_of([length]))
            for out, a, b in zip(outputs, together, alone, strict=True):
                cut = tuple(
                    slice(-length, None) if dim in {"pos", "query", "key"} else slice(None)
                    for dim in out.dims
                )
                if reducer.spec.startswith("lowrank"):
                    continue  # a basis has no sign of its own; what it rebuilds is compared below
                torch.testing.assert_close(a[row][cut], b[0], atol=1e-5, rtol=1e-4, equal_nan=True)
            if reducer.spec.startswith("lowrank"):
                rebuilt = [
                    c[..., -length:, :] @ basis
                    for c, basis in (
                        (together[0][row], together[1][row]),
                        (alone[0][0], alone[1][0]),
                    )
                ]
                torch.testing.assert_close(rebuilt[0], rebuilt[1], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("site", "how", "says"),
    [
        (
            "pattern",
            "norm",
            r"does not fit 'pattern': it holds no vectors.*\n.*last, mean, entropy, topk:8",
        ),
        ("z", "entropy", r"'entropy' does not fit 'z'.*\n.*norm"),
        ("resid_post", "topk:3", "no keys, tokens or neurons"),
        ("logits", "lowrank:2", "does not fit 'logits'"),
        ("post", "topk:999", "has 64 numbers"),
        ("z", "lowrank:9", "has 8 numbers a vector"),
        ("z", {"zz": "norm"}, "no captured site 'zz'"),
        ("z", "norms", "Did you mean 'norm'"),
        ("z", "topk", "topk:NUMBER"),
        ("z", "topk:0", "topk:NUMBER"),
        ("z", "topk:-3", "topk:NUMBER"),
        ("z", "lowrank:x", "lowrank:NUMBER"),
        ("z", "norm:3", "no reducer 'norm:3'"),
        ("z", "project:nowhere.npy", "no file of directions"),
        ("z", 3, "is no reducer"),
        ("z", reduce.Project(torch.ones(5)), "The directions have 5 numbers, the vectors of 'z' 8"),
    ],
)
def test_misfits_are_refused(llama, site, how, says):
    with pytest.raises((BadInput, NotFound, SiteNotFound), match=says):
        wb.capture(llama, PROMPTS, sites=site, reduce=how)


def test_last_and_positions_do_not_mix(llama):
    with pytest.raises(BadInput, match=r"at positions \[0\] and at the last one"):
        wb.capture(llama, PROMPTS, sites="z", positions=[0], reduce="last")


@pytest.mark.parametrize(
    "directions",
    [torch.zeros(3), torch.tensor([1.0, float("nan")]), torch.ones(2, 2, 2), torch.ones(0)],
)
def test_directions_that_are_none(directions):
    with pytest.raises(BadInput, match="cannot be projected on"):
        reduce.Project(directions)


def test_files_that_are_no_directions(tmp_path):
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "text.safetensors").write_text("hello")
    (tmp_path / "words.npy").write_bytes(b"")
    np.save(tmp_path / "words.npy", np.array(["a"]))
    for file in tmp_path.iterdir():
        with pytest.raises(BadInput, match="cannot be read as directions"):
            reduce.Project.read(file)
