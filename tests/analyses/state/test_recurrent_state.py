"""The run: what it says of a model of recall, of hybrids and of families that cannot be changed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from analyses.state import recurrent_state
from analyses.state.recurrent_state import layers, router
from tests.helpers import families
from workbench import runs
from workbench.errors import BadInput
from workbench.progress import Progress
from workbench.result import Result
from workbench.views import bound


def ran(model: Any, **values: Any) -> Result:
    params = recurrent_state.Params.model_validate(values)
    result: Result = recurrent_state.run(model, params, Progress())
    assert not list(recurrent_state.SCHEMA.problems(result))
    return result


@cache
def whole() -> Result:
    return ran(
        wb.load("organism/recall-mamba-16"),
        parts=["reading", "pairs", "interference", "probes", "wiping"],
        rows=32,
        sequences=300,
    )


def test_a_run_says_where_pairs_are_and_that_answers_follow() -> None:
    found = whole().findings
    assert found["rewritten"].values["new"] >= 0.9
    assert found["rewritten"].values["random"] < 0.1
    assert found["others"].values["value"] >= -0.02
    assert found["erased"].values["value"] < 0.1
    assert found["wiped_is_fresh"].values["value"] < 1e-3
    assert found["foretold"].values["margin"] > 0.8
    assert found["decoded"].values["lag_3"] > 0
    assert whole().provenance.notes["best layer"] == "0"
    assert {"not_recalled", "too_few_forgotten"}.isdisjoint(found)
    needles = whole().tables["needles"].set_index("label").loc["L0H1"]
    assert needles["own"] > needles["others"]


def test_shares_are_implicit_attention_and_wiping_is_the_sweep() -> None:
    run, model = whole(), wb.load("organism/recall-mamba-16")
    ids = model.tokenizer.encode("".join(run.tables["tokens"]["token"]), add_special_tokens=False)
    shares = wb.implicit_attention(model, ids)
    np.testing.assert_allclose(run.arrays["shares"].values, shares.values, atol=2e-3)
    asked = model.tokenizer.encode("".join(run.tables["asked"]["token"]), add_special_tokens=False)
    answer = run.provenance.notes["asked for"]
    with wb.change_state(model, wb.WipeState(), layers=0, positions=[9]):
        wiped = model.next_logits([asked])[0].log_softmax(-1)
    own = model.next_logits([asked])[0].log_softmax(-1)
    token = model.tokenizer.convert_tokens_to_ids(answer)
    expected = float(wiped[token] - own[token])
    assert float(run.arrays["wiping"].sel(layer=0)[9]) == pytest.approx(expected, abs=1e-3)


def test_a_saved_run_opens_and_every_view_is_drawn(tmp_path: Path) -> None:
    whole().save(tmp_path / "run")
    run = runs.open_run(str(tmp_path / "run"))
    views = bound(recurrent_state.VIEWS, run, recurrent_state.SCHEMA)
    assert list(views) == [
        "Pairs", "Forgotten", "Reading", "Ledger", "Damage", "Spectrum", "Probes", "Fading",
        "Memories", "Wiping", "Spans", "Patching", "Kernels",
        "Gates",
    ]  # fmt: skip
    for title in (
        "Fading",
        "Memories",
        "Spans",
        "Patching",
        "Kernels",
        "Gates",
    ):  # these parts were not run
        del views[title]
    for title, view in views.items():
        still = " ".join(map(str, view.still()))
        assert "The run was stopped" not in still, title
        assert "cannot be drawn" not in still, title


def test_what_fades_is_cured_by_the_own_state_alone() -> None:
    run = ran(
        wb.load("organism/recall-mamba-16"), parts=["fading"], rows=12, gaps=[0, 512], n_pairs=4
    )
    rates = run.tables["fading"].set_index(["gap", "kind"])["rate"]
    assert rates[0, "recalled"] > 0.9
    assert rates[512, "recalled"] < rates[0, "recalled"] - 0.2
    assert rates[512, "renewed"] > 0.9
    assert rates[512, "renewed by another"] < 0.2


def test_a_pair_that_is_typed_is_changed_one_by_one() -> None:
    run = ran(
        wb.load("organism/recall-mamba-16"), pairs="k5 v7, k9 v1, k30 v44", parts=["pairs"], rows=8
    )
    table = run.tables["answers"]
    plain = table[table["change"] == ""]
    assert list(plain["answer"]) == list(plain["value"]) == ["v7", "v1", "v44"]
    for pair in range(3):
        after = table[(table["change"] == "rewrite") & (table["changed"] == pair)]
        expected = [new if n == pair else own for n, (new, own) in
                    enumerate(zip(after["new"], after["value"], strict=True))]  # fmt: skip
        assert list(after["answer"]) == expected


def test_a_hybrid_shows_its_softmax_heads_beside_and_recalls_nothing_at_random() -> None:
    run = ran(families.built("qwen3_next"), n_pairs=3, rows=4, parts=["reading", "pairs"])
    assert run.arrays["patterns"].sizes["query"] == run.arrays["shares"].sizes["query"]
    recurrent = set(run.arrays["shares"]["layer"].values.tolist())
    assert recurrent.isdisjoint(run.arrays["patterns"]["layer"].values.tolist())
    assert {"not_recalled", "rewritten"} & set(run.findings)
    assert "wiped_is_fresh" not in run.findings  # its attention still sees the pairs


def test_states_that_cannot_be_put_in_are_read_all_the_same() -> None:
    model = families.built("xlstm")
    why = {part.name: part.unavailable_reason(model) for part in recurrent_state.PARTS}
    assert "divided by a sum" in str(why["pairs"])
    assert why["reading"] is why["probes"] is None
    run = ran(model, prompt="The capital of France is Paris.", parts=["reading"])
    assert "half_life" in run.findings


def test_a_long_text_is_followed_without_its_matrices() -> None:
    model = wb.load("organism/recall-mamba-16")
    run = ran(model, prompt=" ".join(["k1 v1 ."] * 300), parts=["reading"])
    assert run.arrays["traces"].sizes["pos"] == 900
    assert "shares" not in run.arrays


def test_models_and_parameters_that_do_not_fit_are_refused() -> None:
    attention = wb.load("organism/recall-attention")
    assert "keeps the keys and values" in str(recurrent_state.unavailable_reason(attention))
    model = wb.load("organism/recall-mamba-16")
    assert recurrent_state.unavailable_reason(model) is None
    for values, says in (
        ({"pairs": "k5 v7, k6 v8", "prompt": "k1 v1"}, "Both pairs and a prompt"),
        ({"prompt": "k1"}, "has 1 token"),
        ({"layers": [5]}, "Layer 5"),
        ({"lags": [500]}, "500 pairs back"),
        ({"prompt": "k1 " * 9000, "parts": ["reading"]}, "9,000 tokens"),
        ({"prompt": "k1 v1 " * 200, "parts": ["wiping"]}, "400 tokens"),
    ):
        with pytest.raises(BadInput, match=says):
            ran(model, **values)


def test_what_it_costs_is_said_for_every_part() -> None:
    model = wb.load("organism/recall-mamba-16")
    costs = recurrent_state.cost(model, recurrent_state.Params.model_validate({}))
    assert set(costs) == {part.name for part in recurrent_state.PARTS}
    assert all(cost.forward > 0 for cost in costs.values())


def test_a_routers_memories_hold_their_own_pairs_alone() -> None:
    model = wb.load("organism/recall-mom-planted")
    run = ran(model, parts=["reading", "router"], rows=32)
    memories = run.tables["memories"]
    assert len(memories) == 4
    assert memories["own_after"].max() <= 0.05
    assert (memories["other_before"] - memories["other_after"]).max() < 0.05
    found = run.findings["router_0"].values
    assert found["same"] == 1.0
    assert found["chance"] < 0.4
    routes = run.arrays["routes"].sel(layer=0).values
    words = list(run.tables["tokens"]["token"])
    for pos, word in enumerate(words):
        if word.strip().startswith("k"):
            assert routes[:, pos].argmax() == int(word.strip()[1:]) % 4
    assert "no router" in str(layers.no_router(wb.load("organism/recall-mamba-16")))


def test_mutual_information_is_that_of_known_labels() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    assert router.mutual_information(labels, labels[::-1].copy()) == pytest.approx(1.0)
    assert router.mutual_information(labels, np.array([0, 1, 0, 1, 0, 1])) == pytest.approx(0.0)
    assert router.mutual_information(labels, np.zeros(6, dtype=int)) == 0.0


def test_a_default_run_has_the_parts_that_the_model_can_have() -> None:
    run = wb.run(
        "recurrent-state", families.built("xlstm"), {"sequences": 200, "rows": 4, "crowd": 4}
    )
    assert {"half_life", "held", "decoded"} <= set(run.findings)
    assert "edits" not in run.tables
    with pytest.raises(BadInput, match="divided by a sum"):
        wb.run("recurrent-state", families.built("xlstm"), {"parts": ["pairs"]})


def test_where_no_kernel_can_be_read_the_states_are_shown_all_the_same() -> None:
    model = wb.load("organism/recall-delay-lstm")
    assert "cannot be read" in str(recurrent_state.parts.no_states_to_change(model))
    text = model.tokenizer.decode([5, 6, 7, 8, 9, 10, 11])
    run = ran(model, parts=["reading"], prompt=text)
    assert {"states_alone", "rank"} <= set(run.findings)
    ids = model.tokenizer.encode(text, add_special_tokens=False)
    states = wb.capture(model, ids, sites="state", layers=0)["state"].values[0, 0]
    norms = np.sqrt((states**2).sum((2, 3))).T
    np.testing.assert_allclose(
        run.arrays["traces"].sel(trace="norm", layer=0).values, norms, rtol=1e-4, atol=1e-6
    )
    views = bound(recurrent_state.VIEWS, run, recurrent_state.SCHEMA)
    for title in ("Ledger", "Spectrum"):
        assert "cannot be drawn" not in " ".join(map(str, views[title].still()))
