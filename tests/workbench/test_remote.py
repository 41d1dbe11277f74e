"""Runs and models at addresses: read and written whole or not at all, without keys, and each fault
in a sentence. In memory, in a folder, and on an S3 server on this machine.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.helpers import tiny
from tests.helpers.addresses import names_at
from workbench import remote, run_links
from workbench.cli import main
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.result import Finding, Result

without_s3 = pytest.mark.parametrize("place", ["memory", "file"], indirect=True)


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CACHE", "RUNS"):
        monkeypatch.setenv(f"WORKBENCH_{name}", str(tmp_path / name.lower()))


def result() -> Result:
    return Result(
        analysis="inside",
        question="What?",
        params={},
        findings={"n": Finding("n", 3.0, says="Three were found.")},
        tables={"rows": pd.DataFrame({"a": [1, 2, 3]})},
    )


def test_a_run_goes_there_and_comes_back(
    place: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    address = f"{place}/runs/one"
    result().save(address)
    assert names_at(address) == ["result.json", "tables/rows.parquet"]
    opened = wb.open_run(address)
    assert opened.findings["n"].says == "Three were found."
    assert opened.tables["rows"]["a"].tolist() == [1, 2, 3]
    with pytest.raises(WorkbenchError, match="exists already and is not empty"):
        result().save(address)
    with pytest.raises(SystemExit) as end:
        main(["report", address, "-o", str(tmp_path / "one.html")])
    assert not end.value.code
    page = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert "Three were found." in page
    assert "testing-secret" not in page + json.dumps(os.listdir(tmp_path))


def test_what_has_not_changed_is_not_read_again(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{place}/one"
    result().save(address)
    system, root = remote.open_address(address)
    read: list[str] = []
    kind = type(system)
    real = kind.get_file

    def counting(self: Any, source: str, *more: Any, **options: Any) -> Any:
        read.append(source)
        return real(self, source, *more, **options)

    monkeypatch.setattr(kind, "get_file", counting)
    wb.open_run(address)
    assert read == []
    system.pipe_file(f"{root}/result.json", system.cat_file(f"{root}/result.json") + b" ")
    wb.open_run(address)
    assert [name.rpartition("/")[2] for name in read] == ["result.json"]


def test_a_model_opens_from_there(place: str, tmp_path: Path) -> None:
    folder = Path(tiny.save_tiny(tmp_path / "tiny"))
    system, root = remote.open_address(f"{place}/models/tiny")
    system.makedirs(root, exist_ok=True)
    for file in folder.iterdir():
        system.put_file(str(file), f"{root}/{file.name}")
    there = wb.load(f"{place}/models/tiny", device="cpu")
    assert there.card.weight_hash == wb.load(folder, device="cpu").card.weight_hash
    assert there.card.name == f"{place}/models/tiny"


@without_s3
def test_a_run_of_the_command_line_is_saved_there(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.save_tiny(tmp_path / "tiny")
    command = ["run", "intervention", "-m", str(folder), "--set", "prompt=a dog"]
    with pytest.raises(SystemExit) as end:
        main([*command, "--out", f"{place}/runs/two"])
    assert not end.value.code
    assert "result.json" in names_at(f"{place}/runs/two")
    assert f"workbench report {place}/runs/two" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit) as end:
        main([*command, "--out", f"{place}/runs/two"])
    assert end.value.code == 2


@without_s3
def test_half_a_run_never_counts_and_nothing_is_left(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It breaks off at each file in turn."""
    address = f"{place}/half"
    kind = type(remote.open_address(address)[0])
    real = kind.put_file
    for fails_at in (0, 1):
        put: list[str] = []

        def breaking(
            self: Any, source: str, target: str, *, put: list[str] = put, at: int = fails_at
        ) -> None:
            put.append(target)
            if len(put) > at:
                raise FileNotFoundError("the bucket is gone")
            real(self, source, target)

        monkeypatch.setattr(kind, "put_file", breaking)
        with pytest.raises(NotFound, match=r"is not there \(any more\)"):
            result().save(address)
        assert put[-1].endswith("result.json") == (fails_at == 1)
        assert names_at(address) == []
        with pytest.raises(WorkbenchError, match="nothing to open"):
            wb.open_run(address)


def test_a_run_there_may_be_put_among_ones_own(tmp_path: Path) -> None:
    result().save("memory://shared/run-of-theirs")
    assert run_links.open_folder("memory://shared/run-of-theirs") == "run-of-theirs"
    assert wb.open_run("run-of-theirs").findings["n"].says == "Three were found."


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (PermissionError("Forbidden"), "no rights to"),
        (TimeoutError("read timed out"), r"could not be reached: TimeoutError \(read timed out\)"),
        (OSError("https://key:secret@host?sig=1"), "could not be reached: OSError"),
    ],
)
def test_each_fault_is_a_sentence_and_exit_code_2(
    raised: Exception,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*args: Any) -> Any:
        raise raised

    monkeypatch.setattr(remote, "files_below", fails)
    with pytest.raises(WorkbenchError, match=says):
        wb.open_run("memory://nobody/home")
    with pytest.raises(SystemExit) as end:
        main(["report", "memory://nobody/home"])
    assert end.value.code == 2
    assert "secret" not in capsys.readouterr().err


def test_a_bucket_that_is_not_there_and_a_server_that_does_not_answer(
    s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    with pytest.raises(WorkbenchError, match="s3://none/run"):
        wb.open_run("s3://none/run")
    with pytest.raises(WorkbenchError, match="s3://none/run"):
        result().save("s3://none/run")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(WorkbenchError, match="could not be reached"):
        wb.open_run("s3://some/run")


SECRET = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6, max_size=20)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["s3", "gs", "S3", "hf", "memory", "file", "https"]),
    SECRET,
    st.sampled_from(["{0}:{0}@bucket/run", "bucket/run?sig={0}", "bucket/run#{0}", "{0}@bucket"]),
)
def test_an_address_with_keys_is_refused_and_they_are_not_repeated(
    kind: str, secret: str, shape: str
) -> None:
    address = f"{kind}://" + shape.format(f"X{secret}X")
    for ask in (remote.checked, wb.open_run, wb.load, result().save):
        with pytest.raises(BadInput) as refused:
            ask(address)
        assert f"X{secret}X" not in str(refused.value)


@pytest.mark.parametrize("address", ["s3://", "s3:///", "s3://a/../b", "ftp://a/b", "s3://a\nb"])
def test_addresses_that_name_no_folder(address: str) -> None:
    with pytest.raises(BadInput):
        remote.checked(address)
