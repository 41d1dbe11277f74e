"""Capabilities mapped to neurons: in a model in which it is known which neurons carry them, where
labels mean nothing, and what is refused.
"""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from analyses.modules import ffn_map
from analyses.modules.ffn_map.constants import neuron_name, parse_neuron
from tests.helpers import families, tiny
from tests.helpers import two_capabilities as known
from workbench import cost, parts, runs
from workbench.errors import BadInput, NotFound, Unfit
from workbench.progress import Progress
from workbench.result import Result
from workbench.views import bound

EVERY = [part.name for part in ffn_map.PARTS]


def ran(model: Any, **values: Any) -> Result:
    params = ffn_map.Params.model_validate({"capabilities": "", **values})
    result: Result = ffn_map.run(model, params, Progress())
    assert not list(ffn_map.SCHEMA.problems(result))
    return result


@cache
def model() -> Any:
    return wb.load((known.two_capabilities_module(), tiny.tiny_tokenizer()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Result:
    file = known.capability_file(tmp_path_factory.mktemp("own"))
    return ran(
        model(), path=str(file), parts=EVERY, neurons="3, 1", held_out=12, permutations=40,
        controls=2, picked="L0N7", cards=4, layers="1", masked="50, 80",
    )  # fmt: skip


def test_the_neurons_that_carry_a_capability_are_found(whole: Result) -> None:
    sets = whole.tables["sets"]
    for name, numbers in known.NEURONS.items():
        own = sets[(sets["capability"] == name) & (sets["k"] == 3)]
        assert set(own["neuron"]) == {neuron_name(known.LAYER, n) for n in numbers}
        assert (own["precision"] == 1.0).all()
        assert (own["contribution"] > 100 * own["elsewhere"]).all()
    table = whole.tables["capabilities"].set_index("capability")
    assert (table["above"] >= 3).all()
    assert (table["right"] == 1.0).all()


def test_only_the_capability_whose_neurons_are_held_loses(whole: Result) -> None:
    table = whole.tables["selectivity"].set_index(["k", "capability"])
    for name in known.NEURONS:
        row = table.loc[3, name]
        assert row["own"] > 1.0
        assert abs(row["others"]) < 0.05
        assert abs(row["control"]) < 0.05
        assert row["verdict"] == "dissociates"
        # One of three neurons carries a third of it.
        assert 0.0 < table.loc[1, name]["own"] < row["own"]
    assert whole.findings["dissociation"].values["value"] == 2
    assert whole.findings["pairs"].values == {"value": 1.0, "of": 1.0}
    assert "2 of 2 capabilities dissociate" in whole.findings["dissociation"].says
    right = whole.tables["matrix"].set_index(["k", "kind", "of", "capability"])["right"]
    assert right[3, "top", "letters", "letters"] == 0.0
    assert right[3, "top", "letters", "digits"] == 1.0
    assert right[3, "matched", "letters", "letters"] == 1.0


def test_what_is_said_under_an_ablation_is_shown(whole: Result) -> None:
    said = whole.tables["answers"].merge(whole.tables["prompts"], on="prompt")
    letters = said[said["capability"] == "letters"]
    assert set(letters.loc[letters["of"] == "", "says"]) == {"Y"}
    without = letters[(letters["of"] == "letters") & (letters["k"] == 3)]
    # The model has nothing left but the key itself.
    assert all(row.says == row.text[-1] for row in without.itertuples())


def test_a_card_says_what_a_key_fires_on_and_what_a_value_promotes(whole: Result) -> None:
    contexts, promoted = whole.tables["contexts"], whole.tables["promoted"]
    for name, numbers in known.NEURONS.items():
        neuron = neuron_name(known.LAYER, numbers[0])
        fires = contexts[contexts["neuron"] == neuron]
        assert set(fires["token"]) <= set(known.KEYS[name])
        assert set(fires["capability"]) == {name}
        first = promoted[(promoted["neuron"] == neuron) & (promoted["way"] == "promotes")]
        assert first.sort_values("place")["token"].iloc[0] == known.ANSWERS[name]
    assert whole.tables["cards"]["neuron"].iloc[0] == "L0N7"


def test_what_is_active_together_is_one_group(whole: Result) -> None:
    groups = whole.tables["groups"].set_index("neuron")["group"]
    for numbers in known.NEURONS.values():
        assert len({groups[n] for n in numbers}) == 1
    assert whole.tables["partitions"]["layer"].tolist() == [1]


def test_masking_the_smallest_costs_less_than_masking_random_ones(whole: Result) -> None:
    rises = whole.tables["sparsity"].set_index(["capability", "masked", "share"])["rise"]
    assert abs(rises["all capabilities", "smallest", 0.8]) < 0.05
    assert rises["all capabilities", "random", 0.8] > 0.5


def test_a_saved_run_opens_and_every_view_is_drawn(whole: Result, tmp_path: Path) -> None:
    whole.save(tmp_path / "run")
    run = runs.open_run(str(tmp_path / "run"))
    views = bound(ffn_map.VIEWS, run, ffn_map.SCHEMA)
    assert list(views) == ["Ablation", "Map", "Sparsity", "Partitions", "Claims"]
    for title, view in views.items():
        still = " ".join(map(str, view.still()))
        assert "The run was stopped" not in still, title
        assert "cannot be drawn" not in still, title
    assert "were told" not in run.findings["map"].says


def test_a_chosen_neuron_without_a_card_says_so(whole: Result) -> None:
    whole.selection.put("feature", ("L1", 20))
    try:
        view = bound(ffn_map.VIEWS, whole, ffn_map.SCHEMA)["Map"]
        still = " ".join(map(str, view.still()))
    finally:
        whole.selection.put("feature", None)
    has_card = "L1N20" in set(whole.tables["cards"]["neuron"])
    assert "L1N20 tells" in still
    assert ("was not looked at alone" in still) != has_card


def test_labels_that_mean_nothing_give_nothing(tmp_path: Path) -> None:
    """Two names for prompts of one kind, before and after training."""
    lines = known.capability_lines(30, seed=3)
    random.Random(0).shuffle(lines)
    meaningless = [{**line, "capability": f"half {n % 2}"} for n, line in enumerate(lines)]
    file = known.capability_file(tmp_path, meaningless)
    run = ran(
        model(), path=str(file), parts=["ablation", "untrained"], neurons="3", held_out=12,
        permutations=100,
    )  # fmt: skip
    table = run.tables["capabilities"]
    assert table["above"].tolist() == [0, 0]
    assert table["untrained"].tolist() == [0, 0]
    assert run.findings["dissociation"].says.startswith("No neuron tells any capability")
    assert set(run.tables["claims"]["verdict"]) - {"cannot be told"} == {"replicates"}


def test_a_network_that_was_never_trained_tells_nothing(whole: Result) -> None:
    assert whole.tables["capabilities"]["untrained"].tolist() == [0, 0]
    assert whole.findings["untrained"].values["value"] == 0


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "phi3", "gemma2", "opt"])
def test_every_kind_of_feed_forward_layer(family: str, tmp_path: Path) -> None:
    loaded = families.built(family)
    run = ran(
        loaded, path=str(known.capability_file(tmp_path)), parts=["key-value", "sparsity"],
        held_out=6, permutations=20, cards=2, masked="50",
    )  # fmt: skip
    assert run.arrays["precision"].sizes["layer"] == loaded.n_layers
    assert np.isfinite(run.tables["promoted"]["logit"]).all()
    assert np.isfinite(run.tables["sparsity"]["rise"]).all()


