"""Which runs a grid is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import fake_package
from workbench import registry
from workbench.errors import BadInput, NotFound
from workbench.grid import plan

WORDS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=8)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    fake_package.install(tmp_path, monkeypatch)
    yield registry.get("count-sheep")
    fake_package.forget()


def cells(asked, models=("organism/planted",), fixed=None, **axes):
    return plan.cells(asked, models, axes, fixed or {})


def test_every_model_with_every_combination(asked):
    both = ["organism/planted", "organism/planted-control"]
    found = cells(asked, both, {"pause": 0.5}, steps=[1, 2], seed=[0, 1, 2])
    assert len(found) == 12
    assert [cell.model for cell in found[:6]] == [both[0]] * 6
    assert found[1].params == {"steps": 1, "pause": 0.5, "text": "sheep", "crash": False, "seed": 1}
    assert found[1].varied == {"model": both[0], "steps": 1, "seed": 1}
    assert found[1].says == "organism/planted, steps 1, seed 1"
    assert len({cell.folder for cell in found}) == 12


def test_a_key_is_of_the_question_and_not_of_the_grid(asked):
    alone = cells(asked, steps=[2])[0]
    (among,) = [cell for cell in cells(asked, steps=[1, 2, 3]) if cell.params["steps"] == 2]
    assert alone.key == among.key
    assert alone.key != cells(asked, ["organism/planted-control"], steps=[2])[0].key
    assert len(cells(asked, ["organism/planted"] * 2, steps=[2, 2])) == 1


def test_all_steps_of_a_training(asked):
    found = cells(asked, ["organism/planted@*"])
    assert len(found) == 13
    assert found[0].model == "organism/planted@step-0"
    with pytest.raises(BadInput, match="no saved steps"):
        cells(asked, ["smollm2-135m@*"])


def test_what_is_wrong_is_said_before_anything_is_run(asked):
    with pytest.raises(BadInput, match="The run with steps=0, seed=1"):
        cells(asked, steps=[1, 0], seed=[1])
    with pytest.raises(NotFound, match="organism/plantd"):
        cells(asked, ["organism/plantd"])
    with pytest.raises(BadInput, match=r"10,100 runs"):
        cells(asked, steps=list(range(1, 102)), seed=list(range(100)))


def test_a_folder_is_named_by_what_is_special_whatever_that_is(asked):
    (first, second) = cells(asked, text=["../../etc/<script>", "\u202e" + "x" * 500])
    for cell in (first, second):
        assert "/" not in cell.folder
        assert len(cell.folder) < 80
        assert cell.folder.endswith(cell.key)
    assert first.folder.startswith("text-etc-script-")


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_values_are_parted_by_commas_outside_of_quotes_and_brackets(words):
    asked = [json.dumps([word, word]) for word in words]
    assert plan.values_of(",".join(asked)) == asked
    quoted = [json.dumps(word) for word in words]
    assert plan.values_of(",".join(quoted)) == quoted
    if not any(c in word for word in words for c in ',"[]{}\\'):
        assert plan.values_of(",".join(words)) == words
