"""function-tokens: graphs by brute force, features planted by construction, controls drawn again, and what cannot be run."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from autoencoders import made, saved
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from analyses import function_tokens
from analyses.function_tokens import chance, corpus, facts, kept, measures, reading, retrieve, transitions, words
from analyses.function_tokens.gallery import BINS, EXAMPLES, Gallery
from analyses.function_tokens.graph import Graph, coverage, coverage_at, degrees, degrees_at, missed, pooled
from analyses.function_tokens.ngrams import NGrams
from analyses.statistics import mean_interval
from hooks import sites
from hooks.features.features import SKIP, Features
from workbench.draw import view
from workbench.draw.figure import render
from workbench.errors import BadInput, BadRun, NotFound, WorkbenchError
from workbench.progress import Progress

QUIET = Progress()


def features_of(model, layer: int = 1, width: int = 96, site: str = "resid_post", seed: int = 0) -> Features:
    (place,) = sites.resolve(model.layout, site, layer, model.card.name)
    d_in = int(np.prod([model.layout.sizes[dim] for dim in place.site.dims[1:]]))
    return Features(model, place, made("jumprelu", d_in, width, hook=place.name, seed=seed), f"features {layer}")


# -- the graph ----------------------------------------------------------------------------------------------------------


class Drawn:
    """Tokens and activations drawn at random, and their graph both ways."""

    def __init__(self, seed: int, tokens: int = 400, types: int = 12, width: int = 25, density: float = 0.08) -> None:
        rng = np.random.default_rng(seed)
        self.types = rng.choice(types, tokens, p=rng.dirichlet(np.ones(types)))
        self.active = rng.random((tokens, width)) * (rng.random((tokens, width)) < density)
        self.occurrences = np.bincount(self.types, minlength=types)
        graph = Graph(width)
        for start in range(0, tokens, 64):
            at, feature = np.nonzero(self.active[start : start + 64])
            values = self.active[start : start + 64][at, feature]
            graph.add(*(torch.as_tensor(x) for x in (self.types[start : start + 64][at], feature, values)))
        self.edges = graph.edges()
        self.counts = np.zeros((types, width), int)
        for kind, row in zip(self.types, self.active, strict=True):
            self.counts[kind] += row > 0

    def draw(self, rng, kinds, m) -> np.ndarray:
        """Features seen in m occurrences of each type, (type, feature)."""
        seen = []
        for kind in kinds:
            at = rng.choice(np.flatnonzero(self.types == kind), m, replace=False)
            seen.append((self.active[at] > 0).any(0))
        return np.array(seen)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_graph_counts_what_a_loop_counts(seed):
    drawn = Drawn(seed)
    kinds, width = drawn.counts.shape
    assert np.array_equal(degrees(drawn.edges, kinds), (drawn.counts > 0).sum(1))
    for kind, feature, count, peak in zip(
        drawn.edges.type, drawn.edges.feature, drawn.edges.count, drawn.edges.peak, strict=True
    ):
        assert count == drawn.counts[kind, feature]
        assert peak == np.float32(drawn.active[drawn.types == kind, feature].max())
    order = words.by_frequency(drawn.occurrences)
    reached, seen = [], np.zeros(width, bool)
    for kind in order:
        seen |= drawn.counts[kind] > 0
        reached.append(seen.sum() / max(1, (drawn.counts.sum(0) > 0).sum()))
    found = coverage(drawn.edges, order)
    assert np.allclose(found, reached)
    assert (np.diff(found) >= 0).all()
    assert found[-1] == pytest.approx(1.0)


def test_edges_above_a_threshold_reach_it_somewhere():
    drawn = Drawn(3)
    strong = drawn.edges.above(0.7)
    most = drawn.active.max(0)
    expected = {
        (kind, feature)
        for kind in range(12)
        for feature in range(25)
        if drawn.counts[kind, feature] and drawn.active[drawn.types == kind, feature].max() > 0.7 * most[feature]
    }
    assert set(zip(strong.type.tolist(), strong.feature.tolist(), strict=True)) == expected
    assert 0 < len(expected) < len(drawn.edges.type)


def test_fewer_occurrences_are_what_drawing_them_gives():
    drawn, rng, m = Drawn(1), np.random.default_rng(0), 9
    order = np.array([k for k in words.by_frequency(drawn.occurrences) if drawn.occurrences[k] >= m])
    sampled = np.array([drawn.draw(rng, order, m) for _ in range(3000)])
    alive = (drawn.counts.sum(0) > 0).sum()
    found = degrees_at(drawn.edges, drawn.occurrences, m)
    assert np.allclose(found[order], sampled.sum(2).mean(0), atol=0.15)
    assert np.isnan(found[drawn.occurrences < m]).all()
    together = np.logical_or.accumulate(sampled, axis=1).sum(2).mean(0) / alive
    assert np.allclose(coverage_at(drawn.edges, drawn.occurrences, order, m), together, atol=0.005)
    whole = coverage_at(drawn.edges, drawn.occurrences, order, drawn.occurrences[order])
    assert np.allclose(whole, coverage(drawn.edges, order))


def test_as_many_tokens_of_some_types_are_what_drawing_them_gives():
    drawn, rng = Drawn(2), np.random.default_rng(0)
    kinds = np.array([1, 4, 7])
    pool = np.flatnonzero(np.isin(drawn.types, kinds))
    alive = (drawn.counts.sum(0) > 0).sum()
    sampled = [(drawn.active[rng.choice(pool, 15, replace=False)] > 0).any(0).sum() / alive for _ in range(4000)]
    found = pooled(drawn.edges, drawn.occurrences, kinds, np.array([15, len(pool), len(pool) + 1]))
    assert found[0] == pytest.approx(np.mean(sampled), abs=0.006)
    assert found[1] == pytest.approx((drawn.counts[kinds].sum(0) > 0).sum() / alive)
    assert np.isnan(found[2])


def test_nothing_can_be_missed_in_a_sample_larger_than_there_is():
    assert missed(3, 10, 8) == 0.0  # only seven are without
    assert missed(0, 10, 10) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="cannot be larger"):
        missed(1, 10, 11)


def test_a_gallery_keeps_the_strongest_of_each_window():
    rng = np.random.default_rng(0)
    active = rng.random((40, 8, 5)) * (rng.random((40, 8, 5)) < 0.3)  # window, pos, feature
    gallery = Gallery(5, 8, torch.device("cpu"))
    for start in range(0, 40, 7):
        window, pos, feature = np.nonzero(active[start : start + 7])
        values = active[start : start + 7][window, pos, feature]
        gallery.add(*(torch.as_tensor(x) for x in ((window + start) * 8 + pos, feature, values.astype("float32"))))
    strength, where = gallery.strongest
    for feature in range(5):
        best = active[:, :, feature].max(1)
        order = np.argsort(-best, kind="stable")[:EXAMPLES]
        assert np.allclose(strength[feature], best[order])
        assert (where[feature] // 8).tolist() == order.tolist()
        assert (where[feature] % 8).tolist() == active[order, :, feature].argmax(1).tolist()
        expected, _ = np.histogram(active[..., feature][active[..., feature] > 0], BINS)
        assert gallery.histogram[feature].tolist() == expected.tolist()


# -- the lists ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40).filter(any), st.floats(0.05, 0.95))
def test_function_tokens_are_the_fewest_that_reach_the_share(counts, share):
    occurrences = np.array(counts)
    found = words.most_frequent(occurrences, share)
    goal = share * occurrences.sum()
    assert occurrences[found].sum() >= goal
    assert occurrences[found[:-1]].sum() < goal
    rest = np.setdiff1d(np.arange(len(counts)), found)
    assert not len(rest) or occurrences[rest].max() <= occurrences[found].min()


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (" the", "determiner"),
        ("The", "determiner"),
        (" of", "preposition"),
        ("\n\n", "white space"),
        (" ", "white space"),
        (".", "punctuation"),
        ("',", "punctuation"),
        (" and", "conjunction"),
        ("'s", "auxiliary"),
        (" not", "particle"),
        (" thou", "pronoun"),
        (" France", ""),
        ("42", ""),
    ],
)
def test_function_words_of_grammar(token, kind):
    assert words.kind(token) == kind


def test_a_fair_comparison_draws_no_more_than_each_type_has():
    occurrences = np.array([50, 40, 30, 7, 6, 5, 1])
    types = measures.Types.of(occurrences, 0.6)
    assert types.function.tolist() == [0, 1]
    assert types.peers.tolist() == [2, 3]
    assert types.equal == 7
    assert types.content.tolist() == [2, 3, 4, 5, 6]


# -- reading ------------------------------------------------------------------------------------------------------------


def windows_of(model, tokens: int = 6000, context: int = 32) -> np.ndarray:
    return corpus.cut(model, "", tokens, context, 0).ids


def read(model, features, ids, folder=None, share: float = 0.4):
    occurrences = np.bincount(ids[:, SKIP:].ravel(), minlength=model.card.d_vocab)
    types = measures.Types.of(occurrences, share)
    random = chance.random_directions(model, features, [20.0] * len(features), ids[:16], 0)
    mixed = corpus.shuffled(ids, SKIP, 0)
    return reading.look(model, features, random, ids, mixed, types.is_function, folder, QUIET), types, mixed


def test_what_is_read_is_what_a_capture_says(llama):
    ids = windows_of(llama)
    features = [features_of(llama, 1), features_of(llama, 2, seed=1)]
    (seen, losses), types, mixed = read(llama, features, ids)
    for one, f in zip(seen, features, strict=True):
        x = wb.capture(llama, ids.tolist(), sites="resid_post", layers=f.place.layer)["resid_post"].values[:, 0]
        active = f.encode(torch.as_tensor(x)).numpy() > 0
        active[:, :SKIP] = False
        for edges, spelled in ((one.edges, ids), (one.mixed, mixed)):
            counts = np.zeros((llama.card.d_vocab, f.width), int)
            np.add.at(counts, spelled[:, SKIP:].ravel(), active[:, SKIP:].reshape(-1, f.width))
            # An activation that lies on the threshold may fall on either side, by the shape of the batch.
            assert abs(edges.count.sum() - counts.sum()) <= 3
            assert abs(degrees(edges, len(counts)) - (counts > 0).sum(1)).sum() <= 3
        close = np.flatnonzero(np.isfinite(losses).any(1))
        window = int(close[0])
        shares = [
            (active[window, i] & active[window, i + 2]).sum() / active[window, i].sum()
            for i in range(SKIP, ids.shape[1] - 2)
            if not types.is_function[ids[window, i]] and types.is_function[ids[window, i + 2]] and active[window, i].any()
        ]
        assert one.again[window, 1, 1] == pytest.approx(np.mean(shares), abs=0.01)
    assert len(close) == pytest.approx(len(ids) / reading.CLOSE, abs=64)
    window = int(close[-1])
    with torch.no_grad():
        logits = llama.module(**llama.batch([ids[window].tolist()]).kwargs()).logits[0, :-1]
    own = torch.nn.functional.cross_entropy(logits, torch.as_tensor(ids[window, 1:]).long(), reduction="none")
    assert np.allclose(losses[window, 1:], own.numpy(), atol=1e-4)


def same(one, other) -> None:
    for a, b in zip(one[0], other[0], strict=True):
        for graph in ("edges", "mixed", "chance"):
            for column in ("type", "feature", "count", "peak"):
                assert np.array_equal(getattr(getattr(a, graph), column), getattr(getattr(b, graph), column))
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
    """A model whose first layer reads unit vectors, one for each group of types, and an autoencoder that reads them off."""
    module = tiny.tiny_llama(d_model=32)
    groups = torch.arange(tiny.VOCABULARY) // tokens_per_feature
    with torch.no_grad():
        module.get_input_embeddings().weight.copy_(torch.nn.functional.one_hot(groups, 32).float())
    model = wb.load((module, tiny.tiny_tokenizer()))
    features = features_of(model, 0, 32, "resid_pre")
    with torch.no_grad():
        for name, parameter in features.sae.named_parameters():
            parameter.copy_(
                torch.eye(32) if name.startswith("W") else torch.full_like(parameter, 0.5 if name == "threshold" else 0)
            )
    return model, features, groups.numpy()


def test_features_planted_by_construction_are_found():
    model, features, groups = planted()
    ids = windows_of(model, 20_000)
    (seen, _), types, _ = read(model, [features], ids)
    one = seen[0]
    assert degrees(one.edges, tiny.VOCABULARY)[types.order].tolist() == [1] * len(types.order)
    assert all(feature == groups[kind] for kind, feature in zip(one.edges.type, one.edges.feature, strict=True))
    reached = coverage(one.edges, types.order)
    expected = [len(set(groups[types.order[: n + 1]])) / len(set(groups[types.order])) for n in range(len(types.order))]
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
    (random,) = chance.random_directions(llama, [features], [12.0], ids[:64], 0)
    x = wb.capture(llama, ids[64:128].tolist(), sites="resid_post", layers=1)["resid_post"].values[:, 0]
    active = (random.encode(torch.as_tensor(x)[:, SKIP:]) > 0).float().sum(-1).mean()
    assert float(active) == pytest.approx(12, rel=0.25)
    again = chance.random_directions(llama, [features], [12.0], ids[:64], 0)[0]
    assert again.digest == random.digest != chance.random_directions(llama, [features], [12.0], ids[:64], 1)[0].digest


def test_the_untrained_twin_has_other_weights_of_the_same_shapes(llama):
    twin = chance.untrained(llama, 0)
    own, other = llama.module.state_dict(), twin.module.state_dict()
    assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in other.items()}
    assert not torch.equal(own["model.embed_tokens.weight"], other["model.embed_tokens.weight"])
    assert twin.card.weight_hash != llama.card.weight_hash


# -- transitions --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 3))
@settings(deadline=None)
def test_ngrams_are_probabilities(ids, order):
    counted = NGrams([np.array(ids)], 6)
    for before in ([], [0], ids[-2:]):
        chances = [np.exp(-counted.losses(np.array([*before, kind]), order)[-1]) for kind in range(6)]
        assert sum(chances) == pytest.approx(1.0)


def test_ngrams_learn_what_follows():
    rows = [np.array([1, 2, 3] * 50)]
    counted = NGrams(rows, 5)
    assert counted.losses(np.array([1, 2, 3]))[-1] < 0.1
    assert counted.losses(np.array([1, 2, 3]), 1)[-1] == pytest.approx(np.log(3), abs=0.1)


def test_losses_by_transition_add_up():
    rng = np.random.default_rng(0)
    ids, losses = rng.integers(0, 9, (20, 30)), rng.random((20, 30)).astype("float32")
    losses[:, 0] = np.nan
    losses[3] = np.nan
    function = np.arange(9) < 3
    rows = {row["group"]: row for row in transitions.by_transition(losses, ids, function)}
    total = sum(row["loss"] * row["n"] for row in rows.values()) / sum(row["n"] for row in rows.values())
    assert total == pytest.approx(np.nanmean(losses[:, SKIP + 1 :]), rel=1e-5)
    mine = [
        losses[w, p + 1]
        for w in range(20)
        for p in range(SKIP, 29)
        if w != 3 and function[ids[w, p]] and not function[ids[w, p + 1]]
    ]
    assert rows["F→C"]["loss"] == pytest.approx(np.mean(mine), rel=1e-5)
    assert rows["F→C"]["n"] == len(mine)
    assert rows["F→C"]["error"] == pytest.approx(np.std(mine) / np.sqrt(len(mine)), rel=0.5)


def test_tables_are_kept_for_the_same_question_only(tmp_path):
    made_ = []

    def make(name: str):
        made_.append(name)
        return {"one": pd.DataFrame({"name": [name]}), "two": pd.DataFrame({"x": [1.5]})}

    assert kept.tables(None, {"a": 1}, lambda: make("not kept"))["one"]["name"][0] == "not kept"
    first = kept.tables(tmp_path, {"a": 1}, lambda: make("first"))
    again = kept.tables(tmp_path, {"a": 1}, lambda: make("again"))
    other = kept.tables(tmp_path, {"a": 2}, lambda: make("other"))
    assert made_ == ["not kept", "first", "other"]
    assert again["one"].equals(first["one"])
    assert again["two"].equals(first["two"])
    assert other["one"]["name"][0] == "other"
    for file in tmp_path.glob("*/one.parquet"):
        file.write_text("no table")
    with pytest.raises(BadRun, match="cannot be read"):
        kept.tables(tmp_path, {"a": 1}, lambda: make("never"))


def test_a_model_without_steps_is_told_apart():
    assert transitions.kept_steps("organism/planted")[0] == 0
    with pytest.raises(BadInput, match="keeps no steps"):
        transitions.kept_steps("organism/planted-control")
    with pytest.raises(NotFound):
        transitions.kept_steps("organism/plantd")


# -- retrieval ----------------------------------------------------------------------------------------------------------

_SUBJECTS = {"France": "Paris", "Italy": "Rome", "Peru": "Lima", "Spain": "Madrid", "Chile": "Santiago"}


def asked(model) -> list[facts.Asked]:
    return [facts._asked(model, f"The capital of {s} is", s, a) for s, a in _SUBJECTS.items()]


def test_the_subject_is_where_it_stands(llama):
    for one, subject in zip(asked(llama), _SUBJECTS, strict=True):
        text = llama.tokenizer.decode([one.ids[place] for place in one.subject])
        assert subject in text
        assert len(text) <= len(subject) + 2


@pytest.mark.parametrize(("site", "layer"), [("resid_post", 1), ("resid_pre", 1), ("mlp_out", 0), ("z", 1)])
def test_a_change_is_what_the_hook_layer_does_with_a_whole_pass(llama, site, layer):
    features = features_of(llama, layer, 48, site)
    read_ = retrieve.Facts(features, asked(llama))
    goal = torch.where(read_.again, 0.0, torch.nan)
    steered = torch.where(read_.again, 3.0, torch.nan)
    changes = [
        retrieve.Change(goal, "last"),
        retrieve.Change(goal, "subject"),
        retrieve.Change(goal, -2),
        retrieve.Change(steered, "last"),
    ]
    found = read_.answers(changes)
    wanted = [a.answer for a in read_.asked]
    for i, one in enumerate(read_.asked):
        which = read_.again[i].nonzero().flatten().tolist()
        assert which
        places = [[-1], list(one.subject), [-2], [-1]]
        contexts = [features.ablate(which, positions=at) for at in places[:3]]
        contexts.append(features.steer(dict.fromkeys(which, 3.0), positions=[-1]))
        for k, context in enumerate(contexts):
            with context:
                own = llama.next_logits([list(one.ids)])[0].log_softmax(-1)[wanted]
            assert torch.allclose(own, found[1 + k, i], atol=1e-4)


def test_ablations_take_as_many_features_as_they_say(llama):
    features = features_of(llama)
    read_ = retrieve.Facts(features, asked(llama))
    table = retrieve.ablations(read_, 0).pivot(index="fact", columns="condition", values="features")
    assert table["again"].tolist() == read_.again.sum(1).tolist()
    assert (table["some"] == table["others"]).all()
    assert (table["strongest at subject"] <= table["again"]).all()
    steered = retrieve.steerings(read_, 0)
    own = steered[steered["condition"] == "own"]
    assert np.allclose(own["before"], own["after"], atol=1e-4)  # set to what they are, nothing changes
    along = retrieve.along(read_)
    assert set(along["pos"]) == set(range(-read_.tail, 0))


def test_facts_are_compared_with_another_answer():
    given_ = [SimpleNamespace(answer=a) for a in (1, 1, 2, 1)]
    assert [given_[j].answer != given_[i].answer for i, j in enumerate(facts.pairs(given_))] == [True] * 4


def test_an_interval_of_a_mean():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    mean, (low, high) = mean_interval(values)
    assert mean == 2.5
    assert low < 2.5 < high
    assert high - mean == pytest.approx(3.182 * values.std(ddof=1) / 2, rel=1e-3)
    assert np.isnan(mean_interval(np.array([1.0]))[1][0])


# -- whole runs ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def organism():
    return wb.load("organism/planted")


@pytest.fixture(scope="module")
def refs(organism, tmp_path_factory):
    """Two random autoencoders of the organism, as SAELens saves them."""
    folder = tmp_path_factory.mktemp("features")
    made_ = [made("jumprelu", 160, 256, hook=f"blocks.{layer}.hook_resid_post", seed=layer) for layer in (1, 4)]
    return [str(saved(sae, folder / str(n))) for n, sae in enumerate(made_)]


@pytest.fixture(scope="module")
def run(organism, refs, tmp_path_factory):
    """A whole run with random features (nothing is claimed of them), and the folder that keeps what was active."""
    folder = tmp_path_factory.mktemp("run") / "trace"
    asked_ = {
        "features": refs,
        "tokens": 20_000,
        "context": 64,
        "facts": 0,
        "untrained": 4000,
        "training": "",
        "trace": str(folder),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hooks.features.load.LEAST", -1e9)
        yield wb.run("function-tokens", organism, asked_)


def test_a_run_says_what_its_tables_hold(run, tmp_path):
    found = run.findings
    tokens = run.tables["tokens"]
    function = tokens[tokens["class"] == "function"]
    assert found["list"].values["tokens"] == len(function)
    goal = 0.4 * tokens["occurrences"].sum()
    assert function["occurrences"].sum() >= goal > function["occurrences"].iloc[:-1].sum()
    assert tokens["occurrences"].sum() == (20_000 // 64 + 1) * (64 - SKIP)
    curve = run.tables["coverage"]
    for _, mine in curve.groupby("at"):
        assert mine["features"].is_monotonic_increasing
        assert mine["features"].iloc[-1] == 1.0
        assert mine["mixed"].iloc[-1] == 1.0
        assert mine["random"].iloc[-1] == 1.0
    assert set(run.tables["claims"]["verdict"]) <= {"holds", "does not hold", "holds in part", "cannot be told"}
    features = run.tables["features"]
    assert (features.groupby("at").size() == 256).all()
    edges = {at: mine["types"].sum() for at, mine in features.groupby("at")}
    assert edges == {at: tokens[f"degree {at}"].sum() for at in edges}
    opened = wb.open_run(run.save(tmp_path / "run"))
    assert {"coverage", "features", "tokens"} <= set(opened.tables)
    for name, one in function_tokens.views(opened).items():
        if name == "Retrieval":
            assert "facts is 0" in one.why_not
            continue
        assert list(view.still_parts(one))
        for picture in view.pictures(one):
            render(picture)
        assert one.__panel__() is not None


def test_the_same_run_from_its_trace(run, organism, monkeypatch):
    import hooks.features.recorded as recorded

    def never(*_, **__):
        raise AssertionError("the text was read again")

    monkeypatch.setattr(recorded, "_pass", never)
    monkeypatch.setattr("hooks.features.load.LEAST", -1e9)
    again = wb.run("function-tokens", organism, run.params)
    for table in ("coverage", "tokens", "again", "classes", "untrained", "transitions"):
        assert again.tables[table].equals(run.tables[table])


def test_the_page_is_linked(run):
    from analyses.function_tokens import feature_tab, prompt_tab

    at = feature_tab.middle(run)
    first = feature_tab.chosen(run)
    assert first[0] == at
    other = int(feature_tab.of_place(run, at)["feature"].iloc[3])
    run.selection.feature = (at, other)
    assert feature_tab.chosen(run) == (at, other)
    run.selection.feature = ("L9", 3)
    assert feature_tab.chosen(run) == first
    row = feature_tab.row_of(run, at, other)
    assert f"Feature {other} at {at}" in feature_tab.about(run, at, other)
    assert row["tokens"] > 0
    assert "no feature 9999" in feature_tab.about(run, at, 9999)
    token = int(run.tables["tokens"]["id"].iloc[0])
    shown = feature_tab.of_token(run, at, token)
    assert len(shown)
    assert shown["of its occurrences, %"].between(0, 100).all()
    assert feature_tab.fires_on(run, at, other)["active at"].is_monotonic_decreasing
    table = prompt_tab.links(run, at, 0, 5)
    active = prompt_tab.active(run, at, 0)
    for place in table.loc[table["active before at"] != "", "feature"].head(3):
        mine = active[(active["feature"] == place) & (active["pos"] < 5)]
        assert len(mine)


@pytest.mark.parametrize(
    ("asked_", "error", "says"),
    [
        ({"coverage": 1.0}, BadInput, "coverage"),
        ({"sweep": [0.0]}, BadInput, "between 0 and 1"),
        ({"training": "organism/planted-control"}, BadInput, "keeps no steps"),
        ({"tokens": 10}, BadInput, "tokens"),
        ({"context": 100_000}, BadInput, "do not fit"),
        ({"prompts": [" word" * 400]}, BadInput, "Prompt 1 has"),
        ({"prompts": [""]}, BadInput, "Prompt 1 is empty"),
    ],
)
def test_what_cannot_be_asked(organism, refs, monkeypatch, asked_, error, says):
    monkeypatch.setattr("hooks.features.load.LEAST", -1e9)
    given_ = {"features": refs, "tokens": 4000, "context": 64, "facts": 0, "untrained": 0, "training": "", **asked_}
    with pytest.raises(error, match=says):
        wb.run("function-tokens", organism, given_)


def test_too_little_text_says_how_much_is_needed(organism, refs, monkeypatch, tmp_path):
    monkeypatch.setattr("hooks.features.load.LEAST", -1e9)
    file = tmp_path / "short.txt"
    file.write_text("A short text. " * 300)
    given_ = {"features": refs, "texts": str(file), "tokens": 50_000, "facts": 0, "training": ""}
    with pytest.raises(BadInput, match=r"The text has [\d,]+ tokens in whole windows of 128; 50,000 are to be read"):
        wb.run("function-tokens", organism, given_)
    file.write_bytes(b"caf\xe9 " * 9000)
    with pytest.raises(BadInput, match="not UTF-8"):
        wb.run("function-tokens", organism, given_)


def test_a_model_without_features_is_told_what_to_do(organism):
    with pytest.raises(BadInput, match="No autoencoder comes with the workbench") as caught:
        wb.run("function-tokens", organism, {"training": ""})
    assert "workbench sae train" in str(caught.value.do)


def test_too_few_occurrences_settle_nothing(run):
    from analyses.function_tokens import claims

    row = claims._equal(SimpleNamespace(tables={"classes": run.tables["classes"].assign(drawn=7)}))
    assert row[3] == claims.OPEN
    assert "read more text" in row[4]


def test_along_training_is_measured_on_every_step(monkeypatch):
    monkeypatch.setattr(transitions, "kept_steps", lambda name: [0, 2148])
    monkeypatch.setattr(transitions, "_MEASURED", 16)
    monkeypatch.setattr(transitions, "_COUNTED", 64)
    found = transitions.along_training("organism/planted", 0.4, "cpu", QUIET)
    of_model = found[found["measure"] == "model"].pivot(index="step", columns="group", values="loss")
    assert (of_model.loc[0] > 8).all()
    assert (of_model.loc[2148] < 6.5).all()
