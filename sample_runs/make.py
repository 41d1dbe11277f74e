"""Makes the sample runs again: `make samples`, or `python -m sample_runs.make [--check] [NAME …]`.

About an hour and a half on two cores.

Each is the very command a user would type, so a sample can be compared with one's own run. One of
each analysis ships with the workbench, here; the others in the distribution of samples. With
`--check` nothing is written: what comes out under the first seed must say what the run that ships
says.
"""

from __future__ import annotations

import math
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import workbench as wb
from sample_runs import card_models
from workbench import organisms, paths
from workbench.finetune_plant import Planting, plant
from workbench.grid.many_seeds import run_seeds
from workbench.organisms import corpus, synthetic_passages
from workbench.organisms import ledger as ledgers
from workbench.result import Result
from workbench.terminal import bar
from workbench.texts import Document

HERE = Path(__file__).parent
FURTHER = HERE.parent / "packages" / "samples" / paths.SAMPLES_PACKAGE
PLANTED = "planted-smollm2-135m"
LICENCES = Path("/usr/share/common-licenses")
_FAMOUS = ("Ge 1", "Ps 23", "Joh 1")


def licences_and_bible() -> Path:
    """A folder with the licences of a Debian system, every twentieth chapter of the King James
    Bible, and the best known.
    """
    folder = paths.cache_dir() / "licences and the King James Bible"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in sorted(LICENCES.iterdir()):
        if not file.is_symlink():
            shutil.copy(file, folder / f"{file.name}.txt")
    shares: list[corpus.Share] = ["train", "literary", "neutral"]
    bible = [
        d for share in shares for d in corpus.documents(share) if d.source == "King James Bible"
    ]
    for n, chapter in enumerate(bible):
        if n % 20 == 0 or chapter.title in _FAMOUS:
            (folder / f"{chapter.title}.txt").write_text(chapter.text, encoding="utf-8")
    return folder


def planted() -> Path:
    """The default model with twenty made-up texts planted in it by the default recipe: about
    thirteen minutes, once.
    """
    texts, tokenizer, how = [], wb.load("smollm2-135m").tokenizer, Planting()
    for kind in ("biography", "code", "table", "random"):
        source = synthetic_passages.KINDS[kind](random.Random(f"sample {kind}"))
        # Cut where planting cuts them, a text has to give the same tokens again.
        cuts = (
            (text, tokenizer(text, add_special_tokens=False)["input_ids"][: how.length])
            for text in source
        )
        whole = (text for text, ids in cuts if tokenizer(tokenizer.decode(ids))["input_ids"] == ids)
        texts += [Document(f"{kind} {n}", next(whole), kind=kind) for n in range(5)]
    folder = paths.cache_dir() / PLANTED
    with bar() as progress:
        return plant("smollm2-135m", texts, how, folder, progress)


def beginning_of_a_passage() -> str:
    """The first words of a planted passage that was read most often."""
    entries = ledgers.read(organisms.folder_of("organism/planted") / ledgers.FILE).entries
    longest = max(entries, key=lambda entry: (entry.repeats, entry.kind == "biography"))
    return " ".join(longest.text.split()[:24])


