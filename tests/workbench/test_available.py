"""What can be opened here: known models, organisms, folders of the user, changes, the Hub's cache;
broken and hostile ones among them.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.tiny import tiny_llama, tiny_tokenizer
from workbench import models
from workbench.errors import Cancelled
from workbench.models import ModelEntry, weight_sizes
from workbench.models.weight_delta import Delta
from workbench.progress import Progress, Update


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, a cache and a folder of runs, all empty."""
    for name in ("work", "cache", "runs", "hub"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def save(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tiny_llama().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def listed(**wanted: str) -> dict[str, ModelEntry]:
    entries = models.listing()
    return {
        entry.name: entry
        for entry in entries
        if all(getattr(entry, key) == value for key, value in wanted.items())
    }


def test_each_kind_is_there_with_its_size_in_memory(places: Path) -> None:
    planted, plain = save(places / "work" / "pair" / "planted"), save(places / "work" / "plain")
    (planted / "ledger.jsonl").write_text("{}\n")
    save(places / "hub" / "models--ann--tiny" / "snapshots" / "abc")
    weights = sum(p.numel() for p in tiny_llama().parameters()) * 4
    assert listed(origin="known").keys() == {"smollm2-135m", "gemma3-270m"}
    organism = listed(origin="organism")["organism/planted"]
    assert organism.steps[0] == 0
    assert organism.memory
    made, other = listed(origin="made here"), listed(origin="local")
    assert list(made) == [str(planted)]
    assert list(other) == [str(plain)]
    assert [e.memory for e in (*made.values(), *other.values())] == [weights, weights]
    [hub] = listed(origin="hugging face").values()
    assert (hub.name, hub.cached, hub.memory) == ("ann/tiny", True, weights)
    assert models.load_weights(str(plain), device="cpu").card.n_layers == 3


def test_the_size_in_memory_is_that_of_the_loaded_module(places: Path) -> None:
    import torch

    folder = places / "work" / "half"
    tiny_llama().to(torch.bfloat16).save_pretrained(folder)
    size = weight_sizes.of_place(folder)
    assert size is not None
    n = sum(p.numel() for p in tiny_llama().parameters())
    assert (size.float32, size.stored) == (4 * n, 2 * n)


def test_a_change_opens_by_the_model_it_belongs_to(places: Path) -> None:
    change = {"index": {"a": np.zeros(1, np.int64)}, "values": {"a": np.zeros(1, np.float32)}}
    run = places / "runs" / "run-1"
    run.mkdir()
    (run / "arrays.safetensors").write_bytes(b"not looked at")
    known = Delta("hash", "forgets <b>it</b>", **change, model="organism/planted")
    known.save(run / "forgets.safetensors")
    Delta("hash", "of whom?", **change).save(run / "lost.safetensors")
    made = listed(origin="made here")
    entry = made[f"organism/planted+{run / 'forgets.safetensors'}"]
    assert (entry.cached, entry.description) == (True, "forgets <b>it</b>")
    assert entry.memory == listed()["organism/planted"].memory
    assert "which model" in made[f"MODEL+{run / 'lost.safetensors'}"].problem
    # A change that was made behind another one opens behind its file, if that lies beside it.
    for name, first in (("second", "forgets"), ("third", "gone")):
        model = f"organism/planted+{first}.safetensors"
        Delta("hash", "too", **change, model=model).save(run / f"{name}.safetensors")
    made = listed(origin="made here")
    both = f"organism/planted+{run / 'forgets.safetensors'}+{run / 'second.safetensors'}"
    assert made[both].cached
    alone = made[f"organism/planted+gone.safetensors+{run / 'third.safetensors'}"]
    assert (alone.cached, "does not lie beside it" in alone.problem) == (False, True)


def test_what_is_broken_is_listed_with_the_reason_and_costs_no_other(places: Path) -> None:
    work = places / "work"
    cut, bare, garbled, index = (save(work / n) for n in ("cut", "bare", "garbled", "index"))
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:20])
    (bare / "model.safetensors").unlink()
    (garbled / "model.safetensors").write_bytes(b"\xff" * 64)
    (index / "model.safetensors.index.json").write_text('{"weight_map": []}')
    (work / "other").mkdir()
    (work / "other" / "config.json").write_text('["no model"]')
    (work / "nonsense").mkdir()
    (work / "nonsense" / "config.json").write_bytes(b"\x00\xff{")
    (work / "x.safetensors").write_bytes(b"short")
    (work / "x.gguf").write_bytes(b"no")
    os.symlink(work, work / "loop")
    os.symlink(work / "gone", work / "dangling")
    hostile = save(work / "<script>alert(1)</script>'\" ‮🦊")
    found = listed(origin="local")
    assert not {str(work / n) for n in ("other", "nonsense", "x.gguf")} & found.keys()
    for folder in (cut, bare, garbled, index):
        entry = found[str(folder)]
        assert not entry.cached
        assert entry.problem
    assert found[str(hostile)].cached


