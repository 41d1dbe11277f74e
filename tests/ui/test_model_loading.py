"""How the server's models are loaded: limits, a folder for the rest, rounding; for the first model
and for those that are chosen later.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import workbench as wb
from tests.helpers import tiny
from tests.helpers.waiting import until
from ui.model_loading import ModelLoading
from ui.model_shelf import ModelShelf
from workbench.errors import BadInput
from workbench.grid.engine import Loading
from workbench.models import fits, weight_sizes


@pytest.fixture(scope="module")
def folders(tmp_path_factory: Any) -> list[str]:
    made = tmp_path_factory.mktemp("models")
    for name, factor in (("first", 1.0), ("second", 2.0)):
        module = tiny.tiny_llama()
        for weight in module.parameters():
            weight.data *= factor
        tiny.save_tiny(made / name, module)
    return [str(made / "first"), str(made / "second")]


def opened(shelf: ModelShelf, ref: str) -> Any:
    assert shelf.open(ref).wait(120)
    until(lambda: shelf.loading is None)
    assert shelf.problem is None
    return shelf.current.need()


def test_every_model_is_loaded_as_it_was_asked(folders: list[str], tmp_path: Path) -> None:
    spread = Loading(max_memory="cpu=10kB", offload=str(tmp_path / "off"))
    shelf = ModelShelf(folders[0], loading=spread)
    shelf.start()
    assert shelf.current.wait(120)
    models = [shelf.current.need(), opened(shelf, folders[1])]
    assert len(list((tmp_path / "off").iterdir())) == 2  # their files are called the same
    for model, folder in zip(models, folders, strict=True):
        assert "disk" in model.card.device
        whole = wb.load(folder, device="cpu").next_logits("a dog")
        torch.testing.assert_close(model.next_logits("a dog"), whole)
    assert shelf.memory_needed(folders[0]) == 10_000
    assert shelf.fit(10**15) == "fits"


def test_rounded_models(folders: list[str]) -> None:
    pytest.importorskip("bitsandbytes", reason="needs the extra `quantized`")
    shelf = ModelShelf(folders[0], loading=Loading(bits=8))
    shelf.start()
    assert opened(shelf, folders[1]).card.quantized_from == "bitsandbytes 8 bit"
    size = weight_sizes.of_reference(folders[0])
    assert size is not None
    assert shelf.memory_needed(folders[0]) == fits.needed(size, torch.float32, 8) < size.float32


def test_limits_count_as_the_memory_there_is(folders: list[str]) -> None:
    size = weight_sizes.of_reference(folders[0])
    assert size is not None
    for limit in (1000, 10**12):
        loading = ModelLoading(Loading(max_memory=f"cpu={limit}"))
        assert loading.memory_needed(folders[0]) == min(limit, size.float32)
        assert not loading.spills
    shelf = ModelShelf(folders[0], loading=Loading(max_memory="cpu=1kB"))
    shelf.start()
    until(lambda: shelf.current.state == "failed")
    assert shelf.current.error is not None
    assert "does not fit on cpu=1.0 kB" in shelf.current.error.what
    assert "--offload FOLDER" in shelf.current.error.do


def test_with_a_folder_others_make_room_but_nothing_is_refused() -> None:
    """Idle models are let go before a model goes to the disk, and a huge one is loaded all the
    same.
    """
    sizes = {"first": 3_000, "second": 2_000, "huge": 10**15}
    folder = Loading(offload="off")
    made: list[str] = []

    class Made:
        def __init__(self, name: str) -> None:
            self.card = type("Card", (), {"name": name})()

    def load(ref: Any, progress: Any) -> Any:
        made.append(ref)
        return Made(ref)

    def free() -> int:
        used = sum(sizes[slot.name] for slot in shelf.loaded() if slot.name != "huge")
        return fits.WORKING_ROOM + 6_000 - used

    shelf = ModelShelf("first", load, sizes.get, free, folder)
    shelf.start()
    for ref in ("second", "huge"):
        opened(shelf, ref)
    assert made == ["first", "second", "huge"]
    assert sorted(slot.name for slot in shelf.loaded()) == ["huge", "second"]
    assert shelf.notice is not None
    assert "first was unloaded to make room for huge" in shelf.notice.text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (Loading(bits=3), "cannot be rounded to 3 bits"),
        (Loading(max_memory="moon=3GB"), "no place 'moon'"),
        (Loading(max_memory="cpu=lots"), "'lots' is no amount of memory"),
        (Loading(max_memory="cpu=1GB", bits=8), "lie whole on one device"),
    ],
)
def test_what_is_wrong_is_said_before_anything_loads(options: Loading, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        ModelShelf("smollm2-135m", loading=options)
