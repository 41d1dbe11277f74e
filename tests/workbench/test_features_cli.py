"""`workbench sae`: train one, look at it, and every way in which it cannot be done."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.helpers import tiny
from workbench import cli
from workbench.autoencoders import shipped

Call = Callable[..., Any]
TEXT = "\n".join(f"{n}. {sentence}" for n in range(900) for sentence in tiny.SENTENCES)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save_tiny(tmp_path_factory.mktemp("tiny") / "tiny-model"))


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> SimpleNamespace:
        with pytest.raises(SystemExit) as end:
            cli.main(["sae", *map(str, arguments)])
        said = capsys.readouterr()
        return SimpleNamespace(
            code=int(end.value.code or 0), out=said.out, err=re.sub(r"\s+", " ", said.err)
        )

    return run


def test_those_that_ship_are_listed(call: Call) -> None:
    said = call("--json")
    assert said.code == 0
    assert [entry["name"] for entry in json.loads(said.out)] == list(shipped())
    assert "workbench sae train" in call().out


def test_one_is_trained_on_texts_of_mine_and_looked_at(
    call: Call, tmp_path: Path, model_folder: str
) -> None:
    (tmp_path / "mine.txt").write_text(TEXT, encoding="utf-8")
    small = (
        "--width",
        64,
        "--k",
        4,
        "--tokens",
        65_536,
        "--texts",
        "mine.txt",
        "--model",
        model_folder,
    )
    said = call("train", "--layer", 1, *small, "-o", "sae")
    assert said.code == 0, said.err
    assert "explained variance" in said.out
    assert "blocks.1.hook_resid_post" in said.out
    said = call("show", "sae", "--model", model_folder, "--json")
    assert said.code == 0, said.err
    card = json.loads(said.out)
    assert card["texts"] == "mine.txt"
    assert card["features"] == 64
    assert 0.5 < card["explained_variance"] < 1
    again = call("train", "--layer", 1, *small, "-o", "sae", "--json")
    assert json.loads(again.out)[0]["digest"] == card["digest"]
    other = call("train", "--layer", 2, *small, "-o", "sae")
    assert other.code == 2
    assert "holds what another training made" in other.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--layer", 9), "has no layer 9"),
        (("--layer", 1, "--site", "pattern"), "no place for an autoencoder"),
        (("--layer", 1, "--site", "resid_pots"), "Did you mean 'resid_post'"),
        (("--layer", 1, "--width", 16, "--k", 16), "would not be sparse"),
        (("--layer", 1, "--texts", "nothing-here"), "There is no file, folder or data set"),
        (("--layer", 1, "--texts", "latin.txt"), "is not UTF-8"),
        (("--layer", 1, "--texts", "zero.txt"), "is not text"),
        (("--layer", 1, "--texts", "short.txt"), "65,536 tokens"),
        (("--layer", 1, "--texts", "empty"), "has no texts"),
    ],
)
def test_what_cannot_be_trained_is_said_and_leaves_nothing(
    call: Call, tmp_path: Path, model_folder: str, arguments: tuple[object, ...], says: str
) -> None:
    (tmp_path / "latin.txt").write_bytes("Füße ".encode("latin-1") * 100)
    (tmp_path / "zero.txt").write_bytes(b"a\0b" * 100)
    (tmp_path / "short.txt").write_text("Short.", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    said = call("train", *arguments, "--tokens", 65_536, "--model", model_folder, "-o", "sae")
    assert said.code == 2
    assert says in said.err
    assert not (tmp_path / "sae").exists()


def test_one_that_is_not_there(call: Call, model_folder: str) -> None:
    said = call("show", "gpt2-small/80-res-jb", "--model", model_folder)
    assert said.code == 2
    assert "There is no autoencoder" in said.err
