"""Experts and adapters behind a gate: what tells domains apart, on organisms, on a model of eight
experts, and where nothing does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.measures.capability_prompts import CapabilityPrompt
from analyses.modules import memory_modules
from analyses.modules.memory_modules import costs, domain_texts, domains
from analyses.modules.memory_modules.constants import OF_DOMAIN, WHOLE
from analyses.modules.memory_modules.domains import Opened
from analyses.modules.memory_modules.fact_slots import Memories
from analyses.modules.memory_modules.params import Params
from hooks.memory_modules import conformance, memory_places
from tests.helpers import tiny
from tests.helpers.token_counter import counting
from workbench import runs
from workbench.errors import BadInput, NotFound
from workbench.organisms.modules.domain_world import DOMAINS
from workbench.progress import Progress
from workbench.result import Result
from workbench.views import bound

NAMES = ["domains-in-adapters", "domains-in-experts"]


@pytest.fixture(scope="module", params=NAMES)
def organism(request: Any) -> Any:
    return wb.load(f"organism/{request.param}")


@pytest.fixture(scope="module")
def kept(organism: Any) -> Result:
    params = Params(parts=["domains"])
    stated = costs.cost(organism, params)
    with counting(organism) as counted:
        result: Result = memory_modules.run(organism, params, Progress())
    wanted = sum(stated[name].forward for name in ("questions", "domains"))
    assert wanted / 2 < counted.forward < 2 * wanted
    assert not list(memory_modules.SCHEMA.problems(result))
    return result


def test_every_text_is_counted_and_a_domain_has_its_slot(kept: Result) -> None:
    told = kept.tables["domain_told"].set_index("domain")
    assert set(told.index) == set(DOMAINS)
    assert (told["n"] == 120).all()
    whole = kept.tables["domain_masked"]
    assert (whole.loc[whole["kind"] == WHOLE, "right"] > 0.8).all()
    assert "0.5 is a guess" in kept.findings["domains"].says


def test_the_gate_of_adapters_separates_the_domains() -> None:
    model = wb.load("organism/domains-in-adapters")
    result: Result = memory_modules.run(model, Params(parts=["domains"]), Progress())
    assert (result.tables["domain_told"]["low"] > 0.9).all()
    table = result.tables["domain_masked"]
    for domain in DOMAINS:
        mine = table[table["kind"] == OF_DOMAIN.format(domain)].set_index("domain")["right"]
        (other,) = set(DOMAINS) - {domain}
        assert mine[domain] < 0.3
        assert mine[other] > 0.9


@torch.no_grad()
def test_a_masked_adapter_by_hand(organism: Any) -> None:
    """Its last matrix set to zero in the module: the same answers."""
    memories = Memories.of(organism)
    sets = domain_texts.domains_of(organism, Params())
    place, number = memories.place_of(0)
    with domains._without(memories, 0):
        ours, _ = domains._right(organism, sets[0].held_out)
    assert place.adapter.zeroed is not None
    with place.adapter.zeroed(place.module, torch.tensor([number])):
        texts = torch.tensor([text.ids for text in sets[0].held_out])
        logits = organism.module(input_ids=texts, use_cache=False).logits
    assert ours.tolist() == (logits[:, -2].argmax(-1) == texts[:, -1]).float().tolist()


def test_no_one_who_chooses_is_held_out(organism: Any) -> None:
    for one in domain_texts.domains_of(organism, Params(seed=3)):
        sides = [{text.ids[1:3] for text in side} for side in (one.choosing, one.held_out)]
        assert not sides[0] & sides[1]
        assert len(one.choosing) == len(one.held_out) == 60


def test_the_shipped_adapters_conform(organism: Any) -> None:
    (place,) = memory_places(organism)
    ids = torch.tensor([organism.tokens(f"{d} Leo Lang lives in") for d in DOMAINS])

    def call(row: int | None) -> Any:
        return organism.forward(
            input_ids=ids if row is None else ids[row : row + 1], use_cache=False
        )

    found = conformance(place, call, 2)
    assert not found.failed, found


def test_the_run_is_saved_and_every_view_is_drawn(kept: Result, tmp_path: Path) -> None:
    kept.save(tmp_path / "kept")
    again = runs.open_run(tmp_path / "kept")
    views = bound(memory_modules.VIEWS, again, memory_modules.SCHEMA)
    for title, view in views.items():
        assert "cannot be drawn" not in " ".join(map(str, view.still())), title
    claims = again.tables["claims"]
    assert claims["claim"].str.contains("tells domains apart").sum() == 1


def two_memories(slots: int) -> Memories:
    class Named(Memories):
        def __init__(self) -> None:
            object.__setattr__(self, "places", [])

        @property
        def total(self) -> int:
            return slots

        def called(self, slot: int) -> str:
            return f"memory {slot}"

    return Named()


def test_a_slot_that_tells_is_found_and_noise_tells_nothing() -> None:
    draw = np.random.default_rng(0)

    def side(opens: int | None) -> np.ndarray:
        weights = draw.uniform(size=(200, 6))
        if opens is not None:
            weights[:, opens] += 0.8
        return weights

    told = domains.domain_separation(
        two_memories(6),
        [Opened("a", side(4), side(4)), Opened("b", side(1), side(1)), Opened("c", side(None),
                                                                             side(None))],
    ).set_index("domain")  # fmt: skip
    assert told.loc[["a", "b"], "number"].tolist() == [4, 1]
    assert (told.loc[["a", "b"], "auc"] > 0.9).all()
    noise = domains.domain_separation(
        two_memories(6), [Opened(name, side(None), side(None)) for name in "ab"]
    )
    assert (noise["low"] < 0.5).all()


@pytest.fixture(scope="module")
def eight() -> Any:
    """A model of eight experts in each of two layers, with random weights."""
    from transformers import MixtralConfig, MixtralForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = MixtralConfig(
            vocab_size=tiny.VOCABULARY, hidden_size=32, intermediate_size=24, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, num_local_experts=8,
            num_experts_per_tok=2, pad_token_id=0,
        )  # fmt: skip
        module = MixtralForCausalLM(config).eval()
        for name, parameter in module.named_parameters():
            if "gate" in name or "embed" in name:
                torch.nn.init.normal_(parameter, std=1.0)
    return wb.load((module, tiny.tiny_tokenizer()))


@torch.no_grad()
def test_weights_are_those_of_the_router(eight: Any) -> None:
    memories = Memories.of(eight)
    ids = tuple(range(5, 17))
    texts = [CapabilityPrompt("a", ids, 2), CapabilityPrompt("a", ids[::-1], 2)]
    ours = domains._weights(eight, memories, texts)
    assert ours.shape == (2, 16)
    routed: list[Any] = []
    experts = eight.module.model.layers[1].mlp.experts
    handle = experts.register_forward_pre_hook(lambda _, args: routed.append(args[1:3]))
    eight.forward(input_ids=torch.tensor([text.ids for text in texts]), use_cache=False)
    handle.remove()
    index, weight = (part.reshape(2, 12, -1) for part in routed[0])
    wanted = np.zeros((2, 8))
    for row in range(2):
        for pos in (9, 10):  # they say the last two tokens
            for expert, share in zip(index[row, pos], weight[row, pos], strict=True):
                wanted[row, expert] += float(share) / 2
    assert np.allclose(ours[:, 8:], wanted, atol=1e-6)


def write_domains(path: Path, names: list[str], many: int) -> Path:
    """Domains of letters: which ones a text has depends on its domain."""
    draw, lines = np.random.default_rng(0), []
    for number, name in enumerate(names):
        letters = "abcdefghijklmnopqrstuvwxyz"[13 * number : 13 * (number + 1)]
        for _ in range(many):
            text = " ".join(draw.choice(list(letters), 12))
            lines.append(
                {"capability": name, "prompt": text, "answer": f" {draw.choice(list(letters))}"}
            )
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


@torch.no_grad()
def test_domains_of_ones_own_on_a_model_of_eight_experts(eight: Any, tmp_path: Path) -> None:
    file = write_domains(tmp_path / "own.jsonl", ["left", "right"], 60)
    params = Params(parts=["domains"], domains="", domain_file=file, facts=2)
    sets = domain_texts.domains_of(eight, params)
    assert [one.name for one in sets] == ["left", "right"]
    tables = domains.read_domains(eight, Memories.of(eight), sets, 0, Progress())
    assert set(tables["domain_reads"]["domain"]) == {"left", "right"}
    assert len(tables["domain_reads"]) == 2 * 16
    assert set(tables["domain_masked"]["n"]) == {len(sets[0].held_out)}


def test_what_cannot_be_told_apart_is_refused(eight: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no capability"):
        Params(domains="codes")
    file = write_domains(tmp_path / "own.jsonl", ["left"], 30)
    with pytest.raises(BadInput, match="There is one capability, 'left'"):
        domain_texts.domains_of(eight, Params(domains="", domain_file=file))
    part = next(part for part in memory_modules.PARTS if part.name == "domains")
    assert part.unavailable_reason(eight) is None
    slots = wb.load("organism/updates-in-slots")
    assert "no experts" in str(part.unavailable_reason(slots))
