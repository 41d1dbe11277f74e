"""One pass over the text: what it counts, its controls, features planted by construction, and
what a folder keeps of it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from analyses.features.function_tokens import baselines, cache, corpus, scan
from analyses.features.function_tokens import coverage as measures
from analyses.features.function_tokens.graph import coverage, degrees
from analyses.measures import untrained_twin
from hooks.features.sae import SKIP
from tests.helpers import tiny
from tests.helpers.autoencoders import features_of
from workbench.errors import BadRun, WorkbenchError
from workbench.progress import Progress

QUIET = Progress()


def windows_of(model, tokens: int = 6000, context: int = 32) -> np.ndarray:
    return corpus.cut(model, "", tokens, context, 0).ids


def read(model, features, ids, folder=None, share: float = 0.4):
    occurrences = np.bincount(ids[:, SKIP:].ravel(), minlength=model.card.d_vocab)
    types = measures.Types.of(occurrences, share)
    random = baselines.random_directions(
        features, [20.0] * len(features), baselines.vectors(model, features, ids[:16]), 0
    )
    mixed = corpus.shuffled(ids, SKIP, 0)
    return (
        scan.scan_windows(model, features, random, ids, mixed, types.is_function, folder, QUIET),
        types,
        mixed,
    )


def test_what_is_read_is_what_a_capture_says(llama):
    ids = windows_of(llama)
    features = [features_of(llama, 1), features_of(llama, 2, seed=1)]
    (seen, losses), types, mixed = read(llama, features, ids)
    for one, f in zip(seen, features, strict=True):
        x = wb.capture(llama, ids.tolist(), sites="resid_post", layers=f.place.layer)[
            "resid_post"
        ].values[:, 0]
        active = f.encode(torch.as_tensor(x)).numpy() > 0
        active[:, :SKIP] = False
        for edges, spelled in ((one.edges, ids), (one.mixed, mixed)):
            counts = np.zeros((llama.card.d_vocab, f.width), int)
            np.add.at(counts, spelled[:, SKIP:].ravel(), active[:, SKIP:].reshape(-1, f.width))
            # An activation that lies on the threshold may fall on either side, by the shape of the
            # batch.
            assert abs(edges.count.sum() - counts.sum()) <= 3
            assert abs(degrees(edges, len(counts)) - (counts > 0).sum(1)).sum() <= 3
        close = np.flatnonzero(np.isfinite(losses).any(1))
        window = int(close[0])
        shares = [
            (active[window, i] & active[window, i + 2]).sum() / active[window, i].sum()
            for i in range(SKIP, ids.shape[1] - 2)
            if not types.is_function[ids[window, i]]
            and types.is_function[ids[window, i + 2]]
            and active[window, i].any()
        ]
        assert one.again[window, 1, 1] == pytest.approx(np.mean(shares), abs=0.01)
    assert len(close) == pytest.approx(len(ids) / scan.CLOSE, abs=64)
    window = int(close[-1])
    with torch.no_grad():
        logits = llama.module(**llama.batch([ids[window].tolist()]).kwargs()).logits[0, :-1]
    own = torch.nn.functional.cross_entropy(
        logits, torch.as_tensor(ids[window, 1:]).long(), reduction="none"
    )
    assert np.allclose(losses[window, 1:], own.numpy(), atol=1e-4)


def same(one, other) -> None:
    for a, b in zip(one[0], other[0], strict=True):
        for graph in ("edges", "mixed", "chance"):
            for column in ("type", "feature", "count", "peak"):
                assert np.array_equal(
                    getattr(getattr(a, graph), column), getattr(getattr(b, graph), column)
                )
        assert np.array_equal(a.histogram, b.histogram)
        assert all(np.array_equal(x, y) for x, y in zip(a.strongest, b.strongest, strict=True))
        assert np.array_equal(a.again, b.again, equal_nan=True)
        assert np.array_equal(a.by_chance, b.by_chance, equal_nan=True)
    assert np.array_equal(one[1], other[1], equal_nan=True)


def test_a_reading_that_is_kept_stopped_and_resumed_is_the_same(llama, tmp_path):
    ids = windows_of(llama, 40_000)
    features = [features_of(llama, 1)]
    plain = read(llama, features, ids)[0]
    folder = tmp_path / "trace"
    same(plain, read(llama, features, ids, folder)[0])
    parts = sorted(folder.glob("part-*.safetensors"))
    assert len(parts) > 1
    parts[-1].unlink()
    before = parts[0].stat().st_mtime_ns
    same(plain, read(llama, features, ids, folder)[0])
    assert parts[0].stat().st_mtime_ns == before
    assert parts[-1].exists()


def test_a_kept_reading_of_something_else_is_refused(llama, tmp_path):
    ids = windows_of(llama)
    folder = tmp_path / "trace"
    read(llama, [features_of(llama, 1)], ids, folder)
    with pytest.raises(WorkbenchError, match="with other autoencoders"):
        read(llama, [features_of(llama, 1, seed=9)], ids, folder)
    with pytest.raises(WorkbenchError, match="with other text"):
        read(llama, [features_of(llama, 1)], ids[::-1], folder)
    part = next(folder.glob("part-*.safetensors"))
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(BadRun, match="cannot be used"):
        read(llama, [features_of(llama, 1)], ids, folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(WorkbenchError, match="exists already"):
        read(llama, [features_of(llama, 1)], ids, tmp_path / "mine")


def planted(tokens_per_feature: int = 12):
    """A model whose first layer reads unit vectors, one for each group of types, and an
    autoencoder that reads them off.
    """
    module = tiny.tiny_llama(d_model=32)
    groups = torch.arange(tiny.VOCABULARY) // tokens_per_feature
    with torch.no_grad():
        module.get_input_embeddings().weight.copy_(torch.nn.functional.one_hot(groups, 32).float())
    model = wb.load((module, tiny.tiny_tokenizer()))
    features = features_of(model, 0, 32, "resid_pre")
    with torch.no_grad():
        for name, parameter in features.sae.named_parameters():
            parameter.copy_(
                torch.eye(32)
                if name.startswith("W")
                else torch.full_like(parameter, 0.5 if name == "threshold" else 0)
            )
    return model, features, groups.numpy()


def test_features_planted_by_construction_are_found():
    model, features, groups = planted()
    ids = windows_of(model, 20_000)
    (seen, _), types, _ = read(model, [features], ids)
    one = seen[0]
    assert degrees(one.edges, tiny.VOCABULARY)[types.order].tolist() == [1] * len(types.order)
    assert all(
        feature == groups[kind]
        for kind, feature in zip(one.edges.type, one.edges.feature, strict=True)
    )
    reached = coverage(one.edges, types.order)
    expected = [
        len(set(groups[types.order[: n + 1]])) / len(set(groups[types.order]))
        for n in range(len(types.order))
    ]
    assert np.allclose(reached, expected)
    # Shuffled, a frequent token meets the features of all others.
    assert coverage(one.mixed, types.order)[0] > 0.7
    assert reached[0] < 0.05
    table = measures.classes_table(seen, ["L0"], types)
    assert table["difference"].tolist() == [0.0]
    # A feature is active again exactly where a token of its group comes again.
    row = one.again[np.isfinite(one.again[:, 0, 1])]
    assert ((row >= 0) & (row <= 1) | np.isnan(row)).all()


def test_random_directions_are_as_often_active_as_asked(llama):
    features, ids = features_of(llama), windows_of(llama, 20_000)
    passing = baselines.vectors(llama, [features], ids[:64])
    (random,) = baselines.random_directions([features], [12.0], passing, 0)
    x = wb.capture(llama, ids[64:128].tolist(), sites="resid_post", layers=1)["resid_post"].values[
        :, 0
    ]
    active = (random.encode(torch.as_tensor(x)[:, SKIP:]) > 0).float().sum(-1).mean()
    assert float(active) == pytest.approx(12, rel=0.25)
    again = baselines.random_directions([features], [12.0], passing, 0)[0]
    assert (
        again.digest
        == random.digest
        != baselines.random_directions([features], [12.0], passing, 1)[0].digest
    )


def test_the_untrained_twin_has_other_weights_of_the_same_shapes(llama):
    twin = untrained_twin.untrained(llama, 0)
    own, other = llama.module.state_dict(), twin.module.state_dict()
    assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in other.items()}
    assert not torch.equal(own["model.embed_tokens.weight"], other["model.embed_tokens.weight"])
    assert twin.card.weight_hash != llama.card.weight_hash


def test_tables_are_kept_for_the_same_question_only(tmp_path):
    made_ = []

    def make(name: str):
        made_.append(name)
        return {"one": pd.DataFrame({"name": [name]}), "two": pd.DataFrame({"x": [1.5]})}

    assert cache.tables(None, {"a": 1}, lambda: make("not kept"))["one"]["name"][0] == "not kept"
    first = cache.tables(tmp_path, {"a": 1}, lambda: make("first"))
    again = cache.tables(tmp_path, {"a": 1}, lambda: make("again"))
    other = cache.tables(tmp_path, {"a": 2}, lambda: make("other"))
    assert made_ == ["not kept", "first", "other"]
    assert again["one"].equals(first["one"])
    assert again["two"].equals(first["two"])
    assert other["one"]["name"][0] == "other"
    for file in tmp_path.glob("*/one.parquet"):
        file.write_text("no table")
    with pytest.raises(BadRun, match="cannot be read"):
        cache.tables(tmp_path, {"a": 1}, lambda: make("never"))