def test_a_broken_hub_cache_is_no_error(places: Path) -> None:
    hub = places / "hub"
    (hub / "models--a--b").mkdir()
    half = save(hub / "models--a--half" / "snapshots" / "1")
    (half / "model.safetensors").unlink()
    index = save(hub / "models--a--index" / "snapshots" / "1")
    (index / "model.safetensors.index.json").write_text("no json")
    (hub / "models--a--file").write_text("no folder")
    found = listed(origin="hugging face")
    assert found.keys() == {"a/b", "a/half", "a/index", "a/file"}
    assert not any(entry.cached for entry in found.values())


def test_a_folder_of_a_thousand_others_takes_no_time(places: Path) -> None:
    for n in range(1000):
        (places / "work" / f"folder-{n}").mkdir()
    save(places / "work" / "a-model")
    models.listing()
    began = time.perf_counter()
    assert str(places / "work" / "a-model") in listed(origin="local")
    assert time.perf_counter() - began < 0.5  # 20 ms on an idle core


def test_sizes_of_what_is_not_here_are_not_known() -> None:
    assert weight_sizes.of_reference("no such model") is None
    assert weight_sizes.of_reference("ann/not-fetched") is None
    assert weight_sizes.of_reference(3) is None
    assert weight_sizes.of_reference("smollm2-135m") is not None
    step = weight_sizes.of_reference("organism/planted@step-52")
    assert step == weight_sizes.of_reference("organism/planted")


@pytest.mark.parametrize(
    ("name", "bits"), [("m.Q4_1", 4.5), ("m-F16", 16), ("m.IQ3XXS", 3.5), ("m", None)]
)
def test_a_gguf_is_as_large_as_its_name_says(places: Path, name: str, bits: float | None) -> None:
    file = places / "work" / f"{name}.gguf"
    file.write_bytes(b"GGUF" + bytes(9 * 1000 - 4))
    size = weight_sizes.of_place(file)
    assert (size and size.float32) == (bits and round(9000 * 32 / bits))


def test_reading_says_how_far_it_is_and_can_be_cancelled(places: Path) -> None:
    folder = save(places / "work" / "plain")
    seen: list[Update] = []
    models.load_weights(str(folder), device="cpu", progress=Progress(seen.append))
    assert [u.fraction for u in seen] == sorted(u.fraction for u in seen)
    reading = [u for u in seen if u.says.startswith("Reading plain")]
    whole = reading[-1].says.split()
    assert whole[2:4] == whole[5:7]  # "… 123 kB of 123 kB": every weight, and none twice
    assert seen[-1].fraction == 1

    def stop(update: Update) -> None:
        if update.says.startswith("Reading"):
            cancelled.cancel()

    cancelled = Progress(stop)
    with pytest.raises(Cancelled):
        models.load_weights(str(folder), device="cpu", progress=cancelled)


def test_folders_are_json_for_the_command_line(places: Path) -> None:
    from dataclasses import asdict

    save(places / "work" / "plain")
    listed = json.loads(json.dumps([asdict(entry) for entry in models.listing()], default=str))
    assert [entry["name"] for entry in listed if entry["name"].endswith("plain")]
