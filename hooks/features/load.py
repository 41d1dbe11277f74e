"""Autoencoders by name: those that ship, a folder, a release that SAELens knows, or an id of
Neuronpedia.
"""

from __future__ import annotations

import difflib
import importlib
import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hooks import sites
from hooks.features.quality import explained, held_out
from hooks.features.sae import SAE
from hooks.without_interventions import undisturbed
from workbench.autoencoders import CONFIG, WEIGHTS, card_of, shipped
from workbench.errors import BadInput, DownloadFailed, NotFound
from workbench.torch_modes import ordinary
from workbench.wording import percent

if TYPE_CHECKING:
    from types import ModuleType

    from sae_lens import SAE as SaeLensSAE

    from hooks.model import InstrumentedModel

LEAST = 0.5
"""Explained variance below which an autoencoder is refused: it was made for something else."""
_WINDOWS = 24  # of text on which that is measured


@ordinary
def open_features(
    ref: str | Path, model: InstrumentedModel, *, site: str | None = None, force: bool = False
) -> SAE:
    """Open an autoencoder and check that it belongs to this model.

    Args:
        ref: the name of one that ships (`workbench sae`), a folder in SAELens's format (or one that
            holds a single such folder), `RELEASE/ID` of SAELens's list, e.g.
            `gpt2-small-res-jb/blocks.8.hook_resid_pre`, an id of Neuronpedia, e.g.
            `gpt2-small/8-res-jb`, or `OWNER/REPOSITORY/FOLDER` on the Hugging Face Hub.
        site: the full name of the site it belongs to, where it does not say; another one than it
            says is used with a check.
        force: take it even if it explains next to nothing of this model.

    Raises:
        NotFound: there is no such autoencoder, or the model has no such site.
        BadInput: missing or damaged weights, another width, or too little explained (how much is
            told).
        DownloadFailed: it is elsewhere and cannot be fetched.
    """
    sae, name, card = _opened(str(ref))
    place = _place(sae, model, name, site)
    expected = numbers_at(model, place)
    if sae.cfg.d_in != expected:
        made_for = sae.cfg.metadata.model_name
        raise BadInput(
            f"{name} takes vectors of {sae.cfg.d_in} numbers; {place.name} of {model.card.name} has"
            f" {expected}.",
            f"an autoencoder of {model.card.name}",
            f"It says it was made for {made_for}." if made_for else "Choose another.",
        )
    sae.to(str(model.device))
    sae.turn_off_forward_pass_hook_z_reshaping()  # `Features` lays heads side by side
    features = SAE(model, place, sae, name, card)
    if card.get("weight_hash") == model.card.weight_hash and card.get("site") == place.name:
        return features
    with undisturbed(model.module):  # it is kept with the autoencoder
        measured = explained(
            features, held_out(model, _WINDOWS, min(128, model.card.context_length or 128))
        )
    share = measured["explained_variance"]
    if not (share >= LEAST or force):
        made_for = sae.cfg.metadata.model_name
        raise BadInput(
            f"{name} explains {percent(share)} of the variance at {place.name} of"
            f" {model.card.name}.",
            f"at least {percent(LEAST)}, as of an autoencoder made for this place of this model",
            f"It says it was made for {made_for}, {sae.cfg.metadata.hook_name}. Choose another, or"
            " take it all the same (force=True).",
        )
    return replace(features, card={**card, **measured})


def _opened(ref: str) -> tuple[SaeLensSAE, str, dict[str, Any]]:
    """SAELens's object, a name for it, and the card that lies beside it ({} where none does)."""
    folder = Path(ref).expanduser()
    if folder.is_dir():
        folder = _only(folder)
        return from_folder(folder), ref, card_of(folder)
    if ref in shipped():
        folder = shipped()[ref].folder
        return from_folder(folder), ref, card_of(folder)
    release, sae_id = _released(ref)
    return _from_release(release, sae_id), ref, {}


def _only(folder: Path) -> Path:
    """The folder itself, or the single autoencoder in it."""
    if (folder / CONFIG).is_file():
        return folder
    inside = sorted(file.parent for file in folder.glob(f"*/{CONFIG}"))
    if len(inside) == 1:
        return inside[0]
    names = ", ".join(f.name for f in inside)
    raise BadInput(
        (
            f"{folder} holds several autoencoders: {names}."
            if inside
            else f"{folder} holds no {CONFIG}."
        ),
        f"a folder with {CONFIG} and {WEIGHTS}, as SAELens saves one",
        f"Name one, e.g. {inside[0]}." if inside else "Check the path.",
    )


