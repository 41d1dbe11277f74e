"""`workbench trace`: prompts from everywhere, a size that is agreed to, Ctrl-C that keeps what
is finished.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import workbench as wb
from tests.helpers import tiny
from tests.helpers.waiting import until
from workbench import cli, disk_space

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return str(tiny.save_tiny(tmp_path_factory.mktemp("tiny") / "tiny-model"))


@pytest.fixture
def call(tmp_path, monkeypatch, capsys, model_folder):
    """`workbench trace …` on the tiny model, in this process and in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as end:
            cli.main(["trace", "-m", model_folder, *map(str, arguments)])
        said = capsys.readouterr()
        return SimpleNamespace(
            code=int(end.value.code or 0), out=said.out, err=re.sub(r"\s+", " ", said.err)
        )

    return run


def test_prompts_come_from_everywhere(call, tmp_path):
    (tmp_path / "p.txt").write_text(
        "\ufeffThe capital of France\n\n  A\\nB\u2028C\n", encoding="utf-8"
    )
    lines = ['"Köln 🎉"', '{"text": "one", "id": 3}', "", '{"prompt": "two"}', "[5, 6, 7]"]
    (tmp_path / "p.jsonl").write_text("\n".join(lines), encoding="utf-8")
    said = call("first", "-p", "second", "--prompts", "p.txt", "-o", "t", "--site", "z")
    assert said.code == 0, said.err
    assert wb.Trace.open("t").prompts == [
        "first",
        "second",
        "The capital of France",
        "  A\\nB\u2028C",
    ]
    assert "The trace takes about" in said.err
    assert "4 prompt × 3 layer ×" in said.out
    said = call("--prompts", "p.jsonl", "-o", "u", "--json")
    assert json.loads(said.out)["prompts"] == 4
    assert wb.Trace.open("u").prompts[:3] == ["Köln 🎉", "one", "two"]
    assert wb.Trace.open("u").lengths[3] == 3
    said = call("--prompts", "-", "-o", "v", stdin="from\nthe\\npipe\n")
    assert said.code == 0, said.err
    assert wb.Trace.open("v").prompts == ["from", "the\\npipe"]


def test_texts_in_files_are_taken_as_they_stand(call, tmp_path):
    texts = ["Let $\\nabla f = \\nu$.", "Open C:\\new\\notes.txt", "a\u2028b\x0cc"]
    (tmp_path / "p.txt").write_text("\n".join(texts), encoding="utf-8")
    for name, where, stdin in (("t", "p.txt", ""), ("u", "-", "\n".join(texts))):
        said = call("--prompts", where, "-o", name, "--layers", "0", stdin=stdin)
        assert said.code == 0, said.err
        assert wb.Trace.open(name).prompts == texts


CHAT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt"
    " %}<bot>{% endif %}"
)


def test_conversations(call, model_folder, tmp_path):
    folder = tmp_path / "chatty"
    shutil.copytree(model_folder, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**config, "chat_template": CHAT}), encoding="utf-8"
    )
    said = [
        {"role": "user", "content": "one\ntwo"},
        {"role": "bot", "content": "three"},
        {"role": "user", "content": "four"},
    ]
    lines = ["four", {"text": "five"}, {"messages": said}, said]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    whole = "<user>one\ntwo<bot>three<user>four<bot>"
    first = call("--chat", "six", "--prompts", "p.jsonl", "-o", "t", "--layers", "0", "-m", folder)
    assert first.code == 0, first.err
    assert wb.Trace.open("t").prompts == [
        "<user>six<bot>",
        "<user>four<bot>",
        "<user>five<bot>",
        whole,
        whole,
    ]
    assert call("--prompts", "p.jsonl", "-o", "u", "--layers", "0", "-m", folder).code == 0
    assert wb.Trace.open("u").prompts == ["four", "five", whole, whole]
    plain = call("--chat", "six", "-o", "v")
    assert (plain.code, "no chat template" in plain.err) == (2, True)
    windows = call("--chat", "six", "-o", "w", "--window", "4", "-m", folder)
    assert (windows.code, "cannot be cut into windows" in windows.err) == (2, True)
    (tmp_path / "ids.jsonl").write_text("[5, 6]", encoding="utf-8")
    ids = call("--chat", "--prompts", "ids.jsonl", "-o", "x", "-m", folder)
    assert (ids.code, "Line 1 of ids.jsonl is a list of token ids" in ids.err) == (2, True)


