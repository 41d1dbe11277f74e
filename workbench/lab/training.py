"""One loop for all stages of a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, NotFinite
from workbench.lab import low_rank
from workbench.lab.stages import KeptStep, LabLog, Rows, Stage, StepReport, check, fingerprint_of
from workbench.lab.stopping import WorkFolder, loss_log
from workbench.progress import Progress
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    import torch

KEPT = "kept"
_UNREAD = -100  # what the loss of transformers' models leaves out

OnStep = Callable[[StepReport], None]
Keep = Callable[[str, int], bool]


@ordinary
def run_stages(
    module: Any,
    stages: Sequence[Stage],
    *,
    seed: int = 0,
    keep: Keep | None = None,
    on_step: OnStep | None = None,
    work: Path | None = None,
    progress: Progress | None = None,
) -> LabLog:
    """Train a model stage by stage; the module itself is changed.

    Args:
        module: a causal language model of transformers. Afterwards it is in the mode (training or
            evaluation) it came in, no gradient is left, and every parameter asks for gradients or
            not as before.
        seed: of dropout and of the random half of low-rank updates; the rows have their order
            already.
        keep: asked with the name of a stage and a step (0: before its first update); where it says
            yes, the whole weights go to `work/kept/STAGE-step-N.safetensors`, in 16 bits. At small
            rates one update is less than 16 bits can tell: measure in `on_step` instead.
        on_step: called before the first update and after each, with the model in evaluation mode;
            what it draws at random changes nothing. After a stop it is called again for the steps
            since the last file, with the same weights.
        work: a folder, from which the same call goes on after a stop or a kill, bit for bit.
            It stays there when all is done.

    Raises:
        BadInput: a stage cannot be read, or `work` belongs to others.
        NotFinite: the loss or a gradient is no number: the model stands as after the last good
            step, which `work` keeps too.
        Cancelled: from `progress`.
    """
    import torch

    progress = progress or Progress()
    vocabulary = module.get_input_embeddings().weight.shape[0]
    check(stages, vocabulary)
    if keep is not None and work is None:
        raise BadInput(
            "Weights are to be kept, but there is no folder for them.", "`work`", "Name a folder."
        )
    parameters = dict(module.named_parameters())
    asked = {name: p.requires_grad for name, p in parameters.items()}
    was_training = module.training
    folder = WorkFolder(work, fingerprint_of(stages, seed, list(parameters)))
    runner = _Runner(module, folder, keep, on_step, seed)
    devices = [module.device] if module.device.type == "cuda" else []
    total, before = sum(len(stage.steps) for stage in stages), 0
    try:
        with torch.random.fork_rng(devices=devices):
            _all_trained(parameters)
            moments = torch.optim.AdamW(parameters.values())
            done = folder.stages_done(module, moments, len(stages))
            for number, stage in enumerate(stages):
                share = before / total, (before + len(stage.steps)) / total
                before += len(stage.steps)
                if number >= done:
                    torch.manual_seed(seed + number)
                    moments = runner.run(number, stage, moments, progress.subprogress(*share))
                    _all_trained(parameters)
                    folder.save_stage(module, moments, number + 1)
    finally:
        module.zero_grad(set_to_none=True)
        module.train(was_training)
        for name, parameter in parameters.items():
            parameter.requires_grad_(asked[name])
    return LabLog(loss_log(folder.losses), tuple(_kept_steps(stages, keep, work)))


class _Runner:
    """What all stages share."""

    def __init__(
        self, module: Any, folder: WorkFolder, keep: Keep | None, on_step: OnStep | None, seed: int
    ) -> None:
        self.module, self.folder = module, folder
        self.keep, self.on_step, self.seed = keep, on_step, seed

    def run(self, number: int, stage: Stage, moments: Any, progress: Progress) -> Any:
        """Train one stage, and give the optimizer whose moments the next one may keep."""
        import torch

        running = self.module
        if stage.rank:
            running = low_rank.attach(self.module, stage, self.seed + number)
        elif stage.trained is not None:
            for name, parameter in self.module.named_parameters():
                parameter.requires_grad_(bool(stage.trained(name)))
        parameters = [p for p in running.parameters() if p.requires_grad]
        if not parameters:
            raise BadInput(
                f"Stage {stage.name!r} trains no parameter.",
                "a `trained` that accepts some of their names",
                "Widen it.",
            )
        optimizer = torch.optim.AdamW(
            parameters, lr=stage.rate, betas=(0.9, 0.95), weight_decay=0.0
        )
        if stage.moments == "kept":
            for parameter in parameters:
                if parameter in moments.state:
                    optimizer.state[parameter] = moments.state[parameter]
        try:
            self._steps(number, stage, running, optimizer, progress)
        finally:
            if stage.rank:
                low_rank.merge(running)
        # What did not move in this stage keeps no moments: they would be of another time.
        after = torch.optim.AdamW(self.module.parameters())
        if not stage.rank:
            after.state.update(optimizer.state)
        return after

    def _steps(
        self, number: int, stage: Stage, running: Any, optimizer: Any, progress: Progress
    ) -> None:
        import torch

        total = len(stage.steps)
        start = self.folder.steps_done(running, optimizer, number, stage.name, total)
        losses = self.folder.losses[stage.name]
        if start == 0:
            self._report(stage, running, 0, None)
        running.train()
        for step in range(start, total):
            loss = None
            if stage.steps[step]:
                for group in optimizer.param_groups:
                    group["lr"] = stage.rate * min(1.0, (step + 1) / max(1, stage.warmup))
                froms = None if stage.loss_from is None else stage.loss_from[step]
                ids, mask, labels = padded(stage.steps[step], froms, running.device)
                out = running(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False)
                loss = out.loss.item()
                if math.isfinite(loss):
                    out.loss.backward()
                    norm = torch.nn.utils.clip_grad_norm_(
                        [p for p in running.parameters() if p.requires_grad], 1.0
                    )
                if not math.isfinite(loss) or not math.isfinite(norm.item()):
                    self.folder.save_now(running, optimizer, number, stage.name, step)
                    raise self._diverged(stage, step, loss)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            losses.append(loss)
            # First: whoever is killed between the two does the step again, and no weights that
            # were to be kept are missing.
            self._report(stage, running, step + 1, loss)
            self.folder.save_within(running, optimizer, number, stage.name, step + 1, total)
            says = "nothing to read" if loss is None else f"loss {loss:.2f}"
            progress((step + 1) / total, f"{stage.name}: step {step + 1:,} of {total:,}, {says}")

    def _report(self, stage: Stage, running: Any, step: int, loss: float | None) -> None:
        import torch
        from safetensors.torch import save_file

        if self.keep is not None and self.keep(stage.name, step):
            assert self.folder.folder is not None
            file = weights_file(self.folder.folder, stage.name, step)
            file.parent.mkdir(exist_ok=True)
            part = file.with_name(f".{file.name}.part")
            weights = low_rank.weights_of(running)
            save_file(
                {name: w.to("cpu", torch.float16).contiguous() for name, w in weights.items()},
                part,
                metadata={"format": "pt"},
            )
            part.replace(file)
        if self.on_step is None:
            return
        devices = [running.device] if running.device.type == "cuda" else []
        running.eval()
        with torch.random.fork_rng(devices=devices):
            self.on_step(StepReport(stage.name, step, running, loss))
        running.train()

    def _diverged(self, stage: Stage, step: int, loss: float) -> NotFinite:
        kept = "" if self.folder.folder is None else f" It is kept in {self.folder.folder}."
        return NotFinite(
            f"{'The loss' if not math.isfinite(loss) else 'A gradient'} is not a finite number at"
            f" step {step + 1} of stage {stage.name!r}; step {step} was the last good one.{kept}",
            "a training that stays finite",
            f"Lower its rate ({stage.rate:g}), or give it some steps of warm-up.",
        )


def padded(
    rows: Rows, froms: Sequence[int] | None, device: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(ids, mask, labels) of the rows of a step, padded on the right; what is padding is neither
    looked at nor learned, and of each row only what comes from `froms` on is learned.
    """
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)[:, None]
    at = torch.arange(longest, device=device)[None]
    mask = (at < lengths).long()
    labels = ids.masked_fill(mask == 0, _UNREAD)
    if froms is not None:
        labels = labels.masked_fill(at < torch.tensor(list(froms), device=device)[:, None], _UNREAD)
    return ids, mask, labels


def weights_file(work: Path, stage: str, step: int) -> Path:
    """Where the weights of a step lie that `keep` asked for."""
    return work / KEPT / f"{stage}-step-{step}.safetensors"


def _kept_steps(stages: Sequence[Stage], keep: Keep | None, work: Path | None) -> list[KeptStep]:
    if keep is None or work is None:
        return []
    return [
        KeptStep(stage.name, step, weights_file(work, stage.name, step))
        for stage in stages
        for step in range(len(stage.steps) + 1)
        if keep(stage.name, step)
    ]


def _all_trained(parameters: dict[str, Any]) -> None:
    for parameter in parameters.values():
        parameter.requires_grad_(True)
