"""Training sparse autoencoders on what passes in a model: `workbench sae train`.

The autoencoder and its training step are SAELens's (BatchTopK, Bussmann et al. 2024; saved as
JumpReLU); what it reads comes from our hooks. Text goes by in rounds: the model reads so many
windows once for all places, the vectors are mixed, and each autoencoder takes its steps on them.
After every round all is kept, so that the same command goes on after a stop and ends with the same
numbers.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hooks import sites
from hooks.features.activation_stream import values, windows
from hooks.features.load import from_folder, numbers_at, sae_lens
from hooks.features.quality import CONTEXT, held_out, own_loss, quality
from hooks.features.sae import SAE, SKIP
from hooks.features.self_generated_text import self_generated_text
from workbench import checkpointing, default_corpus
from workbench.autoencoders import CARD, CONFIG, WEIGHTS
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.progress import Progress
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from hooks.sites import Place

ABOUT = "sae.json"
_WINDOWS_A_STEP, _STEPS_A_ROUND = 8, 64
_READ_AT_ONCE = 16  # windows of a forward pass
_MEASURED = 256  # held-out windows of the quality card
_EVERY = 25  # of the user's windows one is set aside
_SAMPLED = 0.06  # share of the text that is the model's own


@dataclass(frozen=True)
class TrainConfig:
    """How autoencoders are trained; see `train_features`."""

    width: int
    k: int
    tokens: int
    rate: float
    seed: int

    @property
    def steps(self) -> int:
        """Steps each autoencoder takes: whole rounds."""
        per_round = _WINDOWS_A_STEP * _STEPS_A_ROUND * CONTEXT
        return max(1, -(-self.tokens // per_round)) * _STEPS_A_ROUND


@ordinary
def train_features(
    model: InstrumentedModel,
    layers: int | Sequence[int],
    out: str | Path,
    *,
    site: str = "resid_post",
    texts: Callable[[], Iterable[str]] | None = None,
    said_of_texts: str = "",
    width: int = 4096,
    k: int = 32,
    tokens: int = 1_048_576,
    rate: float = 3e-3,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Path]:
    """Train one autoencoder for each layer, all on the same text, into folders of `out` in
    SAELens's format.

    Args:
        texts: gives the texts to read; None is the mixture that comes with the workbench, with
            text of the model's own in it.
        said_of_texts: what they are, for the card.
        width: features of each.
        k: features that are active at a token, on average.
        tokens: to read in all; the last round is whole.
        rate: Adam's learning rate, after a warm-up of a fiftieth and before a fall to zero over the
            last fifth.
        seed: of the first weights, the order of the text and the mixing.

    Returns:
        The folders, each with the weights in half precision and a `card.json`
        (`hooks.features.quality`).

    Raises:
        SiteNotFound: the model has no such place.
        BadInput: `out` holds something else, or there is too little text (how much is needed is
            told).
        WorkbenchError: no room or no permission.
        Cancelled: from `progress`; the same call goes on later.
    """
    places = _places(model, site, [layers] if isinstance(layers, int) else layers)
    recipe, progress = TrainConfig(width, k, tokens, rate, seed), progress or Progress()
    out = Path(out).expanduser()
    about = {
        **asdict(recipe),
        "places": [place.name for place in places],
        "weight_hash": model.card.weight_hash,
        "texts": said_of_texts or "mixture",
    }
    folders = [
        out / f"{p.site.short}-{p.layer:02d}" if p.layer is not None else out / p.site.short
        for p in places
    ]
    room = sum(recipe.width * numbers_at(model, place) for place in places) * 2 * 4 * 8
    if checkpointing.claim(out, about, room, ABOUT):
        progress(1.0, f"{out} is finished already")
        return folders
    own = (
        self_generated_text(
            model, round(_SAMPLED * recipe.tokens), recipe.seed, progress.part(0.0, 0.12)
        )
        if texts is None
        else []
    )
    read = (
        texts()
        if texts is not None
        else (d.text for d in default_corpus.documents("train", own, recipe.seed))
    )
    try:
        feed = _Feed(windows(model, read, CONTEXT), aside=texts is not None)
        trained = _train(
            model,
            places,
            recipe,
            feed,
            out / checkpointing.WORK,
            progress.part(0.12 if own else 0.0, 0.92),
        )
        measured = feed.aside if texts is not None else held_out(model, _MEASURED, CONTEXT, own)
        alone = own_loss(model, measured, progress.part(0.92, 0.93))
        for number, (place, folder) in enumerate(zip(places, folders, strict=True)):
            part = progress.part(
                0.93 + 0.07 * number / len(places), 0.93 + 0.07 * (number + 1) / len(places)
            )
            _write(
                trained.saes[number],
                model,
                place,
                recipe,
                about,
                trained,
                measured,
                alone,
                folder,
                part,
            )
        checkpointing.finish(
            out,
            {"format": 1, "recipe": about, "digest": trained.digest, "made_with": _versions()},
            ABOUT,
        )
    except (
        BadInput,
        NotFound,
    ):  # text that cannot be read, or ends too early: there is nothing to go on with
        shutil.rmtree(out / checkpointing.WORK, ignore_errors=True)
        if not any(out.iterdir()):
            out.rmdir()
        raise
    except OSError as error:
        raise WorkbenchError(
            f"The autoencoders could not be written to {out}: {error.strerror or error}.",
            "a folder with free space that you may write to",
            "Make room, then give the same command again: it goes on where it stopped.",
        ) from error
    progress(1.0, f"{len(places)} trained")
    return folders


class _Feed:
    """Windows to train on; of texts of the user's every so many is set aside, to measure on.

    Of the mixture whole documents are held out instead (`workbench.default_corpus`).
    """

    def __init__(self, windows: Iterator[list[int]], *, aside: bool) -> None:
        self._windows, self._some = windows, aside
        self.aside: list[list[int]] = []
        self._n = 0

    def __iter__(self) -> Iterator[list[int]]:
        return self

    def __next__(self) -> list[int]:
        while True:
            window = next(self._windows)
            self._n += 1
            if not self._some or self._n % _EVERY or len(self.aside) == _MEASURED:
                return window
            self.aside.append(window)


@dataclass
class _Trained:
    """What came out: the autoencoders, what they read, and how they ended."""

    saes: list[Any]
    tokens: int
    digest: str


def _train(
    model: InstrumentedModel,
    places: Sequence[Place],
    recipe: TrainConfig,
    feed: Iterator[list[int]],
    work: Path,
    progress: Progress,
) -> _Trained:
    rounds = recipe.steps // _STEPS_A_ROUND
    count = _WINDOWS_A_STEP * _STEPS_A_ROUND
    trainers = [_trainer(model, place, recipe, number) for number, place in enumerate(places)]
    done = _resume(trainers, work, recipe.steps)
    digest = hashlib.sha256()
    for number in range(rounds):
        ids = list(islice(feed, count))
        if len(ids) < count:
            raise BadInput(
                f"The text ends after {(number * count + len(ids)) * CONTEXT:,} tokens.",
                f"{rounds * count * CONTEXT:,} tokens, for {recipe.tokens:,} in whole rounds",
                (
                    "Give more text, or train on fewer (--tokens)."
                    if rounds > 1
                    else "Give more text."
                ),
            )
        digest.update(np.array(ids, "<i4").tobytes())
        if number * _STEPS_A_ROUND < done:
            continue
        part = progress.part(number / rounds, (number + 1) / rounds)
        # Reading takes about as long as training; what is said is which.
        mixed = _mixed(model, places, ids, recipe.seed + number, part.part(0.0, 0.5))
        for at, (trainer, place) in enumerate(zip(trainers, places, strict=True)):
            steps = part.part(0.5 + 0.5 * at / len(places), 0.5 + 0.5 * (at + 1) / len(places))
            if number == 0:
                _centre(trainer, mixed[place])
            _steps(
                trainer,
                mixed[place].chunk(_STEPS_A_ROUND),
                steps,
                f"{place.name}, step",
                recipe.steps,
            )
        _keep(trainers, work)
    return _Trained(
        [_folded(trainer) for trainer in trainers],
        rounds * count * CONTEXT,
        digest.hexdigest()[:32],
    )


def _mixed(
    model: InstrumentedModel,
    places: Sequence[Place],
    ids: Sequence[Sequence[int]],
    seed: int,
    progress: Progress,
) -> dict[Place, Tensor]:
    """The vectors of all windows at each place, but for those of the first tokens, in one random
    order, (token, d).
    """
    found: dict[Place, list[Tensor]] = {place: [] for place in places}
    for start in range(0, len(ids), _READ_AT_ONCE):
        progress(
            start / len(ids),
            f"Reading {start * CONTEXT:,} of {len(ids) * CONTEXT:,} tokens of a round",
        )
        for place, x in values(model, places, ids[start : start + _READ_AT_ONCE]).items():
            found[place].append(x[:, SKIP:].flatten(2).flatten(0, 1).float())
    order = torch.randperm(
        len(ids) * (len(ids[0]) - SKIP), generator=torch.Generator().manual_seed(seed)
    )
    return {place: torch.cat(parts)[order.to(parts[0].device)] for place, parts in found.items()}


def _trainer(model: InstrumentedModel, place: Place, recipe: TrainConfig, number: int) -> Any:
    sae_lens()
    from sae_lens import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.saes.sae import SAEMetadata
    from sae_lens.training.sae_trainer import SAETrainer

    device, batch = str(model.device), _WINDOWS_A_STEP * (CONTEXT - SKIP)
    metadata = SAEMetadata(
        model_name=model.card.name,
        hook_name=place.name,
        context_size=CONTEXT,
        prepend_bos=False,
        dataset_path="workbench",
    )
    config = BatchTopKTrainingSAEConfig(
        d_in=numbers_at(model, place),
        d_sae=recipe.width,
        k=recipe.k,
        dtype="float32",
        device=device,
        normalize_activations="expected_average_only_in",
        topk_threshold_lr=max(
            0.01, 16 / recipe.steps
        ),  # so that the moving average arrives also in a short training
        metadata=metadata,
    )
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(recipe.seed + 1000 * number)
        sae = BatchTopKTrainingSAE(config)
    settings = SAETrainerConfig(
        total_training_samples=recipe.steps * batch,
        train_batch_size_samples=batch,
        lr=recipe.rate,
        lr_end=recipe.rate,
        lr_warm_up_steps=max(1, recipe.steps // 50),
        lr_decay_steps=max(1, recipe.steps // 5),
        device=device,
        dead_feature_window=max(1, recipe.steps // 8),
        feature_sampling_window=recipe.steps + 1,
        logger=LoggingConfig(log_to_wandb=False),
    )
    return SAETrainer(settings, sae, iter(()))


def _centre(trainer: Any, x: Tensor) -> None:
    """Start from the mean of the vectors, and scale them to a mean length of √d, as SAELens
    does.
    """
    scale = float(x.shape[-1] ** 0.5 / x.norm(dim=-1).mean())
    trainer.activation_scaler.scaling_factor = scale
    with torch.no_grad():
        trainer.sae.b_dec.copy_(scale * x.mean(0))


def _steps(
    trainer: Any, batches: Sequence[Tensor], progress: Progress, says: str, total: int
) -> None:
    for number, batch in enumerate(batches):
        out = trainer.step(batch)
        trainer.n_training_steps += 1
        unexplained = float(out.losses["mse_loss"].detach()) / float(
            (out.sae_in - out.sae_in.mean(0)).pow(2).sum(-1).mean()
        )
        progress(
            number / len(batches),
            f"{says} {trainer.n_training_steps:,} of {total:,}, {100 * (1 - unexplained):.0f} %"
            " explained",
        )


def _folded(trainer: Any) -> Any:
    """The finished autoencoder, of vectors as the model has them."""
    scale = trainer.activation_scaler.scaling_factor
    trainer.sae.fold_activation_norm_scaling_factor(scale)
    # Activations are counted by the length of the decoder's rows, which is now that much shorter:
    # so is the threshold, of which SAELens 6.54 does not think.
    trainer.sae.topk_threshold = trainer.sae.topk_threshold / scale
    return trainer.sae


# -- going on after a stop -------------------------------------------------------------------------

_NAME = "features"


def _keep(trainers: Sequence[Any], work: Path) -> None:
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
    together = torch.nn.ModuleList([trainer.sae for trainer in trainers])
    checkpointing.keep(
        together,
        SimpleNamespace(state=state),
        work,
        _NAME,
        trainers[0].n_training_steps,
        every=False,
        more=more,
    )


def _resume(trainers: Sequence[Any], work: Path, steps: int) -> int:
    """Put back what was kept; the steps that are done."""
    more: dict[str, Tensor] = {}
    state: dict[Any, Any] = {}
    together = torch.nn.ModuleList([trainer.sae for trainer in trainers])
    done = checkpointing.resume(together, SimpleNamespace(state=state), work, _NAME, steps, more)
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


# -- what is written -------------------------------------------------------------------------------


def _write(
    sae: Any,
    model: InstrumentedModel,
    place: Place,
    recipe: TrainConfig,
    about: dict[str, Any],
    trained: _Trained,
    measured: Sequence[Sequence[int]],
    alone: float,
    folder: Path,
    progress: Progress,
) -> None:
    """The autoencoder in half precision, and its card, measured on what was written."""
    from safetensors.torch import load_file, save_file

    shutil.rmtree(folder, ignore_errors=True)
    sae.save_inference_model(folder)
    file, config = folder / WEIGHTS, folder / CONFIG
    save_file({name: tensor.half().contiguous() for name, tensor in load_file(file).items()}, file)
    config.write_text(
        json.dumps(
            {**json.loads(config.read_text()), "dtype": "float16", "device": "cpu"}, indent=1
        )
    )
    features = SAE(
        model,
        place,
        from_folder(folder).to(str(model.device)),
        f"{folder.parent.name}/{folder.name}",
    )
    card = {
        "model": model.card.name,
        "weight_hash": model.card.weight_hash,
        "site": place.name,
        "tokens_read": trained.tokens,
        "texts": about["texts"],
        "digest": trained.digest,
        "recipe": asdict(recipe),
        "context": CONTEXT,
        "skipped": SKIP,
        "made_with": _versions(),
        **quality(features, measured, progress, alone),
    }
    checkpointing.replace(folder / CARD, json.dumps(card, indent=1))


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {**checkpointing.versions(), "sae_lens": version("sae-lens")}


def _places(model: InstrumentedModel, site: str, layers: Sequence[int]) -> list[Place]:
    found = [
        place
        for layer in layers
        for place in sites.resolve(model.layout, site, layer, model.card.name)
    ]
    for place in found:
        if not sites.can_change(model.layout, place) or any(
            d in place.site.dims for d in ("query", "key", "d_vocab")
        ):
            raise BadInput(
                f"{place.name} is no place for an autoencoder.",
                "a residual, MLP or z site",
                "Choose one, e.g. resid_post.",
            )
    return list(dict.fromkeys(found))
