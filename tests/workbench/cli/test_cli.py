"""The command line as a newcomer meets it: every kind of mistake, models, traces, reports, the
browser, and docs that tell the truth.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command_line import Said

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs" / "command-line.md"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "count-step"], "Did you mean 'count-steps'"),
        (["run", "count-steps", "--set", "step=3"], "Did you mean 'steps'"),
        (["run", "count-steps", "--set", "steps"], "key=value"),
        (["run", "count-steps", "--set", "steps=0"], "greater than or equal to 1"),
        (["run", "count-steps", "--set", "how=sideways"], "'up' or 'down'"),
        (["run", "count-steps", "--model", "smollm2-135"], "Did you mean 'smollm2-135m'"),
        (["run", "count-steps", "--model", "./nowhere"], "no file or folder"),
        (["run", "count-steps", "--params", "none.json"], "no parameter file"),
        (["run", "count-steps", "--params", "latin.json"], "not UTF-8"),
        (["run", "count-steps", "--params", "broken.toml"], "damaged"),
        (["run", "count-steps", "--params", "list.json"], "holds no parameters"),
        (["run", "count-steps", "--out", "full"], "exists already"),
        (["run", "count-steps", "--out", "list.json/run"], "is a file"),
        (["run", "count-steps", "--device", "gpu", "-m", "MODEL"], "no device 'gpu'"),
        (["run", "count-steps", "--dtype", "int3", "-m", "MODEL"], "no dtype 'int3'"),
        (["run", "count-steps", "--seed", "-1"], "--seed"),
        (["analyses", "count-stepz"], "Did you mean 'count-steps'"),
        (["report", "nowhere"], "no run 'nowhere'"),
        (["runs", "--runs", "nowhere"], "no folder 'nowhere'"),
        (["models", "pull", "smollm"], "Did you mean 'smollm2-135m'"),
        (["models", "show", "list.json"], "is not a model"),
        (["ui", "--host", "0.0.0.0"], "WORKBENCH_PASSWORD"),
        (["ui", "--model", "smollm2-135"], "Did you mean 'smollm2-135m'"),
        (["ui", "--port", "70000"], "--port"),
        (["trace", "--out", "t"], "nothing to run"),
        (["trace", "--out", "t", "--prompts", "empty.txt"], "holds no prompts"),
        (["trace", "--out", "t", "-p", "x", "--layers", "3-1"], "names no layer"),
        (["trace", "--out", "full", "-p", "x"], "exists already"),
        (["trace", "--out", "t", "-p", "x", "-m", "MODEL", "--site", "zz"], "zz"),
        (["bogus"], "bogus"),
    ],
)
def test_every_mistake_is_one_message_and_exit_code_2(
    workbench: Callable[..., Said], places: Path, model_folder: str, arguments: list[str], says: str
) -> None:
    (places / "latin.json").write_bytes('{"word": "Köln"}'.encode("latin-1"))
    (places / "broken.toml").write_text("steps = = 3")
    (places / "list.json").write_text("[1]")
    (places / "empty.txt").write_text("\n\n")
    (places / "full").mkdir()
    (places / "full" / "file").write_text("keep me")
    said = workbench(*[model_folder if a == "MODEL" else a for a in arguments])
    assert said.code == 2
    assert says in re.sub(r"\s+", " ", said.err)
    assert "Traceback" not in said.err
    assert said.out == ""
    assert (places / "full" / "file").read_text() == "keep me"


def test_a_bug_is_one_message_too(
    workbench: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench import runs

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(runs, "listing", broken)
    said = workbench("runs")
    assert said.code == 1
    assert "ZeroDivisionError: of ours" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("width", [80, 50, 24])
def test_names_are_whole_in_narrow_terminals_and_pipes(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    from workbench import terminal

    names = ["20261128-071106-paragraph-memorization-planted-smollm2-135m-12", "short"]
    columns = ["run", "analysis", "model", "started (UTC)", "took", ""]
    rows = [
        (
            name,
            "paragraph-memorization",
            "planted-smollm2-135m",
            "2026-11-28 07:11",
            "0:03",
            "sample",
        )
        for name in names
    ]
    terminal.show_table(columns, rows, right=["took"])
    piped = capsys.readouterr().out.splitlines()
    assert all(any(name in line and "sample" in line for line in piped) for name in names)
    monkeypatch.setattr(
        terminal,
        "out",
        lambda: Console(width=width, force_terminal=True, color_system=None, highlight=False),
    )
    for shown in (rows, rows[1:]):
        terminal.show_table(columns, shown, right=["took"])
        said = capsys.readouterr().out
        assert all(row[0] in said and row[1] in said and row[2] in said for row in shown)


# --- models, traces, reports, the browser ---------------------------------------------------------


def test_models_listing_and_card(workbench: Callable[..., Said], model_folder: str) -> None:
    entry, other = (e for e in workbench("models", "--json").json if e["origin"] == "known")
    assert (entry["name"], entry["licence"], entry["cached"], entry["path"]) == (
        "smollm2-135m",
        "Apache-2.0",
        False,
        None,
    )
    assert (entry["accepted"], other["name"], other["cached"], other["accepted"]) == (
        None,
        "gemma3-270m",
        False,
        False,
    )
    assert "smollm2-135m" in workbench("models").out
    card = workbench("models", "show", model_folder, "--json").json
    assert (card["name"], card["n_heads"], card["n_kv_heads"]) == ("tiny-model", 4, 2)
    assert card["weight_hash"] in workbench("models", "show", model_folder).out


def test_trace_is_saved_and_opens(
    workbench: Callable[..., Said], model_folder: str, places: Path
) -> None:
    from workbench.trace import Trace

    (places / "prompts.txt").write_text("The capital of France\nA\\nB\n", encoding="utf-8")
    where = ["--site", "z", "--layers", "0,1-2", "--positions", "-1"]
    said = workbench(
        "trace",
        "--out",
        "t",
        "-p",
        "Köln 🎉",
        "--prompts",
        "prompts.txt",
        "-m",
        model_folder,
        *where,
        "--json",
    )
    assert said.code == 0, said.err
    assert said.json["prompts"] == 3
    trace = Trace.open(places / "t")
    assert trace.prompts == ["Köln 🎉", "The capital of France", "A\\nB"]
    assert trace["z"].sizes["layer"] == 3


def test_report_is_not_overwritten_unasked(
    workbench: Callable[..., Said], model_folder: str, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench import frontends

    def write(result: Any, path: Path, force: bool) -> Path:
        assert force or not path.exists()
        Path(path).write_text(result.title)
        return Path(path)

    monkeypatch.setattr(frontends, "front_end", lambda name: {"report": write}[name])
    run = workbench("run", "count-steps", "-m", model_folder, "--json").json
    assert workbench("report", run["id"]).code == 0
    assert (places / f"{run['id']}.html").read_text() == "Count steps · tiny-model"
    again = workbench("report", "latest")
    assert (again.code, "--force" in again.err) == (2, True)
    assert workbench("report", "latest", "--force").code == 0
    assert workbench("report", run["path"], "-o", "other.html").code == 0
    assert "is a folder" in workbench("report", "latest", "-o", "runs").err


def test_ui_hands_over_what_was_asked(
    workbench: Callable[..., Said], places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench import frontends

    seen: dict[str, Any] = {}
    monkeypatch.setattr(frontends, "front_end", lambda name: lambda **given: seen.update(given))
    monkeypatch.setenv("WORKBENCH_PASSWORD", "geheim")
    (places / "mine").mkdir()
    assert (
        workbench(
            "ui",
            "--host",
            "0.0.0.0",
            "--port",
            "7999",
            "--runs",
            "mine",
            "--no-browser",
            "--root-path",
            "/lab",
            "--max-memory",
            "cpu=1GB",
            "--offload",
            "off",
        ).code
        == 0
    )
    assert vars(seen.pop("loading")) == {
        "device": "auto",
        "dtype": None,
        "max_memory": "cpu=1GB",
        "offload": "off",
        "bits": None,
    }
    assert seen == {
        "host": "0.0.0.0",
        "port": 7999,
        "model": "smollm2-135m",
        "runs": Path("mine"),
        "open_browser": False,
        "password": "geheim",
        "behind_proxy": False,
        "root_path": "/lab",
    }


# --- help and docs --------------------------------------------------------------------------------


def helped(*command: str) -> str:
    """The real `--help` text, 100 columns wide and without colours."""
    env = {
        **os.environ,
        "COLUMNS": "100",
        "TERMINAL_WIDTH": "100",
        "NO_COLOR": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
    }
    env.pop("FORCE_COLOR", None)
    env.pop("WORKBENCH_PASSWORD", None)
    code = (
        "import sys; from workbench.cli import main; sys.argv[0] = 'workbench'; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--help"],
        env=env,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines()).strip("\n")


@pytest.mark.process
def test_help_imports_nothing_heavy() -> None:
    heavy = {
        "torch",
        "transformers",
        "pandas",
        "numpy",
        "xarray",
        "gradio",
        "panel",
        "huggingface_hub",
        "pydantic",
    }
    code = f"""
