"""`workbench lab`: a schedule, trained into a folder that is a model with its ledger and the steps
it came from.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from workbench import checkpointing
from workbench.errors import BadInput, WorkbenchError
from workbench.lab.schedule import Schedule, entries_of, stages_of
from workbench.lab.stages import LabLog, Stage, check
from workbench.lab.training import run_stages
from workbench.models import adapters
from workbench.models.load import load_weights
from workbench.models.storage import is_quantized
from workbench.organisms.ledger import Ledger, fingerprint
from workbench.progress import Progress
from workbench.silence_libraries import silenced

ABOUT = "lab.json"


def train_schedule(
    ref: str, schedule: Schedule, out: Path, progress: Progress, device: str = "auto"
) -> Path:
    """Train a copy of a model by a schedule.

    Args:
        ref: what `wb.load` takes.
        out: a new folder; the same call goes on in it after a stop. It gets the trained model with
            its ledger, and a folder `checkpoint-N` for every kept step, each a model folder of its
            own, in 16 bits.

    Raises:
        BadInput, NotFound: a schedule or model that cannot be used; `out` is not touched.
        NotFinite: the training went astray, and at which step.
        WorkbenchError: no room or no permission.
        Cancelled: from `progress`; the same call goes on later.
    """
    import torch

    out = out.expanduser()
    progress(0.0, f"Loading {ref}")
    loaded = load_weights(
        ref, device=device, dtype=torch.float32, progress=progress.subprogress(0.0, 0.02)
    )
    if adapters.names(loaded.module) or is_quantized(loaded.module):
        raise BadInput(
            f"{loaded.card.name} has an adapter or is quantized, so what is read would not get into"
            " its own weights.",
            "plain weights",
            "Merge the adapter (write @merged behind its folder), or load without quantization.",
        )
    entries = entries_of(schedule, loaded.tokenizer)
    stages = stages_of(schedule, entries, loaded.tokenizer)
    check(stages, loaded.module.get_input_embeddings().weight.shape[0])
    _check_context(stages, loaded.card.context_length, loaded.card.name)
    steps = schedule.kept()
    recipe = {"model": loaded.card.weight_hash, **schedule.model_dump()}
    room = loaded.card.n_params * (4 * 6 + 2 * 2 * len(steps))
    if checkpointing.claim_folder(out, recipe, room, ABOUT):
        progress(1.0, f"{out} is finished already")
        return out
    wanted = _places(schedule, steps)
    work = out / checkpointing.WORK / "stages"
    try:
        log = run_stages(
            loaded.module,
            stages,
            seed=schedule.seed,
            keep=lambda stage, step: (stage, step) in wanted,
            work=work,
            progress=progress.subprogress(0.02, 0.95),
        )
        progress(0.96, "Writing the model")
        with silenced():
            loaded.module.save_pretrained(out)
            loaded.tokenizer.save_pretrained(out)
        small = [
            file for file in out.iterdir() if file.suffix in (".json", ".txt", ".model", ".jinja")
        ]
        Ledger(fingerprint(loaded.tokenizer), tuple(entries)).save(out)
        for one in log.kept:
            step = wanted[one.stage, one.step]
            progress(0.97, f"Writing step {step:,}")
            _write_step(out / f"checkpoint-{step}", one.file, small)
        checkpointing.finish(
            out,
            {"format": 1, "recipe": recipe, "from": loaded.card.name, **_told(log, steps),
             "made_with": checkpointing.versions()},
            ABOUT,
        )  # fmt: skip
    except OSError as error:
        raise WorkbenchError(
            f"What was trained could not be written to {out}: {error.strerror or error}.",
            "a folder with free space that you may write to",
            "Make room, then give the same command again: it goes on where it stopped.",
        ) from error
    progress(1.0, f"Trained in {out}")
    return out


def _check_context(stages: list[Stage], context: int, name: str) -> None:
    longest = max(len(row) for stage in stages for rows in stage.steps for row in rows)
    if context and longest > context:
        raise BadInput(
            f"The longest row has {longest:,} tokens, more than {name} reads at once.",
            f"at most {context:,}",
            "Lower `length`, or `tokens` of the neutral text.",
        )


def _places(schedule: Schedule, steps: list[int]) -> dict[tuple[str, int], int]:
    """(stage, its step) -> step counted through all stages. A step between two stages is kept once,
    as the end of the earlier one.
    """
    found: dict[tuple[str, int], int] = {}
    before = 0
    for number, stage in enumerate(schedule.stages):
        first = before if number == 0 else before + 1
        found |= {
            (stage.name, step - before): step
            for step in steps
            if first <= step <= before + stage.steps
        }
        before += stage.steps
    return found


def _write_step(folder: Path, weights: Path, small: list[Path]) -> None:
    """A model folder of its own, whole or not at all."""
    if folder.is_dir():
        return
    part = folder.with_name(f".{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for file in small:
        shutil.copy2(file, part / file.name)
    shutil.copy2(weights, part / "model.safetensors")
    part.replace(folder)


def _told(log: LabLog, steps: list[int]) -> dict[str, Any]:
    return {"steps": steps, "losses": {stage: list(losses) for stage, losses in log.losses.items()}}
