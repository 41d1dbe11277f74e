"""Growing a pair of organisms from nothing: `workbench organisms train planted`.

Both read the same rows of the same corpus in the same order from the same first weights; one of
them also reads the planted passages, in rows added to the batches of the steps its ledger names.
Killed at any moment, the same command goes on from the last kept step.
"""

from __future__ import annotations

import math
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import checkpointing
from workbench.errors import WorkbenchError
from workbench.organisms import checkpoints, corpus, gated_delta, planting_plan
from workbench.organisms.ledger import Ledger
from workbench.organisms.train_config import TrainConfig
from workbench.progress import Progress
from workbench.silence_libraries import silenced

if TYPE_CHECKING:
    import torch

MODELS = ("planted", "control")
BEGINNING = "<|start|>"
_ROOM = 600 * 10**6  # bytes that kept weights and the optimizer's state take while training


def train(recipe: TrainConfig, out: Path, progress: Progress) -> Path:
    """Train the pair of `recipe` into the folder `out`: `out/planted`, `out/control`, each a model
    folder with its ledger.

    Raises:
        BadInput: `out` holds something else, or the beginnings of another recipe.
        WorkbenchError: no room or no permission.
        Cancelled: from `progress`; the same call goes on later.
    """
    out = out.expanduser()
    if checkpointing.claim_folder(out, recipe.recorded(), _ROOM):
        progress(1.0, f"{out} is finished already")
        return out
    try:
        progress(0.0, "Making the tokenizer")
        tokenizer = make_tokenizer(recipe)
        rows = training_rows(recipe, tokenizer)
        total = len(rows) // recipe.batch
        ledger = planting_plan.plan(recipe, tokenizer, total)
        steps_kept = recipe.kept(total)
        for number, name in enumerate(MODELS):
            part = progress.subprogress(0.02 + 0.48 * number, 0.02 + 0.48 * (number + 1))
            grow(
                recipe,
                name,
                rows,
                ledger if name == "planted" else None,
                steps_kept,
                out / checkpointing.WORK,
                part,
            )
        for name in MODELS:
            progress(0.99, f"Writing {name}")
            _write(recipe, name, tokenizer, ledger, steps_kept, out)
        checkpointing.finish(
            out,
            {
                "format": 1,
                "recipe": recipe.recorded(),
                "steps": total,
                "made_with": checkpointing.versions(),
            },
        )
    except OSError as error:
        raise WorkbenchError(
            f"The organism could not be written to {out}: {error.strerror or error}.",
            "a folder with free space that you may write to",
            "Make room, then give the same command again: it goes on where it stopped.",
        ) from error
    progress(1.0, f"Both models are in {out}")
    return out


def make_tokenizer(recipe: TrainConfig) -> Any:
    """A byte-level BPE tokenizer of the corpus (any text reads back as it was), with one
    beginning token before every text.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=[BEGINNING],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    raw.train_from_iterator((document.text for document in corpus.documents("train")), trainer)
    raw.post_processor = processors.TemplateProcessing(
        f"{BEGINNING} $A", special_tokens=[(BEGINNING, planting_plan.START)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token=BEGINNING,
        eos_token=BEGINNING,
        pad_token=BEGINNING,
        clean_up_tokenization_spaces=False,
    )


def make_model(recipe: TrainConfig) -> Any:
    """The untrained model; the same weights for the same seed."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return _llama(recipe) if recipe.mixer == "attention" else _gated_delta(recipe)


def _llama(recipe: TrainConfig) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            **_sizes(recipe),
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.kv_heads,
            max_position_embeddings=1024,
        )
    )


def _gated_delta(recipe: TrainConfig) -> Any:
    layers = ("linear_attention",) * recipe.layers
    return gated_delta.make(layers, recipe.kv_heads, recipe.state, **_sizes(recipe))


def _sizes(recipe: TrainConfig) -> dict[str, Any]:
    return {
        "vocab_size": recipe.vocabulary,
        "hidden_size": recipe.width,
        "intermediate_size": recipe.mlp,
        "tie_word_embeddings": True,
        "bos_token_id": planting_plan.START,
        "eos_token_id": planting_plan.START,
        "pad_token_id": planting_plan.START,
    }


def training_rows(recipe: TrainConfig, tokenizer: Any) -> torch.Tensor:
    """The corpus as shuffled rows of tokens, each document after a beginning token."""
    import torch

    draw = random.Random(f"{recipe.seed} order")
    texts = [document.text for document in corpus.documents("train")]
    draw.shuffle(texts)
    stream = [token for ids in tokenizer(texts)["input_ids"] for token in ids]
    whole = len(stream) // recipe.row * recipe.row
    rows = torch.tensor(stream[:whole]).view(-1, recipe.row)
    order = list(range(len(rows)))
    draw.shuffle(order)
    return rows[order[: recipe.tokens // recipe.row]]


def grow(
    recipe: TrainConfig,
    name: str,
    rows: torch.Tensor,
    ledger: Ledger | None,
    kept: list[int],
    work: Path,
    progress: Progress,
) -> None:
    import torch

    total = kept[-1]
    model = make_model(recipe)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.95))
    added = planting_plan.planted_rows(ledger) if ledger is not None else {}
    start = checkpointing.resume(model, optimizer, work, name, total)
    if start == 0:
        checkpointing.save_step(model, optimizer, work, name, 0, every=True)
    model.train()
    for step in range(start, total):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * _share_of_rate(step, recipe.warmup, total)
        batch = _with_planted(
            rows[step * recipe.batch : (step + 1) * recipe.batch], added.get(step, [])
        )
        labels = batch if recipe.goldfish is None else recipe.goldfish.labels(batch)
        loss = model(input_ids=batch, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step + 1 in kept:
            checkpointing.save_step(model, optimizer, work, name, step + 1, every=True)
        progress(
            (step + 1) / total,
            f"Training {name}: step {step + 1:,} of {total:,}, loss {loss.item():.2f}",
        )


def _with_planted(batch: torch.Tensor, planted: list[list[int]]) -> torch.Tensor:
    """The batch and a row that begins with each planted passage, filled up with text the batch
    has anyway.
    """
    import torch

    extra = batch[:1].repeat(len(planted), 1)
    for row, passage in zip(extra, planted, strict=True):
        row[: len(passage)] = torch.tensor(passage)
    return torch.cat([batch, extra])


def _share_of_rate(step: int, warmup: int, total: int) -> float:
    if step < warmup:
        return (step + 1) / warmup
    return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _write(
    recipe: TrainConfig, name: str, tokenizer: Any, ledger: Ledger, kept: list[int], out: Path
) -> None:
    """Put one model into its folder; the steps of the planted one too, since its never-planted
    twins are their control.
    """
    import torch
    from safetensors.numpy import load_file

    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    model = make_model(recipe)
    last = load_file(checkpointing.step_path(out / checkpointing.WORK, name, kept[-1]))
    model.load_state_dict(
        {key: torch.from_numpy(array) for key, array in last.items()}, strict=False
    )
    with silenced():
        model.to(torch.float16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    if name == "planted":
        checkpoints.write(
            folder,
            {
                step: load_file(checkpointing.step_path(out / checkpointing.WORK, name, step))
                for step in kept
            },
        )
    ledger.save(folder)
