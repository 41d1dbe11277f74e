"""Models that do not fit: spread over places with limits, the rest in a folder, rounded. What they
say is what the whole model says, or it is said before that they cannot.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from hooks.weights import dense_weight
from tests.helpers import tiny
from workbench import registry
from workbench.cli import main
from workbench.errors import BadInput, WorkbenchError
from workbench.models import fits, placement, weight_sizes
from workbench.models.weight_delta import Delta

PROMPTS = ["the cat sat on a mat", "a dog"]
TARGETS = [[3, 4], [5, 6]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tiny.save_tiny(tmp_path_factory.mktemp("tiny") / "tiny"))


@pytest.fixture(scope="module")
def away(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Some layers in memory, others on disk."""
    there = tmp_path_factory.mktemp("offload") / "new"
    takes = weight_sizes.of_place(folder)
    assert takes is not None
    limit = int(takes.float32 * 0.8)
    return wb.load(folder, device="cpu", max_memory=f"cpu={limit}", offload=there)


@pytest.fixture(scope="module")
def here(folder: Path) -> Any:
    return wb.load(folder, device="cpu")


def test_part_of_it_lies_on_disk_and_the_card_says_so(away: Any, here: Any) -> None:
    placed = {parameter.device.type for parameter in away.module.parameters()}
    assert placed == {"cpu", "meta"}
    assert away.card.device == "cpu + disk"
    assert away.card.weight_hash == here.card.weight_hash


def test_what_it_says_is_what_the_whole_model_says(away: Any, here: Any) -> None:
    sites = list(here.sites)
    one, two = (wb.capture(m, PROMPTS, sites=sites) for m in (here, away))
    for site in sites:
        np.testing.assert_array_equal(one[site].values, two[site].values, err_msg=site)
    for over in ("heads", "layers", "neurons", "positions", "edges"):
        swept = [
            wb.sweep(m, PROMPTS, TARGETS, over=over, read="logit_diff")["effect"].values
            for m in (here, away)
        ]
        np.testing.assert_allclose(*swept, atol=1e-5)
    slopes = [wb.activation_gradients(m, PROMPTS, sites="z")["z"].values for m in (here, away)]
    np.testing.assert_allclose(*slopes, atol=1e-6)
    with wb.ablate(away, heads=[(2, 1)]), wb.ablate(here, heads=[(2, 1)]):
        assert away.generate(PROMPTS[0], max_new_tokens=5) == here.generate(
            PROMPTS[0], max_new_tokens=5
        )
    asked = {"prompt": PROMPTS[0], "heads": ["L1H1"]}
    runs = [wb.run("intervention", m, asked) for m in (here, away)]
    assert [f.says for f in runs[0].findings.values()] == [
        f.says for f in runs[1].findings.values()
    ]


def test_what_it_cannot_do_is_said_before_it_begins(
    away: Any, here: Any, tmp_path: Path, folder: Path
) -> None:
    asked = registry.get("paragraph-memorization")
    assert asked.unavailable_reason(here) is None
    assert "offloaded, and keeps no gradient" in str(asked.unavailable_reason(away))
    with pytest.raises(WorkbenchError, match="offloaded, and keeps no gradient"):
        wb.weight_gradients(away, PROMPTS)
    change = Delta(
        here.card.weight_hash,
        "one number",
        {"lm_head.weight": np.array([0])},
        {"lm_head.weight": np.array([1.0], "f4")},
    )
    with pytest.raises(BadInput, match="some of its weights are offloaded"):
        change.apply(away.module)
    file = change.save(tmp_path / "change.safetensors")
    limits = {"max_memory": "cpu=10kB", "offload": tmp_path / "off", "device": "cpu"}
    with pytest.raises(BadInput, match="A change of weights cannot be put on tiny"):
        wb.load(f"{folder}+{file}", **limits)


