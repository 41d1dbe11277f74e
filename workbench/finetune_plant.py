"""Planting texts in a copy of a real model: `workbench plant`.

The texts are read with known counts at known steps, mixed with neutral prose so that the model
stays what it was. Which text gets which count is by lot. What comes out is an ordinary model
folder, with the ledger in it.
"""

from __future__ import annotations

import heapq
import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from workbench import checkpointing
from workbench.errors import BadInput, WorkbenchError
from workbench.lab import Stage, run_stages
from workbench.lab.neutral import neutral_pieces
from workbench.models import adapters
from workbench.models.load import load_weights
from workbench.models.storage import is_quantized
from workbench.models.tokenization import Tokenization
from workbench.organisms.ledger import Entry, Ledger, fingerprint
from workbench.progress import Progress
from workbench.silence_libraries import silenced
from workbench.texts import Document

_SHORTEST = 8  # tokens: less is no text to recite
_MEASURED = 32  # rows of neutral text whose loss is measured before and after


@dataclass(frozen=True)
class Planting:
    """How texts are planted.

    Attributes:
        repeats: counts that are dealt out among the texts by lot, evenly; 0 leaves a text out, as a
            control.
        length: tokens of a text at most; longer ones are cut.
        neutral: tokens of neutral prose read for every planted one.
        rate: AdamW's highest learning rate.
        batch: rows read at once, about; no text twice.
        lora: rank of low-rank updates that are merged in at the end (PEFT); 0 trains all weights.
        seed: of the lot and the order.
    """

    repeats: tuple[int, ...] = (0, 1, 4, 16, 64)
    length: int = 100
    neutral: float = 0.5
    rate: float = 1e-4
    batch: int = 8
    lora: int = 0
    seed: int = 0


def plant(
    ref: str,
    texts: Sequence[Document],
    planting: Planting,
    out: Path,
    progress: Progress,
    device: str = "auto",
) -> Path:
    """Fine-tune a copy of a model so that it has read the texts as often as the ledger says.

    Args:
        ref: what `wb.load` takes.
        out: a new folder; the same call goes on in it after a stop.

    Raises:
        NotFound, BadInput, WorkbenchError: each says what to do; `out` is not touched by bad input.
        Cancelled: from `progress`; the same call goes on later.
    """
    import torch

    out = out.expanduser()
    _check(texts, planting)
    progress(0.0, f"Loading {ref}")
    loaded = load_weights(
        ref, device=device, dtype=torch.float32, progress=progress.subprogress(0.0, 0.02)
    )
    attached = bool(adapters.names(loaded.module))
    if attached or is_quantized(loaded.module):
        raise BadInput(
            f"{loaded.card.name} {'has an adapter' if attached else 'is quantized'}, so what is"
            " read would not get into its own weights.",
            "plain weights",
            (
                "Merge the adapter first (write @merged behind its folder)."
                if attached
                else "Load the model without quantization."
            ),
        )
    entries = _deal(texts, planting, loaded.tokenizer)
    batches, entries = _order(entries, planting, loaded.tokenizer)
    recipe = {
        "model": loaded.card.weight_hash,
        **asdict(planting),
        "texts": [[e.text, e.repeats] for e in entries],
    }
    room = loaded.card.n_params * 4 * 5
    if checkpointing.claim_folder(out, recipe, room):
        progress(1.0, f"{out} is finished already")
        return out
    try:
        neutral = list(
            islice(
                neutral_pieces(loaded.tokenizer, planting.length, random.Random(0), "neutral"),
                _MEASURED,
            )
        )
        losses = _read_all(
            loaded.module,
            batches,
            neutral,
            planting,
            out / checkpointing.WORK,
            progress.subprogress(0.02, 0.97),
        )
        progress(0.97, "Writing the model")
        with silenced():
            loaded.module.save_pretrained(out)
            loaded.tokenizer.save_pretrained(out)
        Ledger(fingerprint(loaded.tokenizer), tuple(entries)).save(out)
        about = {
            "format": 1,
            "recipe": recipe,
            "from": loaded.card.name,
            "loss_on_neutral_text": losses,
        }
        checkpointing.finish(
            out, {**about, "steps": len(batches), "made_with": checkpointing.versions()}
        )
    except OSError as error:
        raise WorkbenchError(
            f"The planted model could not be written to {out}: {error.strerror or error}.",
            "a folder with free space that you may write to",
            "Make room, then give the same command again: it goes on where it stopped.",
        ) from error
    progress(1.0, f"Planted in {out}")
    return out


