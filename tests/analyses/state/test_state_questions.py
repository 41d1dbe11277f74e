"""One answer while states are changed: stretches frozen and wiped, and states of another prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import workbench as wb
from analyses.state import recurrent_state
from analyses.state.recurrent_state.followed_answer import FollowedAnswer
from analyses.state.recurrent_state.shown import Shown
from analyses.state.recurrent_state.spans import Stretch, chosen_stretch, starts
from tests.helpers import families
from workbench import runs
from workbench.errors import BadInput
from workbench.progress import Progress
from workbench.result import Result
from workbench.views import bound


@pytest.fixture(scope="module")
def model() -> Any:
    return wb.load("organism/recall-mamba-16")


def ran(model: Any, **values: Any) -> Result:
    params = recurrent_state.Params.model_validate(values)
    result: Result = recurrent_state.run(model, params, Progress())
    assert not list(recurrent_state.SCHEMA.problems(result))
    return result


@pytest.fixture(scope="module")
def run(model: Any) -> Result:
    return ran(model, pairs="k5 v7, k9 v1, k30 v44, k2 v3", parts=["spans", "patching"])


def test_the_pairs_own_stretch_carries_the_answer_and_no_other_does(run: Result) -> None:
    found = run.findings["span_freeze"]
    assert found.values["effect"] < -3
    assert found.values["as_bad"] == 0
    assert found.interval["others"][0] > -1  # type: ignore[index, call-overload]
    named = run.tables["spans"].query("change == 'freeze' and `is` == 'asked about'").iloc[0]
    assert named["text"].split() == ["k30", "v44", "k2"]  # up to where the convolution writes


def test_a_frozen_stretch_is_what_change_state_gives(run: Result, model: Any) -> None:
    ids = model.tokenizer.encode("".join(run.tables["asked"]["token"]), add_special_tokens=False)
    answer = model.tokenizer.convert_tokens_to_ids(run.provenance.notes["asked for"])

    def logprob() -> torch.Tensor:
        return model.next_logits([ids])[0].log_softmax(-1)[answer]

    before = logprob()
    with wb.change_state(model, wb.FreezeState(), layers=0, positions=[2, 3, 4]):
        frozen = logprob()
    effect = float(run.arrays["span_effects"].sel(change="freeze", layer=0, pos=2))
    assert effect == pytest.approx(float(frozen - before), abs=1e-3)


def test_another_rows_state_takes_the_answer_over_and_random_ones_do_not(run: Result) -> None:
    table = run.tables["patched"]
    last = table[table["pos"] == table["pos"].max()].set_index("layer")
    assert last.loc["all", "other"] == pytest.approx(1, abs=0.05)
    assert last.loc["0", "other"] == pytest.approx(1, abs=0.05)  # the layer that stores pairs
    assert abs(last.loc["1", "other"]) < 0.2
    assert last.loc["0", "random_high"] < 0.9
    before = table[table["pos"] < 4]  # the rows are alike up to there
    assert before["other"].abs().max() < 0.02


def test_all_of_it_is_drawn(run: Result, tmp_path: Path) -> None:
    run.save(tmp_path / "run")
    views = bound(
        recurrent_state.VIEWS, runs.open_run(str(tmp_path / "run")), recurrent_state.SCHEMA
    )
    for title in ("Spans", "Patching"):
        still = " ".join(map(str, views[title].still()))
        assert "was not measured" not in still
        assert "cannot be drawn" not in still


def test_a_text_of_ones_own() -> None:
    model = families.built("mamba2")
    texts = {"prompt": "The cat sat on the mat", "other": "A dog ran to a big tree"}
    run = ran(model, **texts, parts=["spans"], answer=" the")
    assert "worst of" in run.findings["span_freeze"].says
    assert set(run.tables["spans"]["is"]) == {"other"}
    word = run.tables["asked"]["token"].iloc[2]
    named = ran(model, **texts, parts=["spans"], span=word.strip())
    assert 2 in set(named.tables["spans"].query("`is` == 'asked about'")["start"])
    with pytest.raises(BadInput, match="no other prompt"):
        ran(model, prompt=texts["prompt"], parts=["patching"])
    with pytest.raises(BadInput, match="followed by"):
        ran(model, prompt=texts["prompt"], other=texts["prompt"], parts=["patching"])


@pytest.mark.parametrize("given", ["9-4", "3-99", "nowhere", "0-9"])
def test_a_stretch_that_is_not_there_is_refused(given: str) -> None:
    asked = FollowedAnswer(list(range(10)), 0, [f"w{n} " for n in range(10)], None)
    shown = Shown(asked.ids, None, None)
    with pytest.raises(BadInput, match="no stretch"):
        chosen_stretch(given, asked, shown)
    assert chosen_stretch("3-5", asked, shown) == Stretch(3, 6)
    assert chosen_stretch("w4 w5", asked, shown) == Stretch(4, 6)


def test_a_long_text_is_tried_at_evenly_spread_places() -> None:
    tried = starts(Stretch(17, 21), 250)
    assert 17 in tried
    assert tried[0] == 0
    assert tried[-1] == 245
    assert len(tried) <= 49
