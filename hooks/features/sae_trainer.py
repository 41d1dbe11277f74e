"""One autoencoder in training: SAELens's trainer, its steps, and how it is kept between two rounds
so that a stopped training goes on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.features.load import numbers_at, sae_lens
from hooks.features.quality import CONTEXT
from hooks.features.sae import SKIP
from workbench import checkpointing
from workbench.wording import percent

if TYPE_CHECKING:
    from sae_lens import SAE as SaeLensSAE
    from sae_lens.training.sae_trainer import SAETrainer as SaeLensTrainer

    from hooks.model import InstrumentedModel
    from hooks.sites import Place
    from workbench.progress import Progress

WINDOWS_PER_STEP, STEPS_PER_ROUND = 8, 64
_NAME = "features"  # of the files of a checkpoint


@dataclass(frozen=True)
class SAETrainConfig:
    """How autoencoders are trained; see `train_features`."""

    width: int
    k: int
    tokens: int
    rate: float
    seed: int

    @property
    def steps(self) -> int:
        """Steps each autoencoder takes: whole rounds."""
        per_round = WINDOWS_PER_STEP * STEPS_PER_ROUND * CONTEXT
        return max(1, -(-self.tokens // per_round)) * STEPS_PER_ROUND


def make_trainer(
    model: InstrumentedModel, place: Place, config: SAETrainConfig, number: int
) -> SaeLensTrainer:
    """SAELens's trainer for one place; `number` makes its first weights its own."""
    sae_lens()
    from sae_lens import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.saes.sae import SAEMetadata
    from sae_lens.training.sae_trainer import SAETrainer

    device, batch = str(model.device), WINDOWS_PER_STEP * (CONTEXT - SKIP)
    metadata = SAEMetadata(
        model_name=model.card.name,
        hook_name=place.name,
        context_size=CONTEXT,
        prepend_bos=False,
        dataset_path="workbench",
    )
    sae_config = BatchTopKTrainingSAEConfig(
        d_in=numbers_at(model, place),
        d_sae=config.width,
        k=config.k,
        dtype="float32",
        device=device,
        normalize_activations="expected_average_only_in",
        topk_threshold_lr=max(
            0.01, 16 / config.steps
        ),  # so that the moving average arrives also in a short training
        metadata=metadata,
    )
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(config.seed + 1000 * number)
        sae = BatchTopKTrainingSAE(sae_config)
    settings = SAETrainerConfig(
        total_training_samples=config.steps * batch,
        train_batch_size_samples=batch,
        lr=config.rate,
        lr_end=config.rate,
        lr_warm_up_steps=max(1, config.steps // 50),
        lr_decay_steps=max(1, config.steps // 5),
        device=device,
        dead_feature_window=max(1, config.steps // 8),
        feature_sampling_window=config.steps + 1,
        logger=LoggingConfig(log_to_wandb=False),
    )
    return SAETrainer(settings, sae, iter(()))


def center(trainer: SaeLensTrainer, x: Float[Tensor, "token d_in"]) -> None:
    """Start from the mean of the vectors, and scale them to a mean length of √d, as SAELens
    does.
    """
    scale = float(x.shape[-1] ** 0.5 / x.norm(dim=-1).mean())
    trainer.activation_scaler.scaling_factor = scale
    with torch.no_grad():
        trainer.sae.b_dec.copy_(scale * x.mean(0))


def take_steps(
    trainer: SaeLensTrainer, batches: Sequence[Tensor], progress: Progress, label: str, total: int
) -> None:
    for number, batch in enumerate(batches):
        out = trainer.step(batch)
        trainer.n_training_steps += 1
        unexplained = float(out.losses["mse_loss"].detach()) / float(
            (out.sae_in - out.sae_in.mean(0)).pow(2).sum(-1).mean()
        )
        progress(
            number / len(batches),
            f"{label} {trainer.n_training_steps:,} of {total:,}, {percent(1 - unexplained)}"
            " explained",
        )


def fold(trainer: SaeLensTrainer) -> SaeLensSAE:
    """The finished autoencoder, of vectors as the model has them."""
    scale = trainer.activation_scaler.scaling_factor
    trainer.sae.fold_activation_norm_scaling_factor(scale)
    # Activations are counted by the length of the decoder's rows, which is now that much shorter:
    # so is the threshold, of which SAELens 6.54 does not think.
    trainer.sae.topk_threshold = trainer.sae.topk_threshold / scale
    return trainer.sae


def save(trainers: Sequence[SaeLensTrainer], work: Path) -> None:
    """All of them as they are after a round, in one: a stop never leaves one ahead of another."""
    more: dict[str, Tensor] = {}
    for number, trainer in enumerate(trainers):
        schedule = json.dumps(trainer.lr_scheduler.state_dict()).encode()
        more |= {
            f"{number}.threshold": trainer.sae.topk_threshold,
            f"{number}.silent": trainer.n_forward_passes_since_fired,
            f"{number}.scale": torch.tensor(
                trainer.activation_scaler.scaling_factor, dtype=torch.float64
            ),
            f"{number}.schedule": torch.frombuffer(bytearray(schedule), dtype=torch.uint8),
        }
    state = {
        parameter: value
        for trainer in trainers
        for parameter, value in trainer.optimizer.state.items()
    }
    all_saes = torch.nn.ModuleList([trainer.sae for trainer in trainers])
    checkpointing.save_step(
        all_saes,
        SimpleNamespace(state=state),
        work,
        _NAME,
        trainers[0].n_training_steps,
        every=False,
        more=more,
    )


def resume(trainers: Sequence[SaeLensTrainer], work: Path, steps: int) -> int:
    """Put back what was kept; the steps that are done."""
    more: dict[str, Tensor] = {}
    state: dict[Any, Any] = {}
    all_saes = torch.nn.ModuleList([trainer.sae for trainer in trainers])
    done = checkpointing.resume(all_saes, SimpleNamespace(state=state), work, _NAME, steps, more)
    for number, trainer in enumerate(trainers if done else []):
        for parameter in trainer.sae.parameters():
            trainer.optimizer.state[parameter] = state[parameter]
        trainer.sae.topk_threshold = more[f"{number}.threshold"]
        trainer.n_forward_passes_since_fired = more[f"{number}.silent"]
        trainer.activation_scaler.scaling_factor = float(more[f"{number}.scale"])
        trainer.lr_scheduler.load_state_dict(json.loads(bytes(more[f"{number}.schedule"].tolist())))
        for group, rate in zip(
            trainer.optimizer.param_groups, trainer.lr_scheduler.get_last_lr(), strict=True
        ):
            group["lr"] = rate
        trainer.n_training_steps = done
        trainer.n_training_samples = done * trainer.cfg.train_batch_size_samples
    return done