def test_the_built_in_capabilities_are_asked(llama: Any) -> None:
    run = ran(
        llama, capabilities="arithmetic, agreement, code, recitation", prompts=8, held_out=4,
        parts=["map"], permutations=20, tokens=40,
    )  # fmt: skip
    assert run.tables["capabilities"]["prompts"].tolist() == [8] * 4


def test_what_cannot_be_asked_is_said(tmp_path: Path, llama: Any) -> None:
    lines = known.capability_lines(14)
    one, two = (next(line for line in lines if line["capability"] == name) for name in known.KEYS)

    def refused(changed: list[dict[str, str]], match: str) -> None:
        with pytest.raises(BadInput, match=match):
            ran(llama, path=str(known.capability_file(tmp_path, changed)), parts=["map"])

    refused(lines[:20], "'digits' has 6 prompts")
    refused([line for line in lines if line["capability"] == "letters"], "all prompts are of one")
    refused([*lines, {**one, "capability": "digits"}], "share a prompt")
    refused([*lines, {**two, "answer": ""}], "answer of no tokens")
    refused([*lines, {"capability": "letters", "prompt": "q"}], "Line 29 of")  # type: ignore[list-item]
    with pytest.raises(BadInput, match="one class"):
        ffn_map.Params.model_validate({"capabilities": "code"})
    with pytest.raises(NotFound, match="arithmetic"):
        ffn_map.Params.model_validate({"capabilities": "code, arithmetics"})
    with pytest.raises(BadInput, match="no neuron"):
        ffn_map.Params.model_validate({"picked": "L1H2"})
    with pytest.raises(BadInput, match="no neuron L1N900"):
        ran(llama, capabilities="code, arithmetic", picked="L1N900")
    with pytest.raises(BadInput, match="no neurons in layer 9"):
        ran(llama, capabilities="code, arithmetic", parts=["partitions"], layers="9")


def test_a_mixture_of_experts_says_why_not() -> None:
    loaded = families.built("mixtral")
    assert "mixtures of experts" in str(ffn_map.unavailable_reason(loaded))
    with pytest.raises(Unfit, match="mixtures of experts"):
        ran(loaded, capabilities="code, arithmetic")


def test_layers_of_experts_beside_dense_ones_are_left_out_and_said(tmp_path: Path) -> None:
    loaded = families.built("dots1")
    run = ran(
        loaded, path=str(known.capability_file(tmp_path)), parts=["map"], held_out=6,
        permutations=20,
    )  # fmt: skip
    assert run.arrays["precision"].sizes["layer"] == 1
    assert run.findings["unmapped"].values["value"] == loaded.n_layers - 1


def test_costs_name_every_part_and_grow_with_what_is_asked(llama: Any) -> None:
    few = ffn_map.cost(llama, ffn_map.Params(prompts=10))
    many = ffn_map.cost(llama, ffn_map.Params(prompts=100))
    assert set(few) == set(EVERY)
    assert many["map"].forward > 5 * few["map"].forward
    more = ffn_map.cost(llama, ffn_map.Params(neurons="10, 20"))
    assert more["ablation"].forward > 1.5 * many["ablation"].forward
    assert parts.running(ffn_map.PARTS, ffn_map.Params(parts=["key-value"])) == {"map", "key-value"}
    assert cost.total(few.values()).forward > 0


def test_names_of_neurons() -> None:
    assert parse_neuron(neuron_name(3, 517)) == (3, 517)
    assert parse_neuron("L3H5") is None
    assert parse_neuron("L3N²") is None
