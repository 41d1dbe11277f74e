"""Memory modules on the organism whose facts stand in slots, by hand and by the analysis; on
experts and on neurons; what is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from analyses.modules import memory_modules
from analyses.modules.memory_modules import claims, costs, definitions, findings, masking, usage
from analyses.modules.memory_modules.constants import (
    ANOTHER,
    ANSWER_RANK,
    B_SAID,
    GOLD,
    OFF,
    OTHERS,
    OWN,
    RANDOM,
    SWAP,
    SWAPPED,
    WHOLE,
)
from analyses.modules.memory_modules.fact_slots import brought
from hooks.memory_modules import recorded
from tests.helpers import families, tiny
from tests.helpers.token_counter import counting
from workbench import parts, runs
from workbench.errors import BadInput, NotFound
from workbench.organisms.modules import module_record
from workbench.organisms.modules.families import WINDOW
from workbench.progress import Progress
from workbench.result import Result
from workbench.views import bound

ORGANISM = "organism/facts-in-slots"
EVERY = [part.name for part in memory_modules.PARTS]


def ran(model: Any, **values: Any) -> Result:
    params = memory_modules.Params.model_validate(values)
    result: Result = memory_modules.run(model, params, Progress())
    assert not list(memory_modules.SCHEMA.problems(result))
    return result


@pytest.fixture(scope="module")
def organism() -> Any:
    return wb.load(ORGANISM)


@pytest.fixture(scope="module")
def whole(organism: Any) -> Result:
    return ran(organism, facts=16, others=16, usage=200, slots="1, 4, 16, 256")


def recall(result: Result, table: str, slots: int, what: str) -> float:
    rows = result.tables[table]
    return float(rows[(rows["slots"] == slots) & (rows["what"] == what)]["recall"].iloc[0])


def test_a_fact_is_lost_with_its_slots_and_others_are_not(whole: Result) -> None:
    assert recall(whole, "curve", 16, OWN) < 0.3
    assert recall(whole, "curve", 16, OTHERS) > 0.98
    assert recall(whole, "curve", 16, RANDOM) == 1.0
    assert recall(whole, "curve", 1, OWN) > 0.8
    assert set(whole.tables["curve"]["slots"]) == {1, 4, 16}  # none reads more than 16


def test_the_twin_is_less_local(whole: Result) -> None:
    assert recall(whole, "twins_curve", 16, OWN) > 0.5
    assert recall(whole, "twins_curve", 256, OWN) < 0.3
    assert recall(whole, "twins_curve", 256, OTHERS) < recall(whole, "curve", 16, OTHERS)
    assert "less local" in whole.findings["twin"].says


@torch.no_grad()
def test_masking_is_what_zeroed_rows_of_the_table_do(organism: Any, whole: Result) -> None:
    """By hand: the rows of the value table are zero, and each fact is asked again."""
    table = organism.module.model.layers[1].mlp.values.weight
    facts, slots = whole.tables["facts"], whole.tables["slots"]
    masked = whole.tables["masked"]
    for fact in range(8):
        for level in (1, 4, 16):
            mine = slots[(slots["fact"] == fact) & (slots["rank"] <= level)]["slot"].tolist()
            was = table[mine].clone()
            table[mine] = 0
            prompt, answer = facts.loc[fact, ["prompt", "answer"]]
            said = organism.next_tokens(prompt, 1)["token"][0].strip()
            table[mine] = was
            row = masked[(masked["fact"] == fact) & (masked["slots"] == level)].iloc[0]
            assert bool(row["own"]) == (said == answer)


def test_what_is_read_is_what_the_module_looks_up(organism: Any, whole: Result) -> None:
    prompt = whole.tables["facts"].loc[0, "prompt"]
    memory = organism.module.model.layers[1].mlp
    given: list[torch.Tensor] = []
    handle = memory.register_forward_pre_hook(lambda module, args: given.append(args[0]))
    organism.next_logits(prompt)
    handle.remove()
    looked = memory.look_up(given[0])
    size = (looked.weight[0, -1] * memory.values.weight[looked.index[0, -1]].norm(dim=-1)).flatten()
    by_slot: dict[int, float] = {}
    for slot, each in zip(looked.index[0, -1].flatten().tolist(), size.tolist(), strict=True):
        by_slot[slot] = by_slot.get(slot, 0.0) + each
    mine = whole.tables["slots"]
    mine = mine[mine["fact"] == 0].set_index("slot")["size"]
    assert set(mine.index) == set(by_slot)
    assert whole.tables["slots"]["promotes"].str.len().min() > 0
    assert all(abs(mine[slot] - by_slot[slot]) < 1e-4 for slot in by_slot)


def test_a_swapped_value_moves_the_answer(whole: Result) -> None:
    rates = whole.tables["swap_rates"].set_index(["values", "says"])["share"]
    assert rates[SWAPPED, B_SAID] > 0.5
    assert rates.drop(SWAPPED).xs(B_SAID, level="says").iloc[0] < 0.2
    ranks = whole.tables["ranks"]
    own = ranks.loc[ranks["what"] == ANSWER_RANK, "rank"]
    assert own.median() < ranks.loc[ranks["what"] != ANSWER_RANK, "rank"].median()


def test_the_memory_carries_the_answers(whole: Result) -> None:
    table = whole.tables["without"].set_index("part")["recall"]
    assert table["the memory of layer 1"] < 0.1
    assert whole.tables["usage"]["slots_per_fact"].iloc[0] <= 16
    assert whole.findings["memory"].says.count("never read") == 1


@pytest.fixture(scope="module")
def remembering() -> Any:
    return wb.load("organism/definitions-in-memory")


@pytest.fixture(scope="module")
def defined(remembering: Any) -> Result:
    return ran(remembering)


def test_hits_fall_on_the_definition_and_only_there(defined: Result) -> None:
    assert (defined.tables["hits"]["hit"] > 0.9).all()
    assert (defined.tables["hits"]["chance"] < 0.1).all()
    rows = defined.tables["changes"].set_index("change")
    assert rows.loc[WHOLE, "own"] > 0.95
    assert rows.loc[GOLD, "own"] < 0.1
    assert rows.loc[GOLD, "others"] > 0.95
    assert rows.loc[ANOTHER, "own"] > 0.95
    assert rows.loc[OFF, "own"] < 0.1
    assert rows.loc[SWAP, "other_value"] > 0.9
    near = defined.tables["distances"].set_index("from")
    assert near.loc[1, "without"] > 0.9  # attention sees it
    assert (near.drop(1)["without"] < 0.1).all()
    assert "facts" not in defined.findings
    events = defined.tables["reads"]
    writes = events[events["kind"] == "insert"]
    assert (writes["slot"] == writes["pos"]).all()
    reads = events[events["kind"] == "read"]
    assert (reads["pos"] - reads["slot"] >= WINDOW).all()


@torch.no_grad()
def test_what_is_hit_is_the_nearest_key_of_all_that_are_far_enough(remembering: Any) -> None:
    """A plain loop over the tokens before each question."""
    rows = definitions.texts(3)
    memory = remembering.module.model.layers[1].mlp
    given: list[torch.Tensor] = []
    handle = memory.register_forward_pre_hook(lambda module, args: given.append(args[0]))
    remembering.forward(input_ids=rows.ids[:2], use_cache=False)
    handle.remove()
    q, k, _ = memory.qkv(given[0]).unflatten(-1, (3, memory.heads, memory.width)).unbind(2)
    hits = 0
    for row in range(2):
        for at, written in zip(rows.asked[row].tolist(), rows.written[row].tolist(), strict=True):
            if at - written - 1 < memory.window:
                continue
            likeness = [
                float(torch.cosine_similarity(q[row, at, 0], k[row, back, 0], dim=0))
                for back in range(at - memory.window + 1)
            ]
            hits += int(np.argmax(likeness)) == written + 1
    assert hits >= 28  # of some 30


def test_slots_without_relations_show_no_preference() -> None:
    rng = np.random.default_rng(0)
    relation = rng.integers(3, size=400)
    counts = np.zeros((3, 50), dtype=int)
    for number in range(400):
        counts[relation[number], rng.choice(50, 5, replace=False)] += 1
    real, null, high, _ = usage.one_relation(counts, ["a", "b", "c"], 0) or (0, 0, 0, 0)
    assert abs(real - null) < 0.02
    assert real < high + 0.02
    pure = np.diag([40, 40, 40]).astype(int)
    assert (usage.one_relation(pure, ["a", "b", "c"], 0) or (0,))[0] == 1.0
    assert usage.one_relation(counts[:1], ["a"], 0) is None


def test_the_curve_of_hand_made_rows() -> None:
    table = pd.DataFrame({
        "fact": [0, 1], "slots": [4, 4], "masked": [4, 2], "own": [0.0, 1.0],
        "others": [1.0, 0.5], "random": [1.0, np.nan],
    })  # fmt: skip
    made = masking.curve(table).set_index("what")
    assert made.loc[OWN, "recall"] == 0.5
    assert made.loc[OTHERS, "recall"] == 0.75
    assert made.loc[RANDOM, "n"] == 1
    assert (made["masked"] == 3).all()


def own_answers(model: Any, monkeypatch: Any) -> None:
    """A random model answers nothing, so its own likeliest tokens are taken as the answers."""
    from analyses.modules.memory_modules import experiment
    from analyses.modules.memory_modules.questions import KnownFacts, MemoryQuestion

    rows = []
    for number in range(10):
        ids = tuple(model.tokens(f"The capital of {'abcdefghij'[number]} is"))
        target = int(model.next_logits([list(ids)]).argmax())
        rows.append(MemoryQuestion("xy"[number % 2], str(number), f"prompt {number}", "answer",
                                   ids, target))  # fmt: skip
    monkeypatch.setattr(experiment, "choose", lambda *given: KnownFacts(rows, len(rows)))


@pytest.mark.parametrize("family", ["llama", "mixtral"])
def test_neurons_and_experts_stand_in_their_place(family: str, monkeypatch: Any) -> None:
    from analyses.modules.memory_modules import document

    model = wb.load((families.module(family), tiny.tiny_tokenizer()))
    own_answers(model, monkeypatch)
    monkeypatch.setattr(document, "MOST", 6)  # more do not fit into its window
    result = ran(model, parts=EVERY, facts=4, others=6, slots="1, 2, 1000")
    says = result.findings["memory"].says
    if family == "llama":
        assert "has no memory module" in says
        assert "values" in result.tables["swaps"]
    else:
        assert "mixture of experts" in says
        assert "swaps" not in result.tables  # an expert's value is a function
        assert "no vectors that could be swapped" in (
            next(p for p in memory_modules.PARTS if p.name == "values").unavailable_reason(model)
            or ""
        )
    assert "twins_curve" not in result.tables
    over = result.tables["document"].set_index(["facts", "memory"])
    assert set(over.index.levels[0]) == {"invented", "counterfactual"}
    assert (result.tables["fetched"]["random"] < 0.5).all()
    shown = bound(memory_modules.VIEWS, result, memory_modules.SCHEMA)["Document"].still()
    assert "cannot be drawn" not in " ".join(map(str, shown))


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["down_proj"]])
def test_lora_adapters_are_memories_beside_what_they_are_around(
    targets: list[str], monkeypatch: Any
) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=3, target_modules=targets, init_lora_weights=False)
    wrapped = peft.get_peft_model(tiny.tiny_llama(), config)
    model = wb.load((wrapped, tiny.tiny_tokenizer()))
    own_answers(model, monkeypatch)
    values = next(part for part in memory_modules.PARTS if part.name == "values")
    reason = values.unavailable_reason(model)
    stream = targets == ["down_proj"]
    assert (reason is None) == stream
    asked = ["facts", "share", *(["values"] if stream else [])]
    result = ran(model, parts=asked, facts=4, others=6, slots="1, 2")
    assert bool(result.tables["slots"]["promotes"].str.len().sum()) == stream
    # An adapter stands beside the MLP, and those of a layer are switched off together.
    table = result.tables["without"]
    assert (table["kind"] == "MLP").sum() == model.n_layers
    which = "memory" if stream else "2 memories"
    assert f"the {which} of layer 0" in set(table["part"])
    if stream:
        # What a memory gives is the adapter's part alone, and not that of the matrix inside.
        place = wb.memory_places(model)[0]
        a, b = (getattr(place.module, name)["default"].weight for name in ("lora_A", "lora_B"))
        with recorded([place]) as calls:
            model.next_logits("The capital of a is")
        wanted = place.module.scaling["default"] * b @ (a @ calls[0].call.args[0][0, -1])
        assert torch.allclose(brought(calls[0]), wanted, atol=1e-5)


def test_an_adapter_that_does_not_load_is_a_reason(monkeypatch: Any) -> None:
    from importlib.metadata import EntryPoint

    from hooks.memory_modules import places

    broken = EntryPoint("broken", "no_such_package:X", places.GROUP)
    monkeypatch.setattr(places, "_points", lambda: [broken])
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    assert "'broken'" in str(memory_modules.unavailable_reason(model))
    assert memory_modules.cost(model, memory_modules.Params()) == {}


@pytest.mark.parametrize(("neurons", "words"), [(16, "as few"), (4, "fewer"), (64, "wider")])
def test_the_twins_facts_are_compared_in_words(neurons: int, words: str) -> None:
    result = Result("memory-modules")
    for table, level, kept in (("curve", 16, 0.99), ("twins_curve", neurons, 0.95)):
        result.tables[table] = pd.DataFrame({
            "slots": level, "masked": float(level), "what": [OWN, OTHERS], "recall": [0.1, kept],
        })  # fmt: skip
    findings.add_twin(result, "slots")
    assert words in result.findings["twin"].says


def test_the_cost_is_that_of_the_tokens_read(organism: Any) -> None:
    params = memory_modules.Params(parts=["facts", "usage"], facts=10, others=20, usage=200)
    stated = costs.cost(organism, params)
    wanted = sum(stated[name].forward for name in ("questions", "facts", "usage"))
    with counting(organism) as counted:
        memory_modules.run(organism, params, Progress())
    assert wanted / 2 < counted.forward < 2 * wanted


def test_what_cannot_be_asked_is_said(organism: Any) -> None:
    with pytest.raises(BadInput, match="no numbers of slots"):
        memory_modules.Params(slots="few")
    with pytest.raises(NotFound, match="relation"):
        memory_modules.Params(relations="nothing")
    random_model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    with pytest.raises(BadInput, match="closed-book"):
        ran(random_model, parts=["facts"], relations="capital", facts=2, others=2)
    assert module_record.read_home(random_model.module) is None
    assert memory_modules.unavailable_reason(organism) is None


def test_a_run_is_saved_opened_and_every_view_is_drawn(
    whole: Result, defined: Result, tmp_path: Any
) -> None:
    for name, result in (("whole", whole), ("defined", defined)):
        result.save(tmp_path / name)
        again = runs.open_run(tmp_path / name)
        assert again.findings.keys() == result.findings.keys()
        assert len(claims.CLAIMS) == len(again.tables["claims"])
        for title, view in bound(memory_modules.VIEWS, again, memory_modules.SCHEMA).items():
            still = " ".join(map(str, view.still()))
            assert "cannot be drawn" not in still, title
    assert parts.running(memory_modules.PARTS, memory_modules.Params(parts=["twin"])) == {
        "twin", "facts",
    }  # fmt: skip
