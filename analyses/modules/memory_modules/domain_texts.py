"""Texts of two domains or more: the facts an organism has of each, or prompts by capability."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from analyses.measures.capability_prompts import CapabilityPrompt, CapabilitySet
from analyses.measures.capability_sets import capability_sets, named
from analyses.modules.memory_modules.constants import DOMAIN_TEXTS, DOMAIN_TOKENS
from workbench.organisms.modules import module_record
from workbench.organisms.modules.domain_world import DOMAINS, DomainFact

if TYPE_CHECKING:
    from analyses.modules.memory_modules.params import Params
    from hooks.model import InstrumentedModel


def domains_of(model: InstrumentedModel, params: Params) -> list[CapabilitySet]:
    """The domains, each with texts that choose a slot and others that are held out.

    Raises:
        BadInput: fewer than two domains, or too few texts of one.
    """
    record = module_record.read_home(model.module)
    if record is not None and record.task == "domains" and params.domain_file is None:
        facts = [fact for fact in record.facts() if isinstance(fact, DomainFact) and fact.read]
        return [_of_facts(model, domain, facts, params.seed) for domain in DOMAINS]
    return capability_sets(
        model, named(params.domains), params.domain_file, DOMAIN_TEXTS, DOMAIN_TEXTS,
        DOMAIN_TOKENS, params.seed,
    )  # fmt: skip


def _of_facts(
    model: InstrumentedModel, domain: str, facts: list[DomainFact], seed: int
) -> CapabilitySet:
    """Facts of one domain; who chooses is not held out."""
    people = sorted({fact.subject for fact in facts})
    random.Random(seed).shuffle(people)
    choosing = set(people[: len(people) // 2])
    sides: tuple[list[CapabilityPrompt], list[CapabilityPrompt]] = ([], [])
    for fact in facts:
        if fact.domain == domain:
            ids = tuple(model.tokens(f"{fact.prompt} {fact.answer}"))
            sides[fact.subject not in choosing].append(CapabilityPrompt(domain, ids, 1))
    for side in sides:
        random.Random(seed).shuffle(side)
    return CapabilitySet(domain, tuple(sides[0][:DOMAIN_TEXTS]), tuple(sides[1][:DOMAIN_TEXTS]))