@pytest.mark.parametrize(
    "line",
    [
        '"a \\ud83d b"',
        '{"text": "\\udce9"}',
        '{"messages": [{"role": "user", "content": "\\ud83d"}]}',
    ],
)
def test_halves_of_characters_in_files_are_named(call, tmp_path, line):
    (tmp_path / "p.jsonl").write_text(f'"fine"\n{line}', encoding="utf-8")
    said = call("--prompts", "p.jsonl", "-o", "t")
    assert (said.code, "Line 2 of p.jsonl is not valid Unicode" in said.err) == (2, True), said.err


def test_arguments_that_are_no_text_are_named(call):
    for bad in (["caf\udce9"], ["a", "-p", "caf\udce9"], ["a", "--layers", "\udce9"]):
        said = call(*bad, "-o", "t")
        assert (said.code, "is not valid Unicode" in said.err) == (2, True), said.err


def test_everything_a_capture_can_do(call, llama):
    asked = [
        "--site",
        "z",
        "--site",
        "pattern",
        "--layers",
        "0,2",
        "--reduce",
        "pattern=topk:2",
        "--reduce",
        "z=norm",
    ]
    said = call(
        "The capital of France is",
        "-o",
        "t",
        *asked,
        "--store",
        "float16",
        "--batch-tokens",
        "10",
        "--json",
    )
    assert said.code == 0, said.err
    about = json.loads(said.out)
    assert about["sites"]["pattern.index"] == {
        "prompt": 1,
        "layer": 2,
        "head": 4,
        "query": about["tokens"],
        "rank": 2,
    }
    trace = wb.Trace.open("t")
    assert about["bytes"] == trace.nbytes
    want = wb.capture(llama, "The capital of France is", sites="z", layers=[0, 2], reduce="norm")
    np.testing.assert_allclose(trace["z"], want["z"], rtol=1e-3)
    assert trace["z"].dtype == np.float16
    said = call(
        "The capital of France is", "-o", "u", "--reduce", "last", "--window", "3", "--json"
    )
    assert max(wb.Trace.open("u").lengths) == 3


def test_the_same_command_again_continues(call, tmp_path):
    assert call("a", "b", "-o", "t").code == 0
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "t").iterdir()}
    said = call("a", "b", "-o", "t")
    assert said.code == 0
    assert "are there already" in said.err
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "t").iterdir()} == files
    said = call("a", "c", "-o", "t")
    assert said.code == 2
    assert "other prompts" in said.err


def test_over_a_gigabyte_is_agreed_to(call, tmp_path, monkeypatch):
    monkeypatch.setattr(disk_space, "AGREED", 1000)
    said = call("a", "-o", "t")
    assert said.code == 2
    assert "nobody can confirm it" in said.err
    assert "--yes" in said.err
    assert not (tmp_path / "t").exists()
    assert call("a", "-o", "t", "--yes").code == 0

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(io, "StringIO", Terminal)
    said = call("a", "-o", "u", stdin="n\n")
    assert said.code == 130
    assert "Nothing was written" in said.err
    assert not (tmp_path / "u").exists()
    assert call("a", "-o", "u", stdin="y\n").code == 0


