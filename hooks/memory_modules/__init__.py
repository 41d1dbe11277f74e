"""Memory modules: one vocabulary for what stands in slots, and one adapter for each kind.

    model = wb.load("organism/facts-in-slots")
    place = memory_places(model)[0]
    with recorded([place]) as calls:
        model.next_logits("Leo Lang lives in")
    calls[0].reads.index                       # (batch, pos, head, read)
    with masked(place, [17, 203]):
        model.next_logits("Leo Lang lives in")

I want the words: slots, reads, writes              -> vocabulary.py
I want a memory that no adapter knows               -> adapter.py, name_mapping.py, scaffold.py
I want to know whether an adapter says the truth    -> conformance.py
The same on all memories of a model, by name         -> model_checks.py
I want to know where a model has memories           -> places.py
I want to see what is read and written              -> memory_calls.py; written_slots.py (compared)
I want to mask, swap, skip a write, freeze          -> slot_changes.py
Feed-forward neurons, experts, product keys         -> feed_forward.py, experts.py, product_keys.py
All earlier tokens, LoRA adapters                   -> nearest_tokens.py, lora.py
Adapters of domains behind a gate                   -> domain_adapters.py
GRACE and WISE, of hooks.editing                    -> side_memories.py
The sum of weight × value                           -> read_sums.py
"""

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.conformance import (
    Conformance,
    ConformanceLine,
    conformance,
    conformance_of_module,
)
from hooks.memory_modules.memory_calls import MemoryRecord, recorded
from hooks.memory_modules.name_mapping import by_names
from hooks.memory_modules.places import (
    MemoryPlace,
    adapters,
    memory_places,
    neuron_places,
    places_or_neurons,
)
from hooks.memory_modules.read_sums import read_sum, weight_of
from hooks.memory_modules.scaffold import scaffold
from hooks.memory_modules.slot_changes import (
    all_masked,
    masked,
    swapped,
    switched_off,
    writes_skipped,
)
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots, MemoryWrite

__all__ = [
    "Conformance",
    "ConformanceLine",
    "MemoryAdapter",
    "MemoryCall",
    "MemoryPlace",
    "MemoryReads",
    "MemoryRecord",
    "MemorySlots",
    "MemoryWrite",
    "adapters",
    "all_masked",
    "by_names",
    "conformance",
    "conformance_of_module",
    "masked",
    "memory_places",
    "neuron_places",
    "places_or_neurons",
    "read_sum",
    "recorded",
    "scaffold",
    "swapped",
    "switched_off",
    "weight_of",
    "writes_skipped",
]