def _check(texts: Sequence[Document], planting: Planting) -> None:
    if not texts:
        raise BadInput(
            "There is no text to plant.",
            "at least one",
            "Give a file with one text per line, or JSON lines.",
        )
    if not any(planting.repeats) and not any(text.repeats for text in texts):
        raise BadInput(
            "Every text is to be read 0 times.",
            "at least one count above 0",
            "Give --repeats 1,4,16,64.",
        )


def _deal(texts: Sequence[Document], planting: Planting, tokenizer: Any) -> list[Entry]:
    """Each text, cut, with the count it drew."""
    draw = random.Random(f"{planting.seed} lot")
    free = [text for text in texts if text.repeats is None]
    lots = [planting.repeats[i % len(planting.repeats)] for i in range(len(free))]
    draw.shuffle(lots)
    counts = dict(zip(map(id, free), lots, strict=True))
    entries, seen = [], set[str]()
    for number, text in enumerate(texts, 1):
        ids = tokenizer(text.text, add_special_tokens=False, verbose=False)["input_ids"][
            : planting.length
        ]
        if len(ids) < _SHORTEST:
            raise BadInput(
                f"{text.name} has {len(ids)} tokens.",
                f"at least {_SHORTEST}",
                "Leave it out, or give a longer text.",
            )
        cut = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        if tokenizer(cut, add_special_tokens=False)["input_ids"] != ids:
            raise BadInput(
                f"{text.name} does not survive this tokenizer: read back, its tokens are others.",
                "a text whose tokens give the same text, and the same tokens again",
                f"Change the text, or another --length than {planting.length}.",
            )
        if cut in seen:
            raise BadInput(
                f"{text.name} is there twice.",
                "different texts",
                "Give each text once; --repeats says how often.",
            )
        seen.add(cut)
        repeats = counts[id(text)] if text.repeats is None else text.repeats
        entries.append(
            Entry(
                f"{number:03d} {text.name}",
                text.kind or "text",
                cut,
                repeats,
                "spread" if repeats else "never",
                (),
                tuple(ids),
            )
        )
    return entries


def _order(
    entries: Sequence[Entry], planting: Planting, tokenizer: Any
) -> tuple[list[list[list[int]]], list[Entry]]:
    """The rows of every step, and the entries with the steps they are read at.

    No text is read twice at one step: so many repeats are so many updates, however few texts there
        are.
    """
    draw = random.Random(f"{planting.seed} order")
    start = Tokenization(tokenizer).beginning
    wanted = round(planting.neutral * sum(len(entry.ids) * entry.repeats for entry in entries))
    neutral = list(
        islice(
            neutral_pieces(tokenizer, planting.length, draw, "train"),
            math.ceil(wanted / planting.length),
        )
    )
    rows = len(neutral) + sum(entry.repeats for entry in entries)
    batches: list[list[list[int]]] = [
        []
        for _ in range(max(math.ceil(rows / planting.batch), *(entry.repeats for entry in entries)))
    ]
    dated = []
    for entry in entries:
        steps = sorted(draw.sample(range(len(batches)), entry.repeats))
        for step in steps:
            batches[step].append([*start, *entry.ids])
        dated.append(replace(entry, steps=tuple(steps)))
    # Neutral rows go where there is most room, so that all steps are about as long.
    room = [(len(batch), draw.random(), step) for step, batch in enumerate(batches)]
    heapq.heapify(room)
    for row in neutral:
        filled, lot, step = heapq.heappop(room)
        batches[step].append([*start, *row])
        heapq.heappush(room, (filled + 1, lot, step))
    return batches, dated


def _read_all(
    module: Any,
    batches: list[list[list[int]]],
    neutral: list[list[int]],
    planting: Planting,
    work: Path,
    progress: Progress,
) -> dict[str, float]:
    """Read all batches; loss on neutral text before and after, in nats per token."""
    before = work / "before.json"
    if not before.is_file():
        checkpointing.replace(before, json.dumps(_loss(module, neutral)))
    stage = Stage(
        "Planting",
        batches,
        planting.rate,
        warmup=max(1, len(batches) // 20),
        rank=planting.lora,
        alpha=2 * math.sqrt(max(1, planting.lora)),  # the update counts twice, whatever its rank
    )
    run_stages(module, [stage], seed=planting.seed, work=work, progress=progress)
    return {
        "before": json.loads(before.read_text(encoding="utf-8")),
        "after": _loss(module, neutral),
    }


def _loss(module: Any, rows: Sequence[Sequence[int]]) -> float:
    """Mean loss over rows of one length, in nats per token."""
    import torch

    with torch.no_grad():
        losses: list[float] = []
        for row in rows:
            ids = torch.tensor([list(row)], device=module.device)
            losses.append(module(input_ids=ids, labels=ids, use_cache=False).loss.item())
    return sum(losses) / len(losses)
