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
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hooks import sites
from hooks.features.activation_stream import values, windows
from hooks.features.load import from_folder, numbers_at
from hooks.features.quality import CONTEXT, held_out, own_loss, quality
from hooks.features.sae import SAE, SKIP
from hooks.features.sae_trainer import (
    STEPS_PER_ROUND,
    WINDOWS_PER_STEP,
    SAETrainConfig,
    center,
    fold,
    make_trainer,
    resume,
    save,
    take_steps,
)
from hooks.features.self_generated_text import self_generated_text
from workbench import checkpointing, default_corpus
from workbench.autoencoders import CARD, CONFIG, WEIGHTS
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.progress import Progress
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from sae_lens import SAE as SaeLensSAE
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from hooks.sites import Place

ABOUT = "sae.json"
_READ_AT_ONCE = 16  # windows of a forward pass
_MEASURED = 256  # held-out windows of the quality card
_EVERY = 25  # of the user's windows one is set aside
_SAMPLED = 0.06  # share of the text that is the model's own


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
    config, progress = SAETrainConfig(width, k, tokens, rate, seed), progress or Progress()
    out = Path(out).expanduser()
    about = {
        **asdict(config),
        "places": [place.name for place in places],
        "weight_hash": model.card.weight_hash,
        "texts": said_of_texts or "mixture",
    }
    folders = [out / _folder_name(place) for place in places]
    room = sum(config.width * numbers_at(model, place) for place in places) * 2 * 4 * 8
    if checkpointing.claim_folder(out, about, room, ABOUT):
        progress(1.0, f"{out} is finished already")
        return folders
    own: list[str] = []
    if texts is None:
        n_own = round(_SAMPLED * config.tokens)
        own = self_generated_text(model, n_own, config.seed, progress.subprogress(0.0, 0.12))
    if texts is not None:
        read: Iterable[str] = texts()
    else:
        read = (d.text for d in default_corpus.documents("train", own, config.seed))
    feed = _WindowQueue(windows(model, read, CONTEXT), set_aside=texts is not None)
    try:
        _train_and_write(model, places, folders, config, about, feed, own, progress)
    except (BadInput, NotFound):
        # Text that cannot be read, or ends too early: there is nothing to go on with.
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


def _train_and_write(
    model: InstrumentedModel,
    places: Sequence[Place],
    folders: Sequence[Path],
    config: SAETrainConfig,
    about: dict[str, Any],
    feed: _WindowQueue,
    own: Sequence[str],
    progress: Progress,
) -> None:
    """Train, measure and write: a folder for each place.

    Args:
        about: what is trained, as its folder keeps it.
        feed: what is read.
        own: texts of the model's own that are in it.
    """
    out = folders[0].parent
    begin = 0.12 if own else 0.0
    work = out / checkpointing.WORK
    trained = _train(model, places, config, feed, work, progress.subprogress(begin, 0.92))
    measured = feed.aside if feed.sets_aside else held_out(model, _MEASURED, CONTEXT, own)
    loss = own_loss(model, measured, progress.subprogress(0.92, 0.93))
    for number, (place, folder) in enumerate(zip(places, folders, strict=True)):
        begin, end = (0.93 + 0.07 * n / len(places) for n in (number, number + 1))
        _write(trained.saes[number], folder)
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
            "recipe": asdict(config),
            "context": CONTEXT,
            "skipped": SKIP,
            "made_with": _versions(),
            **quality(features, measured, progress.subprogress(begin, end), loss),
        }
        checkpointing.replace(folder / CARD, json.dumps(card, indent=1))
    checkpointing.finish(
        out,
        {"format": 1, "recipe": about, "digest": trained.digest, "made_with": _versions()},
        ABOUT,
    )


class _WindowQueue:
    """Windows to train on; of texts of the user's every so many is set aside, to measure on.

    Of the mixture whole documents are held out instead (`workbench.default_corpus`).
    """

    def __init__(self, windows: Iterator[list[int]], *, set_aside: bool) -> None:
        self._windows, self.sets_aside = windows, set_aside
        self.aside: list[list[int]] = []
        self._n = 0

    def __iter__(self) -> Iterator[list[int]]:
        return self

    def __next__(self) -> list[int]:
        while True:
            window = next(self._windows)
            self._n += 1
            if not self.sets_aside or self._n % _EVERY or len(self.aside) == _MEASURED:
                return window
            self.aside.append(window)


@dataclass
class _Trained:
    """What came out: the autoencoders, what they read, and how they ended."""

    saes: list[SaeLensSAE]
    tokens: int
    digest: str


def _train(
    model: InstrumentedModel,
    places: Sequence[Place],
    config: SAETrainConfig,
    feed: Iterator[list[int]],
    work: Path,
    progress: Progress,
) -> _Trained:
    rounds = config.steps // STEPS_PER_ROUND
    count = WINDOWS_PER_STEP * STEPS_PER_ROUND
    trainers = [make_trainer(model, place, config, number) for number, place in enumerate(places)]
    done = resume(trainers, work, config.steps)
    digest = hashlib.sha256()
    for number in range(rounds):
        ids = list(islice(feed, count))
        if len(ids) < count:
            raise BadInput(
                f"The text ends after {(number * count + len(ids)) * CONTEXT:,} tokens.",
                f"{rounds * count * CONTEXT:,} tokens, for {config.tokens:,} in whole rounds",
                (
                    "Give more text, or train on fewer (--tokens)."
                    if rounds > 1
                    else "Give more text."
                ),
            )
        digest.update(np.array(ids, "<i4").tobytes())
        if number * STEPS_PER_ROUND < done:
            continue
        part = progress.subprogress(number / rounds, (number + 1) / rounds)
        # Reading takes about as long as training; what is said is which.
        mixed = _mixed(model, places, ids, config.seed + number, part.subprogress(0.0, 0.5))
        for at, (trainer, place) in enumerate(zip(trainers, places, strict=True)):
            steps = part.subprogress(
                0.5 + 0.5 * at / len(places), 0.5 + 0.5 * (at + 1) / len(places)
            )
            if number == 0:
                center(trainer, mixed[place])
            take_steps(
                trainer,
                mixed[place].chunk(STEPS_PER_ROUND),
                steps,
                f"{place.name}, step",
                config.steps,
            )
        save(trainers, work)
    return _Trained(
        [fold(trainer) for trainer in trainers],
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


def _write(sae: SaeLensSAE, folder: Path) -> None:
    """The autoencoder in half precision."""
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


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {**checkpointing.versions(), "sae_lens": version("sae-lens")}


def _folder_name(place: Place) -> str:
    layer = place.layer
    return place.site.short if layer is None else f"{place.site.short}-{layer:02d}"


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