def from_folder(folder: Path) -> SaeLensSAE:
    """SAELens's object of a folder, unchecked against the model.

    Raises:
        BadInput: weights that are missing, damaged or not finite.
    """
    from safetensors import SafetensorError

    if not (folder / WEIGHTS).is_file():
        raise BadInput(
            f"{folder} has no {WEIGHTS}.",
            f"{CONFIG} and {WEIGHTS}, as SAELens saves them",
            "Copy it whole.",
        )
    library = sae_lens()
    try:
        sae = library.SAE.load_from_disk(folder, device="cpu", dtype="float32")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise BadInput(
            f"The autoencoder in {folder} cannot be read:"
            f" {' '.join(f'{type(error).__name__} {error}'.split())[:300]}",
            f"a whole {CONFIG} and {WEIGHTS} in SAELens's format",
            "Copy or train it again.",
        ) from error
    bad = next((n for n, p in sae.state_dict().items() if not bool(torch.isfinite(p).all())), None)
    if bad is not None:
        raise BadInput(
            f"{bad} of the autoencoder in {folder} holds numbers that are not finite.",
            "finite weights",
            "Copy it again.",
        )
    return sae.eval()


def _from_release(release: str, sae_id: str) -> SaeLensSAE:
    import requests
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    library = sae_lens()
    try:
        return library.SAE.from_pretrained(release, sae_id, device="cpu", dtype="float32").eval()
    except (LocalEntryNotFoundError, HfHubHTTPError, requests.RequestException, OSError) as error:
        raise DownloadFailed(
            f"{release}/{sae_id} could not be fetched: {str(error).splitlines()[0]}",
            "the Hugging Face Hub, or a copy in its cache",
            "Check the connection, or give a folder.",
        ) from error
    except (ValueError, KeyError) as error:
        raise NotFound(
            f"{release} has no autoencoder {sae_id!r}: {error}",
            "an id of that release",
            "Check the id.",
        ) from error


def _released(ref: str) -> tuple[str, str]:
    """(release, id) of what SAELens knows, of a Neuronpedia id, or of a repository on the Hub."""
    sae_lens()
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    releases = get_pretrained_saes_directory()
    release, _, sae_id = ref.partition("/")
    if release in releases and sae_id:
        if sae_id not in releases[release].saes_map:
            raise NotFound.named(
                "autoencoder", sae_id, releases[release].saes_map, f"Choose one of {release}."
            )
        return release, sae_id
    by_neuronpedia = {
        neuronpedia: (name, own)
        for name, found in releases.items()
        for own, neuronpedia in found.neuronpedia_id.items()
        if neuronpedia
    }
    if ref in by_neuronpedia:
        return by_neuronpedia[ref]
    if ref.count("/") >= 2:
        owner, repository, folder = ref.split("/", 2)
        return f"{owner}/{repository}", folder
    near = difflib.get_close_matches(ref, [*shipped(), *by_neuronpedia, *releases], n=1)
    raise NotFound(
        f"There is no autoencoder {ref!r}.",
        f"one that ships ({', '.join(shipped()) or 'none here'}), a folder, RELEASE/ID of SAELens,"
        " or an id of Neuronpedia",
        f"Did you mean {near[0]!r}?" if near else "`workbench sae` lists those that ship.",
    )


def _place(sae: SaeLensSAE, model: InstrumentedModel, name: str, site: str | None) -> sites.Place:
    architecture = sae.cfg.architecture()
    if "transcoder" in architecture or architecture == "temporal":
        raise BadInput(
            f"{name} is a {architecture}: it does not take apart the vectors of one token at one"
            " site.",
            "a sparse autoencoder of one site",
            "Choose another.",
        )
    hook = site or sae.cfg.metadata.hook_name
    if not hook:
        raise BadInput(
            f"{name} does not say which site it belongs to.",
            "a site such as blocks.5.hook_resid_post",
            "Name it (site=…).",
        )
    (place,) = sites.resolve(model.layout, str(hook), None, model.card.name)[:1]
    if not sites.can_change(model.layout, place):
        raise BadInput(
            f"{place.name} can be looked at but not changed.",
            "a residual, MLP or z site",
            "Choose another.",
        )
    return place


def numbers_at(model: InstrumentedModel, place: sites.Place) -> int:
    """How many numbers there are of a token at the place."""
    return math.prod(model.layout.sizes[dim] for dim in place.site.dims[1:])


def sae_lens() -> ModuleType:
    """SAELens, imported late since that takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that it imports
        return importlib.import_module("sae_lens")