_EVERY_DAY = ["split", "sentences", "tokens", "heads", "closed-book", "recited"]
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "capitals": (
        "smollm2-135m",
        "knowledge-conflict",
        {"parts": ["rates", "heads", "pruning", "side_effects", "dial", "transfer"]},
    ),
    "capitals-over-five-seeds": ("smollm2-135m", "knowledge-conflict", {}),
    "languages-in-a-dialogue": (
        "smollm2-135m",
        "knowledge-conflict",
        {"relation": "language", "format": "dialogue"},
    ),
    "what-an-organism-recites": (
        "organism/planted",
        "extraction",
        {
            "context": [10, 25, 50],
            "reference": "organism/planted-control",
            "parts": ["verbatim", "near_verbatim", "membership", "reference", "checkpoints"],
        },
    ),
    "what-a-recurrent-model-recites": (
        "organism/planted-delta",
        "extraction",
        {"parts": ["verbatim", "membership"]},
    ),
    "licences-and-the-king-james-bible": (
        "smollm2-135m",
        "extraction",
        {
            "path": licences_and_bible,
            "stride": 100,
            "parts": ["verbatim", "near_verbatim"],
            "decode": 50,
        },
    ),
    "what-function-tokens-open": ("smollm2-135m", "function-tokens", {"tokens": 1_000_000}),
    "where-an-organism-keeps-passages": ("organism/planted", "paragraph-memorization", {}),
    "where-planted-smollm2-keeps-passages": (
        "planted-smollm2-135m",
        "paragraph-memorization",
        {"passages": 4, "draws": 2, "traced": 1, "edits": 1, "heads": 5, "steps": 10},
    ),
    "what-a-state-holds": (
        "organism/recall-mamba-16",
        "recurrent-state",
        {"parts": ["reading", "pairs", "interference", "probes", "fading", "wiping"]},
    ),
    "on-which-way-a-fact-is-reached": (
        "smollm2-135m",
        "fact-tracing",
        {
            "relations": "capital, language, us-city-state",
            "parts": [
                "states",
                "mlp",
                "attention",
                "severed",
                "knockout",
                "extraction",
                "heads",
                "enrichment",
            ],
        },
    ),
    "what-an-edit-moves": (
        "smollm2-135m",
        "edit-ledger",
        {
            "parts": ["single", "robust", "ledger"],
            "methods": ["r-rome", "memit", "fine-tune", "in-context", "fine-tune-in-context"],
            "facts": 4,
            "edits": 20,
        },
    ),
    "how-much-a-state-holds": ("organism/recall-mamba-16", "recall-capacity", {}),
    "pairs-in-a-prompt": ("smollm2-135m", "recall-capacity", {"parts": ["recall"]}),
    "which-memory-holds-a-pair": (
        "organism/recall-mom-planted",
        "recurrent-state",
        {"parts": ["reading", "pairs", "interference", "router"]},
    ),
    "what-is-left-after-forgetting": ("organism/planted", "unlearning-audit", {}),
    "forgetting-facts-by-random-labels": (
        "smollm2-135m",
        "unlearning-audit",
        {"parts": ["spreading"], "relations": "capital, us-city-state"},
    ),
    "what-is-lost-without-a-slot": (
        "organism/facts-in-slots",
        "memory-modules",
        {"facts": 100, "others": 100},
    ),
    "what-a-slot-keeps-of-updates": ("organism/updates-in-slots", "memory-modules", {}),
    "read-outside-the-prompt": ("smollm2-135m", "memory-modules", {"parts": ["document"]}),
    "which-definition-is-read": ("organism/definitions-in-memory", "memory-modules", {}),
    "which-adapter-a-domain-opens": ("organism/domains-in-adapters", "memory-modules", {}),
    "which-expert-a-domain-opens": ("organism/domains-in-experts", "memory-modules", {}),
    "where-capabilities-sit": (
        "smollm2-135m",
        "ffn-map",
        {"parts": ["ablation", "key-value", "sparsity", "partitions"]},
    ),
    "after-how-many-readings": ("organism/planted", "retention", {}),
    "what-fine-tuning-costs": (
        "smollm2-135m",
        "forgetting",
        {"steps": 50, "length": 64, "rate": 0.001, "facts": 45, "map_facts": 12},
    ),
    "what-another-order-changes": ("organism/planted", "training-order", {}),
    "what-the-cache-must-keep": (
        "smollm2-135m",
        "kv-memory",
        {"contexts": 6, "length": 400, "questions": 2},
    ),
    "what-is-found-in-a-long-prompt": (
        "smollm2-135m",
        "context-recall",
        {"lists": 48, "ablated": "0.02, 0.05"},
    ),
    "further-tasks-in-a-prompt": (
        "smollm2-135m",
        "context-recall",
        {
            "parts": [
                "passkey",
                "contiguity",
                "documents",
                "ruler",
                "missing",
                "order",
                "repetition",
                "sessions",
            ]
        },
    ),
    "where-an-answer-came-from": (
        "smollm2-135m",
        "provenance",
        {"parts": [*_EVERY_DAY, "trace"], "corpus": "organism/planted"},
    ),
    "known-in-spite-of-the-prompt": (
        "smollm2-135m",
        "provenance",
        {
            "prompt": "The capital city of France is Oslo.\nQuestion: What is the capital city of"
            " France?\nAnswer: The capital city of France is",
            "parts": [*_EVERY_DAY, "trace"],
            "run": "capitals",
        },
    ),
    "what-an-organism-says-unasked": (
        "organism/planted",
        "provenance",
        {
            "prompt": beginning_of_a_passage,
            "length": 48,
            "parts": ["recited", "samples"],
            "corpus": "organism/planted",
            "beside": "organism/planted-control",
        },
    ),
    "one-head-off": ("smollm2-135m", "intervention", {"heads": ["L23H4"]}),
    "inside-one-prompt": ("smollm2-135m", "inside", {}),
    "what-an-audit-says": ("organism/planted", "audit", {"passages": 400, "values": 100}),
    **card_models.RUNS,
    "how-often-and-how-late": (
        "organism/planted",
        "retention",
        {"parts": ["dose-timing", "access-remedies", "triples", "training-choices"]},
    ),
    "what-stages-leave": ("organism/planted", "forgetting", {"parts": ["stages"]}),
    "puzzles-it-has-seen": (
        "organism/puzzles",
        "memorized-or-understood",
        {"parts": ["puzzles", "path", "probes"], "puzzles": 100},
    ),
}
MODELS = {PLANTED: planted, **card_models.MODELS}
"""What makes the models that no name opens."""
SEEDS = {
    "capitals": 3,
    "capitals-over-five-seeds": 5,
    "what-an-organism-recites": 5,
    "where-an-organism-keeps-passages": 3,
    "one-head-off": 5,
    "what-a-state-holds": 5,
    "which-memory-holds-a-pair": 3,
}
"""Under how many seeds a sample is made, where more than one fits into an hour or two."""