def test_a_disk_without_room_is_said_before_the_work(call, tmp_path, monkeypatch):
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    said = call("a", "-o", "t", "--yes")
    assert said.code == 2
    assert "100 B are free" in said.err
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "nothing to run"),
        (["-p", ""], "A prompt is empty"),
        (["--prompts", "none.txt"], "no file of prompts"),
        (["--prompts", "blank.txt"], "holds no prompts"),
        (["--prompts", "latin.txt"], "not UTF-8"),
        (["--prompts", "bad.jsonl"], "Line 2 of bad.jsonl is not JSON"),
        (["--prompts", "odd.jsonl"], "Line 1 of odd.jsonl holds no prompt"),
        (["--prompts", "ids.jsonl"], "token id 99999"),
        (["--prompts", "-"], "nothing to run"),
        (["x", "--reduce", "pattern=norm"], "no captured site 'pattern'"),
        (["x", "--reduce", "entropy"], "does not fit 'resid_post'"),
        (["x", "--reduce", "nrom"], "Did you mean 'norm'"),
        (["x", "--reduce", "norm", "--reduce", "z=norm"], "is for all sites"),
        (["x", "--reduce", "project:a=b.npy"], "no file of directions 'a=b.npy'"),
        (["x", "--store", "int8"], "stored as 'int8'"),
        (["x", "--positions", "99"], "has no position 99"),
        (["x", "--batch-tokens", "0"], "--batch-tokens"),
    ],
)
def test_mistakes_leave_nothing(call, tmp_path, arguments, says):
    (tmp_path / "blank.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes("Köln\n".encode("latin-1"))
    (tmp_path / "bad.jsonl").write_text('"a"\n{"text": \n')
    (tmp_path / "odd.jsonl").write_text('{"words": "a"}\n')
    (tmp_path / "ids.jsonl").write_text("[99999]\n")
    said = call(*arguments, "-o", "t")
    assert said.code == 2, said.err
    assert says in said.err
    assert not (tmp_path / "t").exists()


@pytest.mark.verify
@pytest.mark.process
def test_ctrl_c_keeps_finished_parts_and_the_same_command_continues(tmp_path, model_folder):
    (tmp_path / "p.txt").write_text(
        "".join(f"{'The capital of France is Paris. ' * 12}{n}\n" for n in range(600))
    )
    code = "import sys; from workbench.cli import main; main(sys.argv[1:])"
    asked = [
        "--prompts",
        "p.txt",
        "-m",
        model_folder,
        "-o",
        "t",
        "--site",
        "z",
        "--batch-tokens",
        "200",
    ]
    command = [sys.executable, "-c", code, "trace", *asked]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    until(lambda: process.poll() is not None or list((tmp_path / "t").glob("shard-*")), 120)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    kept = wb.Trace.open(tmp_path / "t")
    assert 0 < len(kept.lengths) < 600
    assert f"{len(kept.lengths)} prompts are saved in t; the same command continues" in said
    again = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=False)
    assert again.returncode == 0
    assert len(wb.Trace.open(tmp_path / "t").lengths) == 600


@pytest.mark.process
@pytest.mark.parametrize("family", ["mamba2", "qwen3_next", "eight bits"])
def test_nothing_but_our_own_words_is_on_the_screen(tmp_path, model_folder, family):
    """In a process of its own: libraries say most of what they say once, or while they are
    imported.
    """
    from tests.helpers import families

    folder = tmp_path / "model"
    if family == "eight bits":
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
        from transformers import AutoModelForCausalLM, BitsAndBytesConfig

        rounded = BitsAndBytesConfig(load_in_8bit=True)
        AutoModelForCausalLM.from_pretrained(
            model_folder, quantization_config=rounded, device_map="cpu"
        ).save_pretrained(folder)
    else:
        families.module(family).save_pretrained(folder)
    tiny.tiny_tokenizer().save_pretrained(folder)
    start = "from workbench.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        start,
        "trace",
        "The capital",
        "-m",
        str(folder),
        "--site",
        "resid_post",
        "-o",
        "t",
    ]
    said = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert said.returncode == 0, said.stderr
    reports = r"\s*\d+% (Loading|Reading|Checking|Capturing|model is ready) .*"
    ours = re.compile(rf"{reports}|The trace takes about .*|\s*")
    assert [line for line in re.split(r"[\r\n]+", said.stderr) if not ours.fullmatch(line)] == []
