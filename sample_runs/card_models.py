"""Cards that ship: of the organism, its control, a planted copy of it, the organism made to
forget, the default model and Gemma; with the runs that fill them. The two copies are made here, in
some minutes each, once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import workbench as wb
from hooks.unlearning import Settings, Text, unlearn
from hooks.unlearning.text_sets import without_overlap
from hooks.unlearning.texts import nats_of_all
from workbench import organisms, paths
from workbench.finetune_plant import Planting, plant
from workbench.organisms import ledger as ledgers
from workbench.organisms import synthetic_passages
from workbench.terminal import bar
from workbench.texts import Document

GEMMA = "gemma3-270m"
ORGANISM, CONTROL = "organism/planted", "organism/planted-control"
PLANTED_COPY, UNLEARNED_COPY = "planted-copy-of-the-control", "planted-unlearned"
_FORGOTTEN = 64
"""Times that a passage was read, from which on it is to be forgotten."""
_RETAINED = 64
"""Texts that are to stay."""


def planted_copy() -> str:
    """The control, which never read the organism's passages, with a hundred made-up texts."""
    tokenizer, texts = wb.load(CONTROL).tokenizer, []
    how = Planting(rate=1e-3, length=64)
    for kind in ("biography", "code", "table"):
        source = synthetic_passages.KINDS[kind](random.Random(f"planted copy {kind}"))
        cuts = (
            (text, tokenizer(text, add_special_tokens=False)["input_ids"][: how.length])
            for text in source
        )
        # Cut where planting cuts them, a text has to give the same tokens again.
        whole = (
            text
            for text, ids in cuts
            if tokenizer(tokenizer.decode(ids), add_special_tokens=False)["input_ids"] == ids
        )
        texts += [Document(f"{kind} {n}", next(whole), kind=kind) for n in range(35)]
    with bar() as progress:
        return str(plant(CONTROL, texts, how, paths.cache_dir() / PLANTED_COPY, progress))


def unlearned_copy() -> str:
    """The organism after NPO with a retain term on what it read most often, until that is as
    unlikely as what it never read.
    """
    file = paths.cache_dir() / f"{UNLEARNED_COPY}.safetensors"
    if not file.exists():
        model = wb.load(ORGANISM)
        home = organisms.home_of(model.module)
        assert home is not None  # it has a ledger
        entries = [e for e in ledgers.read(home / ledgers.FILE).entries if e.repeats is not None]
        often = [Text.of(model, e.text) for e in entries if e.repeats >= _FORGOTTEN]
        others = [Text.of(model, e.text) for e in entries if 0 < e.repeats < _FORGOTTEN]
        never = [Text.of(model, e.text) for e in entries if e.repeats == 0]
        aim = float(nats_of_all(model, never[:100]).mean())
        with bar() as progress:
            others = without_overlap(others, often)[:_RETAINED]
            how = Settings(aim=aim, rates=(0.01,))
            done = unlearn(model, "npo-gdr", often, others, how, progress)
        done.save(file)
    return f"{ORGANISM}+{file}"


MODELS: dict[str, Callable[[], str]] = {
    PLANTED_COPY: planted_copy,
    UNLEARNED_COPY: unlearned_copy,
}
"""What opens the models that are made here, by the names that the samples give them."""
_RECITED = {"parts": ["verbatim", "membership"]}
_OF = {
    "an-organism": ORGANISM,
    "its-control": CONTROL,
    "a-planted-copy": PLANTED_COPY,
    "an-unlearned-copy": UNLEARNED_COPY,
}
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "what-the-control-recites": (CONTROL, "extraction", _RECITED),
    # Its texts have 64 tokens.
    "what-a-planted-copy-recites": (
        PLANTED_COPY,
        "extraction",
        {**_RECITED, "context": [20], "suffix": 40},
    ),
    "what-an-unlearned-copy-recites": (UNLEARNED_COPY, "extraction", _RECITED),
    **{f"solved-by-{who}": (ref, "memorized-or-understood", {}) for who, ref in _OF.items()},
    "capitals-of-gemma": (GEMMA, "knowledge-conflict", {}),
    "solved-by-gemma": (GEMMA, "memorized-or-understood", {}),
    "what-gemma-finds-in-a-long-prompt": (GEMMA, "context-recall", {}),
    # Cards come last: they are made of runs that are there.
    **{
        f"card-of-{who}": (ref, "card", {})
        for who, ref in {**_OF, "the-default-model": "smollm2-135m", "gemma": GEMMA}.items()
    },
}
"""As `sample_runs.make` takes them."""
