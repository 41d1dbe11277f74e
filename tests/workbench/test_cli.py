"""The command line as a newcomer meets it: answers, JSON, every kind of mistake, Ctrl-C, and docs
that tell the truth.

A small third-party analysis, installed by nothing but its folder on the path, stands in for the
real ones: what works for it works for any.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.helpers import tiny
from workbench import cli, registry

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "command-line.md"

ANALYSIS = """
import time
from typing import Literal
import pandas as pd
from pydantic import BaseModel, Field
from workbench.result import Finding, Result

name, question = "count-steps", "How many steps are there?"

class Params(BaseModel, frozen=True, extra="forbid"):
    steps: int = Field(3, ge=1, le=1000, description="How many")
    pause: float = Field(0.0, ge=0, description="Seconds per step")
    word: str = Field("one", description="Any text")
    places: list[str] = Field(["a"], description="Some places")
    how: Literal["up", "down"] = Field("up", description="Direction")
    seed: int = Field(0, ge=0, description="Seed")

def run(model, params, progress):
    result = Result(name)
    for step in range(params.steps):
        progress(step / params.steps, f"Step {step + 1}")
        time.sleep(params.pause)
        says = f"There are {step + 1} steps of [red]{params.word}[/red]\\x1b[31m."
        result.add(Finding("steps", step + 1, says))
        result.tables["steps"] = pd.DataFrame({"step": range(step + 1)})
        progress.checkpoint(result)
    return result

def views(result):
    return {}
"""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A third party's package with one analysis, as pip would lay it out."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "stranger_analysis.py").write_text(ANALYSIS)
    about = folder / "stranger-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[workbench.analyses]\ncount-steps = stranger_analysis\n"
    )
    return folder


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save_tiny(tmp_path_factory.mktemp("tiny") / "tiny-model"))


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: Path) -> Iterator[Path]:
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("WORKBENCH_PASSWORD", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(stranger))
    registry._entry_points.cache_clear()
    registry.get.cache_clear()
    yield tmp_path
    registry._entry_points.cache_clear()
    registry.get.cache_clear()


@pytest.fixture
def workbench(places: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run one command in this process."""

    def call(*arguments: str) -> Said:
        with pytest.raises(SystemExit) as end:
            cli.main([str(a) for a in arguments])
        said = capsys.readouterr()
        return Said(int(end.value.code or 0), said.out, said.err)

    return call


# --- asking ---------------------------------------------------------------------------------------


def test_analyses_lists_questions_and_explains_parameters(workbench: Callable[..., Said]) -> None:
    listed = workbench("analyses", "--json").json
    assert {
        "name": "count-steps",
        "question": "How many steps are there?",
        "gives": "",
        "room": "",
        "package": "stranger",
    } in listed["analyses"]
    assert "How many steps are there?" in workbench("analyses").out
    about = workbench("analyses", "count-steps", "--json").json
    assert about["parameters"][0] == {
        "name": "steps",
        "type": "whole number",
        "default": 3,
        "bounds": "≥ 1, ≤ 1000",
        "description": "How many",
    }
    assert [p["type"] for p in about["parameters"]][2:5] == ["text", "list of text", "up | down"]
    table = workbench("analyses", "count_steps").out
    assert re.search(r"steps\s+How many\s+whole number, default 3, ≥ 1, ≤ 1000", table)


def test_run_saves_tells_and_lists(workbench: Callable[..., Said], model_folder: str) -> None:
    said = workbench(
        "run",
        "count-steps",
        "-m",
        model_folder,
        "--set",
        "steps=2",
        "--set",
        "word=7",
        "--set",
        "places=x, y",
    )
    assert said.code == 0, said.err
    assert "There are 2 steps of [red]7[/red]" in said.out  # markup of a stranger stays text
    assert "\x1b" not in said.out
    assert "workbench report" in said.out
    [entry] = [e for e in workbench("runs", "--json").json if not e["sample"]]
    assert (entry["analysis"], entry["model"], entry["partial"]) == (
        "count-steps",
        "tiny-model",
        False,
    )
    saved = json.loads((Path(entry["path"]) / "result.json").read_text())
    assert (saved["params"]["word"], saved["params"]["places"]) == ("7", ["x", "y"])
    assert entry["id"] in workbench("runs").out