import sys
from workbench.cli import main
try:
    main(["--help"])
except SystemExit:
    print(sorted({heavy!r} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.rstrip().endswith("[]")


@pytest.mark.process
def test_help_in_the_docs_is_the_real_one() -> None:
    """To bring the docs up to date: WORKBENCH_UPDATE_DOCS=1 python -m pytest
    tests/workbench/cli/test_cli.py -k docs
    """
    text = DOCS.read_text(encoding="utf-8")
    block = re.compile(r"```console\n\$ workbench ?(.*?) ?--help\n(.*?)\n```", re.DOTALL)

    def real(match: re.Match[str]) -> str:
        command = " ".join(filter(None, ["workbench", match[1], "--help"]))
        return f"```console\n$ {command}\n{helped(*match[1].split())}\n```"

    assert len(block.findall(text)) == 30
    renewed = block.sub(real, text)
    if os.environ.get("WORKBENCH_UPDATE_DOCS"):
        DOCS.write_text(renewed, encoding="utf-8")
    assert DOCS.read_text(encoding="utf-8") == renewed


def test_changes_that_a_run_holds_are_listed_and_saved(
    workbench: Callable[..., Said], places: Path
) -> None:
    sample = ROOT / "sample_runs" / "where-an-organism-keeps-passages"
    listed = workbench("changes", sample, "--json").json
    assert [row["name"] for row in listed][:2] == ["unlearn_0", "rewrite_0"]
    assert "unlearn_0" in workbench("changes", sample).out
    saved = workbench("changes", sample, "unlearn_0")
    assert "organism/planted+unlearn_0.safetensors" in saved.out
    assert (places / "unlearn_0.safetensors").stat().st_size < 100_000
    again = workbench("changes", sample, "unlearn_0")
    assert (again.code, "exists already" in again.err) == (2, True)
    wrong = workbench("changes", sample, "unlern_0")
    assert (wrong.code, "Did you mean 'unlearn_0'" in wrong.err) == (2, True)
    shown = workbench("models", "show", "organism/planted+unlearn_0.safetensors", "--json").json
    assert shown["name"] == "organism/planted+unlearn_0"
    none = workbench("changes", ROOT / "sample_runs" / "capitals")
    assert (none.code, "changed no weights" in none.out) == (0, True)
