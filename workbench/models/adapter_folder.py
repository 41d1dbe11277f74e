"""Folders that hold an adapter (PEFT) without the model it changes, and putting one on.

    wb.load("FOLDER")                       on the base that its settings name
    wb.load("organism/planted+FOLDER")      on a base that is named
    wb.load("organism/planted+FOLDER@merged")   added to the weights; nothing stands around them

PEFT does the work. What is here decides what may be opened, and says why not in a sentence.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput
from workbench.models import adapters, storage
from workbench.models.from_folder import first_line
from workbench.silence_libraries import silenced

if TYPE_CHECKING:
    from torch import Tensor

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MERGED = "@merged"
"""Stands behind a folder's name where the adapter is to be added to the weights."""
_LONGEST = 1_000_000  # bytes of settings
_KINDS = frozenset({"LORA", "ADALORA", "LOHA", "LOKR", "IA3", "OFT", "BOFT", "VERA", "HRA"})
_PROBE = 8  # tokens that are read with the adapter attached and merged
_MERGE_ERROR = {2: 0.05, 4: 1e-3, 8: 1e-6}  # of the largest logit, by bytes of a number


@dataclass(frozen=True)
class AdapterFolder:
    """An adapter on disk.

    Attributes:
        folder: where it lies.
        kind: in small letters, e.g. "lora".
        rank: of its matrices; None where its kind has none.
        base: what its settings call the model it was made for; "" where they do not.
    """

    folder: Path
    kind: str
    rank: int | None
    base: str

    @property
    def words(self) -> str:
        """For lists: "lora, rank 4"."""
        return f"{self.kind}, rank {self.rank}" if self.rank is not None else self.kind


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, with or without a base beside it."""
    return (folder / SETTINGS).is_file()


def has_base(folder: Path) -> bool:
    """Whether the model that an adapter changes lies in the same folder."""
    return (folder / "config.json").is_file()


def read(folder: Path) -> AdapterFolder:
    """What the settings of an adapter say; nothing of its weights is read.

    Raises:
        BadInput: damaged, a pickle, or of a kind that cannot be opened.
    """
    settings = _settings(folder)
    kind = str(settings.get("peft_type") or "").upper()
    _check_settings(folder, kind, settings)
    if not (folder / WEIGHTS).is_file():
        raise BadInput(
            f"{folder} has an adapter without weights as safetensors.",
            f"{WEIGHTS} beside {SETTINGS}",
            f"Save it again where you trust it (save_pretrained), or take {SETTINGS} out of the"
            " folder.",
        )
    rank = settings.get("r")
    return AdapterFolder(
        folder,
        kind.lower(),
        rank if isinstance(rank, int) else None,
        str(settings.get("base_model_name_or_path") or "")[:_LONGEST],
    )


def attach(module: Any, adapter: AdapterFolder, name: str, merged: bool) -> tuple[Any, str]:
    """Put an adapter on a causal language model, in place.

    Args:
        name: what the model is called in errors.
        merged: add it to the weights.

    Returns:
        The model, of the class it had, in eval mode; and what the card says of the adapter.

    Raises:
        BadInput: it does not fit, or cannot be merged.
    """
    if merged and storage.is_quantized(module):
        raise BadInput(
            f"An adapter cannot be merged into {name}, which is quantized: the sum would be"
            " rounded once more.",
            "weights in floating point",
            f"Leave out {MERGED}, or load the model without quantization.",
        )
    peft = _attached(module, adapter, name)
    about = adapters.describe(peft)
    base = peft.get_base_model()
    if merged:
        before = _logits(base)
        base = _merge(peft, adapter)
        _check_same(before, _logits(base), adapter, name, base.dtype.itemsize)
        about = f"{about}, merged into the weights"
    for parameter in base.parameters():  # PEFT has frozen them
        parameter.requires_grad_(parameter.is_floating_point())
    return base.eval(), about


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / SETTINGS
    try:
        if file.stat().st_size > _LONGEST:
            raise ValueError(f"it is longer than {_LONGEST} bytes")
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is no table")
    except (OSError, ValueError) as error:
        raise BadInput(
            f"The {SETTINGS} of {folder} cannot be read: {first_line(error)}.",
            "the settings that PEFT saves with an adapter",
            "Get a fresh copy of the folder.",
        ) from error
    return found


def _check_settings(folder: Path, kind: str, settings: dict[str, Any]) -> None:
    shown = kind.lower().replace("_", " ") or "no kind at all"
    why = ""
    if kind not in _KINDS:
        why = f"it is of the kind {shown}"
    elif settings.get("alora_invocation_tokens") is not None:
        why = "it changes the weights at some tokens and not at others"
    elif settings.get("megatron_config") is not None:
        why = "it names a library of its own to import"
    elif settings.get("layer_replication") is not None:
        why = "it repeats layers of its base"
    elif (task := settings.get("task_type")) not in (None, "CAUSAL_LM"):
        why = f"it was made for {str(task)[:40]}, not for continuing text"
    if why:
        raise BadInput(
            f"The adapter in {folder} cannot be opened: {why}.",
            f"an adapter that changes weights ({', '.join(sorted(_KINDS)).lower()})",
            "Open the base model, or merge the adapter where it was made and open the folder of"
            " that.",
        )


def _attached(module: Any, adapter: AdapterFolder, name: str) -> Any:
    import torch
    from peft import PeftConfig, PeftModelForCausalLM, get_peft_model_state_dict
    from safetensors import safe_open

    wrong = f"The adapter in {adapter.folder} does not fit {name}: "
    base = f"the model it was made for ({adapter.base or 'its settings do not name it'})"
    try:
        with silenced(), warnings.catch_warnings(), torch.random.fork_rng():
            warnings.simplefilter("ignore")
            settings = PeftConfig.from_pretrained(str(adapter.folder))
            settings.inference_mode = True
            peft = PeftModelForCausalLM(module, settings)
            loaded = peft.load_adapter(
                str(adapter.folder), "default", torch_device=str(module.device)
            )
            wanted = set(get_peft_model_state_dict(peft, save_embedding_layers=False))
        with safe_open(adapter.folder / WEIGHTS, "pt") as file:
            names = set(file.keys())
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # every kind of adapter refuses in words of its own
        raise BadInput(
            wrong + first_line(error).rstrip(".") + ".", base, "Name its base: BASE+FOLDER."
        ) from error
    missing, left = sorted(wanted - names), sorted(map(str, loaded.unexpected_keys))
    if missing or left:
        what = (
            f"{len(left)} of its tensors have no place there, first {left[0]}"
            if left
            else f"{len(missing)} tensors are missing, first {missing[0]}"
        )
        raise BadInput(f"{wrong}{what}.", base, "Name its base: BASE+FOLDER.")
    return peft


def _merge(peft: Any, adapter: AdapterFolder) -> Any:
    try:
        with silenced(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return peft.merge_and_unload(safe_merge=True)
    except Exception as error:
        raise BadInput(
            f"The adapter in {adapter.folder} cannot be merged: {first_line(error).rstrip('.')}.",
            "an adapter that is a change of the weights",
            f"Leave out {MERGED}: it is attached then.",
        ) from error


def _check_same(
    before: Tensor, after: Tensor, adapter: AdapterFolder, name: str, number: int
) -> None:
    """What is merged has to say what it said attached: an adapter on one of two tied matrices,
    for example, would change both.

    Args:
        number: bytes of one.

    Raises:
        BadInput: it does not.
    """
    error = float((after - before).abs().max() / before.abs().max().clamp_min(1e-30))
    if not error <= _MERGE_ERROR[number]:
        raise BadInput(
            f"The adapter in {adapter.folder} cannot be merged into {name}: merged, the model says"
            f" something else (logits differ by {error:.2g} of the largest).",
            "the same logits as attached",
            f"Leave out {MERGED}: it is attached then.",
        )


def _logits(module: Any) -> Tensor:
    import torch

    words = module.get_input_embeddings().weight
    ids = torch.arange(_PROBE, device=words.device)[None] % len(words)
    module.eval()
    with torch.no_grad():
        found: Tensor = module(input_ids=ids, use_cache=False).logits
    return found.float()