def test_run_json_is_the_result_and_nothing_else(
    workbench: Callable[..., Said], model_folder: str, places: Path
) -> None:
    out = places / "answer"
    (places / "p.toml").write_text('steps = 4\nhow = "down"\n')
    said = workbench(
        "run",
        "count-steps",
        "-m",
        model_folder,
        "--params",
        "p.toml",
        "--set",
        "steps=5",
        "--seed",
        "9",
        "--out",
        out,
        "--json",
    )
    assert said.json["path"] == str(out)
    assert said.json["findings"]["steps"]["value"] == 5
    assert (said.json["params"]["how"], said.json["provenance"]["seed"]) == ("down", 9)
    assert said.json["provenance"]["model"]["n_layers"] == 3


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


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may write everywhere"
)
def test_folder_without_permission_is_noticed_before_the_model_loads(
    workbench: Callable[..., Said], places: Path
) -> None:
    (places / "locked").mkdir(mode=0o500)
    said = workbench("run", "count-steps", "--out", places / "locked" / "run")
    assert said.code == 2
    assert "Nothing may be written" in said.err


def test_work_is_not_lost_when_the_runs_folder_goes_bad_meanwhile(
    workbench: Callable[..., Said], model_folder: str, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench import runs

    run = runs.run

    def then_the_disk_goes_bad(*arguments: Any, **options: Any) -> Any:
        result = run(*arguments, **options)
        (places / "runs").write_text("a file where the folder should be")
        return result

    monkeypatch.setattr(runs, "run", then_the_disk_goes_bad)
    said = workbench("run", "count-steps", "-m", model_folder)
    assert said.code == 0
    assert "is saved in" in said.err
    assert len(list(places.glob("*count-steps*/result.json"))) == 1


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


# --- stopping -------------------------------------------------------------------------------------


def started(places: Path, stranger: Path, *arguments: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), str(stranger), os.environ.get("PYTHONPATH", "")])
    code = "import sys; from workbench.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=places,
    )


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_keeps_what_is_finished(places: Path, stranger: Path, model_folder: str) -> None:
    child = started(
        places,
        stranger,
        "run",
        "count-steps",
        "-m",
        model_folder,
        "--set",
        "steps=400",
        "--set",
        "pause=0.05",
        "--json",
    )
    assert child.stderr is not None
    for line in child.stderr:  # until it counts
        if "How many steps" in line or "Step" in line:
            break
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=300)
    assert child.returncode == 130
    kept = json.loads(out)
    assert kept["partial"] is True
    assert 1 <= kept["findings"]["steps"]["value"] < 400
    assert kept["path"] in err.replace("\n", "")
    assert "saved as a partial run" in err
    assert Path(kept["path"]).parent == places / "runs"


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_second_ctrl_c_ends_at_once(places: Path, stranger: Path, model_folder: str) -> None:
    child = started(places, stranger, "run", "count-steps", "-m", model_folder, "--set", "pause=60")
    assert child.stderr is not None
    for line in child.stderr:
        if "How many steps" in line:
            break
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=300) == 130


def test_chat_is_a_parameter_of_the_analyses_that_have_it(
    workbench: Callable[..., Said], model_folder: str
) -> None:
    said = workbench("run", "count-steps", "--chat", "--model", model_folder)
    assert (said.code, "count-steps does not use a chat format" in said.err) == (2, True)
    said = workbench("run", "inside", "--chat", "--set", "prompt=a", "--model", model_folder)
    assert (said.code, "no chat template" in said.err) == (2, True)


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
    tests/workbench/test_cli.py -k docs
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