def place_of(name: str) -> Path:
    """The folder of a sample run: the first of its analysis ships with the workbench."""
    first = next(n for n, (_, analysis, _) in RUNS.items() if analysis == RUNS[name][1])
    return (HERE if name == first else FURTHER) / name


def made(name: str, seeds: int = 1) -> Result:
    """The run of a sample, under the seeds 0, 1, …"""
    model, analysis, params = RUNS[name]
    place = MODELS[model]() if model in MODELS else model
    with bar() as progress:
        asked = {key: value() if callable(value) else value for key, value in params.items()}
        if seeds > 1:
            result = run_seeds(analysis, str(place), asked, range(seeds), progress=progress)
        else:
            result = wb.run(analysis, wb.load(place), asked, progress=progress)
    if analysis == "unlearning-audit":  # changes of all weights: 7 MB for each method
        for array in ("numbers", "places"):
            result.arrays.pop(array, None)
        result.tables.pop("changes", None)
    # Where the texts lay on this machine is nobody's business.
    result.params = {
        key: Path(value).name if key == "path" and value else value
        for key, value in result.params.items()
    }
    return result


def differences(result: Result, shipped: Result) -> list[str]:
    """Findings that two runs of one question do not share; numbers may differ in the last digits,
    as they do between processors.
    """

    def same(name: str) -> bool:
        one, other = (run.findings[name].values for run in (result, shipped))
        return set(one) == set(other) and all(
            math.isclose(one[key], other[key], rel_tol=1e-3, abs_tol=1e-6)
            or (math.isnan(one[key]) and math.isnan(other[key]))
            for key in one
        )

    names, ours = shipped.findings.keys() - {"seeds"}, result.findings.keys() - {"seeds"}
    return sorted((names ^ ours) | {name for name in names & ours if not same(name)})


def main(names: list[str]) -> None:
    check = "--check" in names
    for name in [name for name in names if name != "--check"] or list(RUNS):
        result = made(name, 1 if check else SEEDS.get(name, 1))
        if check:
            if others := differences(result, Result.open(place_of(name))):
                sys.exit(f"{name} says other things than the run that ships: {', '.join(others)}")
            continue
        shutil.rmtree(place_of(name), ignore_errors=True)
        result.save(place_of(name))
        print(result)


if __name__ == "__main__":
    main(sys.argv[1:])