def test_without_a_folder_it_is_refused_with_the_smallest_change(folder: Path) -> None:
    takes = weight_sizes.of_place(folder)
    assert takes is not None
    for share, do in ((0.6, "--dtype bfloat16"), (0.2, "--offload FOLDER")):
        with pytest.raises(WorkbenchError) as refused:
            wb.load(folder, max_memory={"cpu": int(takes.float32 * share)})
        assert "tiny does not fit on cpu=" in refused.value.what
        assert do in refused.value.do


def test_a_folder_alone_takes_what_finds_no_room(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fits.disk_space, "memory_free", lambda: fits.WORKING_ROOM + 120_000)
    model = wb.load(folder, device="cpu", offload=tmp_path / "off")
    assert model.card.device == "cpu + disk"
    assert torch.isfinite(model.next_logits(PROMPTS[0])).all()


@pytest.mark.parametrize("bits", [8, 4])
def test_rounded_as_it_is_read(bits: int, folder: Path, here: Any) -> None:
    pytest.importorskip("bitsandbytes", reason="needs the extra `quantized`")
    model = wb.load(folder, device="cpu", bits=bits)
    assert model.card.quantized_from == f"bitsandbytes {bits} bit"
    said = model.next_logits(PROMPTS[0])
    assert not torch.equal(said, here.next_logits(PROMPTS[0]))
    if bits == 4:
        # Not how far off it is: on processors with AVX512-BF16 bitsandbytes 0.50 reads matrices of
        # fewer than 64 columns wrongly. What it computes is what is read of it, everywhere.
        plain = wb.load(folder, device="cpu")
        layers = dict(plain.module.named_modules())
        with torch.no_grad():
            for name, layer in model.module.named_modules():
                if type(layer).__name__ == "Linear4bit":
                    layers[name].weight.copy_(dense_weight(layer))
        torch.testing.assert_close(plain.next_logits(PROMPTS[0]), said)
    else:
        far = (said - here.next_logits(PROMPTS[0])).abs().max()
        assert far < here.next_logits(PROMPTS[0]).abs().max()
    reason = registry.get("paragraph-memorization").unavailable_reason(model)
    assert "quantized, and keeps no gradient" in str(reason)
    size = weight_sizes.of_place(folder)
    assert size is not None
    held = sum(p.numel() * p.element_size() for p in model.module.parameters())
    assert held == pytest.approx(fits.needed(size, torch.float32, bits), rel=0.1)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"max_memory": "cpu"}, "no amount of memory"),
        ({"max_memory": "cpu=-3MB"}, "no amount of memory"),
        ({"max_memory": "cpu=0"}, "no amount of memory"),
        ({"max_memory": "cuda:7=1GB"}, "no place 'cuda:7'"),
        ({"max_memory": "moon=1GB"}, "no place 'moon'"),
        ({"bits": 3}, "cannot be rounded to 3 bits"),
        ({"bits": 4, "max_memory": "cpu=1GB"}, "whole on one device"),
        ({"offload": "/proc/nowhere"}, "cannot be put into"),
    ],
)
def test_bad_input(options: dict[str, Any], why: str, folder: Path) -> None:
    with pytest.raises(BadInput, match=why):
        wb.load(folder, **options)
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    with pytest.raises(SystemExit) as end:
        main(["models", "show", str(folder), *words])
    assert end.value.code == 2


def test_a_gguf_file_is_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "m.Q4_0.gguf"
    file.write_bytes(b"GGUF" + b"\0" * 60)
    with pytest.raises(BadInput, match="it cannot be spread or rounded"):
        wb.load(file, bits=4)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10**13), st.sampled_from(["", "kB", "MB", "GB", "MiB", "GiB"]))
def test_sizes_are_read_as_they_are_written(number: int, unit: str) -> None:
    read = placement.parse("cpu", f"cpu={number}{unit}", None, None).limits
    factor = placement._UNITS[unit.lower()]
    assert read is not None
    assert read["cpu"] == pytest.approx(number * factor)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_a_size_or_bad_input(text: str) -> None:
    try:
        read = placement.parse("cpu", text, None, None).limits
    except BadInput:
        return
    assert read
    assert all(limit > 0 for limit in read.values())
