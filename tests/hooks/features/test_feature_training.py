"""Training finds directions that are known to be there, goes on after a stop, and says when
there is too little text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import workbench as wb
from hooks.features import sae_trainer
from hooks.features import train as training
from hooks.features.activation_stream import windows
from workbench import default_corpus
from workbench.autoencoders import card_of
from workbench.errors import BadInput, Cancelled, SiteNotFound
from workbench.organisms import corpus
from workbench.progress import Progress

SMALL = {"width": 64, "k": 4, "tokens": 100_000}


def prose() -> Iterator[str]:
    return (d.text for d in corpus.documents("train"))


@pytest.fixture(scope="module")
def trained(organism: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two autoencoders on the same text, in one go."""
    out = tmp_path_factory.mktemp("features") / "sae"
    made = wb.train_features(organism, [0, 3], out, texts=prose, **SMALL)
    assert made == [out / "resid_post-00", out / "resid_post-03"]
    return out


def fingerprint(folder: Path) -> list[str]:
    return [
        hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.rglob("*.safetensors"))
    ]


def test_features_planted_in_the_data_are_found() -> None:
    """A known dictionary: vectors are sums of a few of 64 directions in 32 dimensions."""
    draw = torch.Generator().manual_seed(0)
    truth = torch.nn.functional.normalize(torch.randn(64, 32, generator=draw), dim=-1)

    def vectors(n: int) -> torch.Tensor:
        active = torch.rand(n, 64, generator=draw) < 3 / 64
        return (active * (1 + torch.rand(n, 64, generator=draw))) @ truth

    model: Any = SimpleNamespace(
        device=torch.device("cpu"),
        card=SimpleNamespace(name="known"),
        layout=SimpleNamespace(sizes={"d_model": 32}),
    )
    place: Any = SimpleNamespace(
        name="blocks.0.hook_resid_post", site=SimpleNamespace(dims=("pos", "d_model"))
    )
    recipe = sae_trainer.SAETrainConfig(width=128, k=3, tokens=600 * 1024, rate=3e-3, seed=0)
    learner = sae_trainer.make_trainer(model, place, recipe, 0)
    sae_trainer.center(learner, vectors(4096))
    sae_trainer.take_steps(
        learner, [vectors(992) for _ in range(recipe.steps)], Progress(), "step", recipe.steps
    )
    found = torch.nn.functional.normalize(sae_trainer.fold(learner).W_dec.detach(), dim=-1)
    best = (truth @ found.T).max(-1).values
    assert float((best > 0.9).float().mean()) > 0.8
    random = torch.nn.functional.normalize(torch.randn(64, 32, generator=draw), dim=-1)
    assert float(((truth @ random.T).max(-1).values > 0.9).float().mean()) < 0.05


def test_what_was_trained_opens_and_explains_text_that_it_did_not_read(
    trained: Path, organism: Any
) -> None:
    features = wb.open_features(trained / "resid_post-03", organism)
    card = card_of(trained / "resid_post-03")
    assert card == features.card
    assert card["site"] == "blocks.3.hook_resid_post"
    assert card["explained_variance"] > 0.3
    assert card["l0"] == pytest.approx(SMALL["k"], rel=0.5)
    assert card["loss"] < card["loss_spliced"] < card["loss_zeroed"]
    assert card["tokens_read"] == 131_072  # in whole rounds
    assert card["features"] == 64


def test_a_stopped_training_goes_on_and_ends_with_the_same_numbers(
    trained: Path, organism: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    keep = training.save

    def stop_after_one(*given: Any) -> None:
        keep(*given)
        kept.append(1)
        if len(kept) == 1:
            raise Cancelled

    monkeypatch.setattr(training, "save", stop_after_one)
    out = tmp_path / "sae"
    with pytest.raises(Cancelled):
        wb.train_features(organism, [0, 3], out, texts=prose, **SMALL)
    wb.train_features(organism, [0, 3], out, texts=prose, **SMALL)
    assert len(kept) == 2
    assert fingerprint(out) == fingerprint(trained)
    assert not (out / ".training").exists()
    with pytest.raises(BadInput, match="holds what another training made"):
        wb.train_features(organism, [0, 3], out, texts=prose, **{**SMALL, "k": 5})
    assert wb.train_features(organism, [0, 3], out, texts=prose, **SMALL) == [
        out / "resid_post-00",
        out / "resid_post-03",
    ]


def test_too_little_text_says_how_much_is_needed(organism: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"ends after [\d,]+ tokens(.|\n)*131,072 tokens"):
        wb.train_features(
            organism, 1, tmp_path / "sae", texts=lambda: ["Too short. " * 500], **SMALL
        )
    assert not (tmp_path / "sae").exists()  # and the same folder can be used with fewer tokens


def test_places_that_cannot_be_taken_apart(organism: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no place for an autoencoder"):
        wb.train_features(organism, 1, tmp_path / "sae", site="pattern", texts=prose, **SMALL)
    with pytest.raises(SiteNotFound):
        wb.train_features(organism, 1, tmp_path / "sae", site="resid_pots", texts=prose, **SMALL)
    assert not (tmp_path / "sae").exists()


def test_windows_are_the_text_and_nothing_else(organism: Any) -> None:
    texts = ["One document here.", "And another, which is longer than the first one was."]
    end = organism.tokenizer.eos_token_id
    whole = [
        i
        for text in texts
        for i in [*organism.continuation_tokens(text), *([] if end is None else [end])]
    ]
    found = list(windows(organism, texts, 5))
    assert all(window[0] == organism.text.beginning[0] and len(window) == 5 for window in found)
    assert [i for window in found for i in window[1:]] == whole[: len(whole) // 4 * 4]


def test_the_mixture_keeps_its_shares_and_what_is_held_out_apart() -> None:
    had: dict[str, int] = {}
    for document in default_corpus.documents("train", ["sampled text " * 500] * 400):
        had[document.source] = had.get(document.source, 0) + len(document.text)
        if sum(had.values()) > 2_000_000:
            break
    shares = {source: n / sum(had.values()) for source, n in had.items()}
    assert shares == pytest.approx(
        {s: share for s, (share, _) in default_corpus._SOURCES.items()} | {"sampled": 0.06},
        abs=0.03,
    )
    names = {
        share: {(d.source, d.name) for d in default_corpus.documents(share)}
        for share in ("train", "held-out")
    }
    assert not names["train"] & names["held-out"]
    assert len(names["held-out"]) > 50
    assert [d.name for d in default_corpus.documents("held-out")] == [
        d.name for d in default_corpus.documents("held-out")
    ]
