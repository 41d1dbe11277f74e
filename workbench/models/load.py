"""Loading a causal language model from wherever it is: known name, Hugging Face id, folder, GGUF
file, or memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.environment import warn_of_kernels
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.models import (
    adapter_folder,
    adapters,
    causal,
    fits,
    from_folder,
    gguf,
    placement,
    reading,
    same_base,
    storage,
    weight_delta,
    weight_sizes,
)
from workbench.models.adapter_folder import MERGED, AdapterFolder
from workbench.models.card import ModelCard, describe
from workbench.models.from_folder import first_line
from workbench.models.known_models import DEFAULT
from workbench.models.named_changes import NamedChange, changed
from workbench.models.placement import Placement
from workbench.models.references import card_names, ensure
from workbench.progress import Progress
from workbench.torch_modes import make_ordinary, ordinary

if TYPE_CHECKING:
    import torch

_FETCHED = 0.6  # where fetching ends on the progress bar
_DTYPES = ("float32", "bfloat16", "float16")


class Loaded(NamedTuple):
    """A transformers module in eval mode, its tokenizer, and its card."""

    module: Any
    tokenizer: Any
    card: ModelCard


@ordinary
def load_weights(
    ref: Any = DEFAULT,
    device: str = "auto",
    dtype: str | torch.dtype | None = None,
    progress: Progress | None = None,
    max_memory: str | Mapping[Any, Any] | None = None,
    offload: str | Path | None = None,
    bits: int | None = None,
) -> Loaded:
    """Load a causal language model with its tokenizer.

    Args:
        ref: a known name ("smollm2-135m", "organism/planted"), a Hugging Face id ("owner/name"), a
            folder with safetensors, a `.gguf` file, a folder with an adapter (PEFT), or a pair
            (transformers module, tokenizer) that is already built. A `Path` is never taken for a
            name. `…@step-500` opens an organism, or a folder that keeps steps, as it was then;
            `…+FILE.safetensors` any of these with a change that was kept as a delta; `…+FOLDER`
            with an adapter attached, and `…+FOLDER@merged` with one added to the weights.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", or "balanced" (spread over
            all GPUs). A pair stays where it is unless a device is named.
        dtype: "float32", "bfloat16", "float16" or a torch dtype. None: float32 on a CPU, the
            checkpoint's own on a GPU.
        progress: where fetching and reading report, and how they are cancelled.
        max_memory: spread the layers over these places and no others, with at most so many bytes of
            weights in each: "cuda:0=10GB,cpu=30GB", or a mapping. They are filled in this order.
        offload: a folder for the weights that find no room. They are read from it whenever the
            model runs.
        bits: 8 or 4, to round the weights as they are read (bitsandbytes).

    The module is in eval mode and `requires_grad` is as transformers left it. Weights are never
    unpickled and code that comes with a model is never run.

    Raises:
        NotFound: no such name, id, file or folder (the nearest name is suggested), or an adapter
            whose model is not on this machine.
        BadInput: something is there, but it is not a causal language model with safetensors and a
            tokenizer; one that does not read from left to right, which one forward pass of seven
            tokens shows; or an adapter that does not fit.
        DownloadFailed: it had to be fetched and could not.
        WorkbenchError: there is not enough memory for it.
        Cancelled: from `progress`.
    """
    where = fits.limited(placement.parse(device, max_memory, offload, bits))
    kind = _dtype(dtype)
    if isinstance(ref, tuple | list):
        return _from_memory(ref, where, None if device == "auto" else where.place, kind)
    return _load(ref, where, kind, progress or Progress())


def _load(ref: Any, where: Placement, kind: torch.dtype | None, progress: Progress) -> Loaded:
    """What a reference names, with the changes that it names."""
    change = changed(ref)
    if change is None:
        return _from_files(ref, where, kind, progress)
    if not change.is_adapter:
        return _with_delta(change.path, _load(change.base, where, kind, progress))
    adapter = adapter_folder.read(change.path)
    if change.beside_base:
        loaded = _from_files(change.path, where, kind, progress)
    else:
        if change.stated:
            same_base.check(change.base, adapter)
        loaded = _load(change.base, where, kind, progress)
    return _with_adapter(change, adapter, loaded)


def _from_files(
    ref: str | Path, where: Placement, kind: torch.dtype | None, progress: Progress
) -> Loaded:
    """A model as its files have it: without the adapter that may lie beside it."""
    source = ensure(ref, progress.subprogress(0.0, _FETCHED))
    import torch

    wanted: Any = kind or (torch.float32 if where.on_processor else "auto")
    name, origin, quantized_from = card_names(ref, source)
    weights = weight_sizes.of_place(source)
    total = None
    if weights is not None:
        in_files = None if wanted == "auto" else wanted
        fits.check(name, weights, where, in_files)
        total = fits.needed(weights, in_files, where.bits)
    try:
        with reading.reported(progress.subprogress(_FETCHED, 0.95), total, name):
            module, tokenizer = (
                _from_gguf(source, wanted, where)
                if source.is_file()
                else from_folder.read(source, name, wanted, where.options(wanted))
            )
        # What is spread has been placed while it was read.
        if not hasattr(module, "hf_device_map") and str(module.device) != where.place:
            module.to(where.place)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise WorkbenchError(
            f"There is not enough memory for {name} on {where.place}.",
            "room for all its weights",
            "Use a smaller dtype (bfloat16), another device, 8 or 4 bits, or a folder for what"
            " finds no room (--offload FOLDER).",
        ) from error
    module.eval()
    storage.keep_four_bits(module)
    progress(0.95, f"Checking {name}")
    warn_of_kernels(module)
    causal.check(module)
    card = describe(module, tokenizer, name=name, source=origin, quantized_from=quantized_from)
    progress(1.0, f"{name} is ready")
    return Loaded(module, tokenizer, card)


def _with_delta(file: Path, loaded: Loaded) -> Loaded:
    """The model with a change that was kept of it."""
    storage.check_present(loaded.module, loaded.card.name, "a change of weights")
    change = weight_delta.read(file)
    weight_delta.check(change, loaded.card.weight_hash, loaded.card.name)
    change.apply(loaded.module)
    name = f"{loaded.card.name}+{file.stem}"
    source = f"{loaded.card.source}+{file.name}"
    card = describe(
        loaded.module,
        loaded.tokenizer,
        name=name,
        source=source,
        quantized_from=loaded.card.quantized_from,
    )
    return Loaded(loaded.module, loaded.tokenizer, replace(card, adapter=loaded.card.adapter))


def _with_adapter(change: NamedChange, adapter: AdapterFolder, loaded: Loaded) -> Loaded:
    """The model with an adapter attached to its weights, or merged into them."""
    base = loaded.card
    storage.check_present(loaded.module, base.name, "an adapter")
    if adapters.names(loaded.module):
        raise BadInput(
            f"{base.name} has an adapter already, and the workbench attaches one.",
            f"the first one merged: BASE+FIRST{MERGED}+SECOND",
            f"Write {MERGED} behind the first folder.",
        )
    module, about = adapter_folder.attach(loaded.module, adapter, base.name, change.merged)
    mark = ("" if change.beside_base else f"+{change.path.resolve().name}") + (
        MERGED if change.merged else ""
    )
    card = describe(
        module,
        loaded.tokenizer,
        name=base.name + mark,
        source=base.source + mark,
        quantized_from=base.quantized_from,
    )
    about = f"{base.adapter}; {about}" if base.adapter else about
    return Loaded(module, loaded.tokenizer, replace(card, adapter=about))


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    if dtype is None:
        return None
    import torch

    name = str(dtype).removeprefix("torch.")
    if name not in _DTYPES:
        raise BadInput(
            f"There is no dtype {name!r} to load a model in.",
            ", ".join(_DTYPES),
            "Leave it out to choose by itself.",
        )
    chosen: torch.dtype = getattr(torch, name)
    return chosen


def _from_memory(
    pair: Any, where: Placement, place: str | None, dtype: torch.dtype | None
) -> Loaded:
    import torch

    if (
        len(pair) != 2
        or not isinstance(pair[0], torch.nn.Module)
        or not hasattr(pair[0], "config")
        or not callable(pair[1])
    ):
        raise BadInput(
            "This pair is not a transformers module and its tokenizer.",
            "(module, tokenizer), in this order",
            "For example: wb.load((AutoModelForCausalLM.from_pretrained(…),"
            " AutoTokenizer.from_pretrained(…))).",
        )
    module: Any = getattr(
        pair[0], "_orig_mod", pair[0]
    )  # torch.compile(model) wraps the model itself
    tokenizer = pair[1]
    if module.get_output_embeddings() is None:
        raise BadInput(
            f"{type(module).__name__} has no output over a vocabulary.",
            "a causal language model",
            "Load it as …ForCausalLM.",
        )
    if where.spread or where.bits is not None:
        raise BadInput(
            "A module that is built already cannot be spread or rounded.",
            "a device for the whole of it",
            "Load it with device_map.",
        )
    adapters.check(module)
    if place is not None or dtype is not None:
        module.to(device=place, dtype=dtype)
    module.eval()
    storage.keep_four_bits(module)
    make_ordinary(module)
    warn_of_kernels(module)
    causal.check(module)
    # `name_or_path` may be a folder of this machine; only its last part goes on the card.
    given = Path(str(getattr(module.config, "name_or_path", "") or "")).name
    return Loaded(
        module,
        tokenizer,
        describe(module, tokenizer, name=given or type(module).__name__, source="in memory"),
    )


def _from_gguf(file: Path, dtype: Any, where: Placement) -> tuple[Any, Any]:
    import torch

    if where.limits is not None or where.bits is not None:
        raise BadInput(
            f"{file.name} is a GGUF file, which is read whole: it cannot be spread or rounded.",
            "a folder with safetensors",
            "Load it once and save it as a folder (save_pretrained), or leave out the limits.",
        )
    if not gguf.is_gguf(file):
        raise BadInput(
            f"{file} is not a GGUF file: it does not start as one.",
            "a complete .gguf file",
            "Download it again.",
        )
    try:
        return gguf.read(file, torch.float32 if dtype == "auto" else dtype)
    except (torch.OutOfMemoryError, MemoryError, Cancelled):
        raise
    except Exception as error:  # damaged files fail in whichever reader comes to the damage first
        raise BadInput(
            f"{file} could not be read: {first_line(error)}",
            "a complete GGUF of a causal language model that transformers supports",
            "Download it again, or use the safetensors of the same model.",
        ) from error
