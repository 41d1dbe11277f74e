"""What the parts of a run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.measures.capability_sets import named
from analyses.measures.capability_texts import from_file
from analyses.modules.memory_modules.constants import (
    CHANGES,
    DOMAIN_TEXTS,
    DOMAIN_TOKENS,
    EVERY_SLOT,
    SHARED,
    TEXTS,
    UPDATE_CHANGES,
)
from analyses.modules.memory_modules.definitions import LENGTH, ROWS
from analyses.modules.memory_modules.document import MOST
from analyses.modules.memory_modules.domains import BY_LOT
from analyses.modules.memory_modules.fact_slots import Memories
from analyses.modules.memory_modules.params import levels_of, relations_of
from analyses.modules.memory_modules.parts import (
    no_document,
    no_domains,
    no_facts,
    no_slots,
    no_twin,
    no_updates,
)
from analyses.modules.memory_modules.updates import ASKED, STREAMS
from analyses.modules.memory_modules.updates import LENGTH as STREAM
from workbench.cost import Cost
from workbench.memory_lm.product_keys import ProductKeyed
from workbench.organisms.modules import module_record
from workbench.organisms.modules.domain_world import DOMAINS

if TYPE_CHECKING:
    from analyses.modules.memory_modules.params import Params
    from hooks.memory_modules import MemoryPlace
    from hooks.model import InstrumentedModel

_ANSWER = 4  # tokens that are generated for a closed-book answer
_SWAPS, _BATCH = 2, 32


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part, and of the questions that all stand on."""
    if no_slots(model) is not None:
        return {}
    organism = params.facts_file is None and module_record.read_home(model.module) is not None
    if no_updates(model) is None:
        asked = len(UPDATE_CHANGES) * ASKED
        forward = 2 * STREAMS * STREAM + asked * STREAM
        return {
            "raster": Cost(forward=TEXTS * STREAM, passes=TEXTS),
            "updates": Cost(forward=forward, passes=2 + asked),
        }
    if no_facts(model) is not None:
        read = Cost(forward=TEXTS * LENGTH, passes=TEXTS)
        passes = len(CHANGES) + 3
        return {
            "raster": read,
            "definitions": Cost(forward=passes * ROWS * LENGTH, passes=passes),
        }
    tokens, known = _prompts(model, params, organism)
    facts = min(params.facts, max(2, known // 2))
    others = min(params.others, max(1, known - facts))
    levels = _levels(model, params)
    read = Cost(forward=facts * tokens, passes=-(-facts // _BATCH))
    arms = facts * levels * (others + 2)
    masked = read + Cost(forward=arms * tokens, passes=2 * facts * levels)
    asked = known if organism else 2 * known
    generated = 0 if organism else asked * _ANSWER
    memories = Memories.of(model)
    parts = 2 * model.n_layers
    shared = min(known, SHARED)
    found = {
        "questions": Cost(forward=asked * tokens + generated, passes=-(-asked // _BATCH)),
        "raster": Cost(
            forward=TEXTS * tokens + len(model.tokens(params.text or " ")), passes=TEXTS
        ),
        "facts": masked,
        "usage": Cost(
            forward=min(known, params.usage) * tokens,
            passes=-(-min(known, params.usage) // _BATCH),
            bytes=4 * _BATCH * memories.total,
        ),
        "values": Cost(forward=(_SWAPS + 1) * facts * tokens, passes=(_SWAPS + 1) * facts),
        "share": Cost(forward=parts * shared * tokens, passes=parts),
    }
    if no_domains(model) is None:
        found["domains"] = _domains(model, memories, params, tokens)
    if no_document(model) is None:
        lines, conditions = min(known, MOST), 10
        found["document"] = Cost(
            forward=lines * (tokens + _ANSWER) * 2 + 2 * (conditions + 1) * lines * tokens,
            passes=2 * (conditions + 1 + lines),
        )
    if no_twin(model) is None:
        found["twin"] = masked
    return found


def _domains(model: InstrumentedModel, memories: Memories, params: Params, tokens: float) -> Cost:
    """Two readings of the texts that choose and are held out, and one of those held out for each
    slot that is masked. Texts of one length share a pass; of prompts few have one length.
    """
    record = module_record.read_home(model.module)
    own = record is not None and record.task == "domains" and params.domain_file is None
    names = len(DOMAINS) if own else len(named(params.domains))
    if params.domain_file is not None:
        names += len(from_file(params.domain_file))
    slots = memories.total if memories.total <= EVERY_SLOT else names + BY_LOT
    readings = names * (3 + slots)
    passes = readings * (-(-DOMAIN_TEXTS // _BATCH) if own else DOMAIN_TEXTS // 2)
    return Cost(
        forward=readings * DOMAIN_TEXTS * (tokens + 1 if own else DOMAIN_TOKENS), passes=passes
    )


def by_part(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part, with the questions that each stands on."""
    found = cost(model, params)
    asked = found.pop("questions", Cost())
    return {name: asked + each for name, each in found.items()}


def _levels(model: InstrumentedModel, params: Params) -> int:
    """How many numbers of slots differ: none beyond what a token can read."""
    levels = levels_of(params)
    most = sum(reads for reads in map(_reads_at_most, Memories.of(model).places))
    beyond = [level for level in levels if level >= most]
    return len([level for level in levels if level < most]) + min(1, len(beyond))


def _reads_at_most(place: MemoryPlace) -> int:
    module = place.module
    if isinstance(module, ProductKeyed):
        return module.reads * module.heads
    return place.slots().count


def _prompts(model: InstrumentedModel, params: Params, organism: bool) -> tuple[float, int]:
    """Tokens of a prompt, and how many facts are known at most."""
    wanted = max(params.facts + params.others, params.usage)
    if organism:
        record = module_record.read_home(model.module)
        assert record is not None
        facts = [fact for fact in record.facts() if fact.read]
        return len(model.tokens(facts[0].prompt)), min(wanted, len(facts))
    lengths, known = [], 0
    for relation in relations_of(params):
        some = relation.facts[:10]
        lengths += [
            len(model.tokens(relation.closed_book_prompt(each.subject).text)) for each in some
        ]
        known += len(relation.facts)
    needed = params.facts + params.others
    return sum(lengths) / max(1, len(lengths)), min(needed, known)
