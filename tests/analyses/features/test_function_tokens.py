"""function-tokens, whole runs: what tables and pages hold, the same from a trace, and what
cannot be run.
"""

from __future__ import annotations

import pytest

import workbench as wb
from analyses.claims import VERDICTS
from hooks.features.sae import SKIP
from tests.helpers.autoencoders import made, saved
from workbench import registry
from workbench.draw import view
from workbench.draw.figure import render
from workbench.errors import BadInput


@pytest.fixture(scope="module")
def refs(organism, tmp_path_factory):
    """Two random autoencoders of the organism, as SAELens saves them."""
    folder = tmp_path_factory.mktemp("features")
    made_ = [
        made("jumprelu", 160, 256, hook=f"blocks.{layer}.hook_resid_post", seed=layer)
        for layer in (1, 4)
    ]
    return [str(saved(sae, folder / str(n))) for n, sae in enumerate(made_)]


@pytest.fixture(scope="module")
def run(organism, refs, tmp_path_factory):
    """A whole run with random features (nothing is claimed of them), and the folder that keeps
    what was active.
    """
    folder = tmp_path_factory.mktemp("run") / "trace"
    asked_ = {
        "features": refs,
        "tokens": 20_000,
        "context": 64,
        "parts": ["untrained"],
        "untrained": 4000,
        "trace": str(folder),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hooks.features.load.LEAST", -1e9)
        yield wb.run("function-tokens", organism, asked_)


def test_a_run_says_what_its_tables_hold(run, tmp_path):
    found = run.findings
    tokens = run.tables["tokens"]
    function = tokens[tokens["class"] == "function"]
    assert found["function_tokens"].values["n_types"] == len(function)
    goal = 0.4 * tokens["occurrences"].sum()
    assert function["occurrences"].sum() >= goal > function["occurrences"].iloc[:-1].sum()
    assert tokens["occurrences"].sum() == (20_000 // 64 + 1) * (64 - SKIP)
    curve = run.tables["coverage"]
    for _, mine in curve.groupby("sae"):
        assert mine["coverage"].is_monotonic_increasing
        assert mine["coverage"].iloc[-1] == 1.0
        assert mine["shuffled"].iloc[-1] == 1.0
        assert mine["random_directions"].iloc[-1] == 1.0
    assert set(run.tables["claims"]["verdict"]) <= set(VERDICTS)
    features = run.tables["features"]
    assert (features.groupby("sae").size() == 256).all()
    edges = {at: mine["degree"].sum() for at, mine in features.groupby("sae")}
    assert edges == {at: tokens[f"degree {at}"].sum() for at in edges}
    opened = wb.open_run(run.save(tmp_path / "run"))
    assert {"coverage", "features", "tokens"} <= set(opened.tables)
    for one in registry.get("function-tokens").views(opened).values():
        assert not one.why_not
        assert list(view.still_parts(one))
        for picture in view.pictures(one):
            render(picture)
        assert one.__panel__() is not None


def test_the_same_run_from_its_trace(run, organism, monkeypatch):
    import hooks.features.sparse_activations as recorded

    def never(*_, **__):
        raise AssertionError("the text was read again")

    monkeypatch.setattr(recorded, "_pass", never)
    monkeypatch.setattr("hooks.features.load.LEAST", -1e9)
    again = wb.run("function-tokens", organism, run.params)
    for table in (
        "coverage",
        "tokens",
        "reactivation",
        "degree_by_class",
        "untrained",
        "transitions",
    ):
        assert again.tables[table].equals(run.tables[table])


@pytest.mark.parametrize(
    ("asked_", "error", "says"),
    [
        ({"coverage": 1.0}, BadInput, "coverage"),
        ({"sweep": [0.0]}, BadInput, "between 0 and 1"),
        (
            {"parts": ["training"], "training": "organism/planted-control"},
            BadInput,
            "keeps no steps",
        ),
        ({"tokens": 10}, BadInput, "tokens"),
        ({"context": 100_000}, BadInput, "do not fit"),
        ({"prompts": [" word" * 400]}, BadInput, "Prompt 1 has"),
        ({"prompts": [""]}, BadInput, "Prompt 1 is empty"),
    ],
)
def test_what_cannot_be_asked(organism, refs, monkeypatch, asked_, error, says):
    monkeypatch.setattr("hooks.features.load.LEAST", -1e9)
    given_ = {
        "features": refs,
        "tokens": 4000,
        "context": 64,
        "parts": ["coverage"],
        **asked_,
    }
    with pytest.raises(error, match=says):
        wb.run("function-tokens", organism, given_)


def test_too_little_text_says_how_much_is_needed(organism, refs, monkeypatch, tmp_path):
    monkeypatch.setattr("hooks.features.load.LEAST", -1e9)
    file = tmp_path / "short.txt"
    file.write_text("A short text. " * 300)
    given_ = {"features": refs, "texts": str(file), "tokens": 50_000, "parts": ["coverage"]}
    with pytest.raises(
        BadInput, match=r"The text has [\d,]+ tokens in whole windows of 128; 50,000 are to be read"
    ):
        wb.run("function-tokens", organism, given_)
    file.write_bytes(b"caf\xe9 " * 9000)
    with pytest.raises(BadInput, match="not UTF-8"):
        wb.run("function-tokens", organism, given_)


def test_a_model_without_features_is_told_what_to_do(llama):
    with pytest.raises(BadInput, match="No autoencoder comes with the workbench") as caught:
        wb.run("function-tokens", llama, {"parts": ["coverage"]})
    assert "workbench sae train" in str(caught.value.do)
