"""Loading a causal language model from wherever it is: known name, Hugging Face id, folder, GGUF
file, or memory.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench import organisms
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.models import adapters, causal, fetch, gguf, hub, storage, weight_delta
from workbench.models.card import ModelCard, describe
from workbench.models.known_models import DEFAULT, Known, known
from workbench.organisms import checkpoints
from workbench.progress import Progress
from workbench.silence_libraries import quiet
from workbench.torch_modes import make_ordinary, ordinary

if TYPE_CHECKING:
    import torch

_AT_STEP = re.compile(r"@step-(\d{1,9})$")
_DTYPES = ("float32", "bfloat16", "float16")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)


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
) -> Loaded:
    """Load a causal language model with its tokenizer.

    Args:
        ref: a known name ("smollm2-135m", "organism/planted"), a Hugging Face id ("owner/name"), a
            folder with safetensors, a `.gguf` file, or a pair (transformers module, tokenizer) that
            is already built. A `Path` is never taken for a name. `…@step-500` opens an organism, or
            a folder that keeps steps, as it was then; `…+FILE.safetensors` any of these with a
            change that was kept as a delta.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", or "balanced" (spread over
            all GPUs). A pair stays where it is unless a device is named.
        dtype: "float32", "bfloat16", "float16" or a torch dtype. None: float32 on a CPU, the
            checkpoint's own on a GPU.
        progress: where a download reports, and how it is cancelled.

    The module is in eval mode and `requires_grad` is as transformers left it. Weights are never
    unpickled and code that comes with a model is never run.

    Raises:
        NotFound: no such name, id, file or folder (the nearest name is suggested).
        BadInput: something is there, but it is not a causal language model with safetensors and a
            tokenizer; or one that does not read from left to right, which one forward pass of seven
            tokens shows.
        DownloadFailed: it had to be fetched and could not.
        WorkbenchError: there is not enough memory for it.
    """
    place, kind = _device(device), _dtype(dtype)
    if isinstance(ref, tuple | list):
        return _from_memory(ref, None if device == "auto" else place, kind)
    changed = weight_delta.named_in(str(ref)) if isinstance(ref, str) else None
    if changed is not None:
        return _with_delta(changed[1], load_weights(changed[0], device, dtype, progress))
    source = ensure(ref, progress)
    import torch

    wanted: Any = kind or (torch.float32 if place == "cpu" else "auto")
    name, origin, quantized_from = _called(ref, source)
    try:
        module, tokenizer = (
            _from_gguf(source, wanted)
            if source.is_file()
            else _from_folder(source, name, wanted, place)
        )
        # `balanced` has placed the layers itself while loading.
        if (
            place != "balanced"
            and str(module.device) != place
            and not hasattr(module, "hf_device_map")
        ):
            module.to(place)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise WorkbenchError(
            f"There is not enough memory for {name} on {place}.",
            "room for all its weights",
            'Use a smaller dtype (bfloat16), another device, or device="balanced" to spread it over'
            " several GPUs.",
        ) from error
    module.eval()
    storage.settle(module)
    causal.check(module)
    return Loaded(
        module,
        tokenizer,
        describe(module, tokenizer, name=name, source=origin, quantized_from=quantized_from),
    )


def _with_delta(file: Path, loaded: Loaded) -> Loaded:
    """The model with a change that was kept of it."""
    change = weight_delta.read(file)
    weight_delta.check(change, loaded.card.weight_hash, loaded.card.name)
    change.apply(loaded.module)
    name = f"{loaded.card.name}+{file.stem}"
    source = f"{loaded.card.source}+{file.name}"
    return Loaded(
        loaded.module,
        loaded.tokenizer,
        describe(
            loaded.module,
            loaded.tokenizer,
            name=name,
            source=source,
            quantized_from=loaded.card.quantized_from,
        ),
    )


def ensure(ref: Any, progress: Progress | None = None) -> Path:
    """Where the weights of `ref` lie on this machine, fetched first if they have to be.

    A folder, or a `.gguf` file.

    Raises:
        NotFound, BadInput, DownloadFailed: as `load_weights`.
    """
    changed = weight_delta.named_in(ref) if isinstance(ref, str) else None
    if changed is not None:
        return ensure(changed[0], progress)
    place = locate(ref)
    if isinstance(place, Known):
        return fetch.cached_folder(place, progress)
    if isinstance(place, str):
        return hub.fetch(place, progress or Progress())
    step = _step(ref)
    return place if step is None else checkpoints.opened(place, step)


def locate(ref: Any) -> Known | str | Path:
    """What `ref` means, without fetching or reading it: a known model, a Hugging Face id, or a
    folder or file that is there.

    Raises:
        NotFound: it can be none of these (the nearest name is suggested).
        BadInput: it is not a name or a path at all, or a file that holds no model.
    """
    if not isinstance(ref, str | Path):
        raise BadInput(
            f"A model cannot be loaded from a {type(ref).__name__}.",
            "a name, a Hugging Face id, a folder, a .gguf file, or a pair (module, tokenizer)",
            "For a module that is built already: wb.load((module, tokenizer)).",
        )
    if isinstance(ref, str) and ref in known():
        return known()[ref]
    changed = weight_delta.named_in(ref) if isinstance(ref, str) else None
    if changed is not None:
        return locate(changed[0])
    if isinstance(ref, str) and ref.startswith(organisms.PREFIX):
        return organisms.folder_of(ref.partition("@")[0])
    step = _step(ref)
    if step is not None:
        folder = Path(str(ref)[: str(ref).rindex("@")]).expanduser()
        if folder.is_dir():
            return folder
    if ref == "":
        raise NotFound(
            "No model is named.",
            "a name, a Hugging Face id, a folder or a .gguf file",
            "`workbench models` lists names.",
        )
    path = Path(ref).expanduser()
    if path.is_file():
        if path.suffix.lower() == ".gguf" or gguf.is_gguf(path):
            return path
        raise BadInput(
            f"{path} is not a model.",
            "a folder with safetensors, or a .gguf file",
            "Give the folder the file lies in.",
        )
    if path.is_dir():
        return path
    if isinstance(ref, str) and _looks_like_hub_id(ref):
        return ref
    if isinstance(ref, Path) or "/" in ref or "\\" in ref or ref.endswith(".gguf"):
        raise NotFound(
            f"There is no file or folder {str(ref)!r}.",
            "a folder with a model, or a .gguf file",
            "Check the path.",
        )
    in_cache = hub.cached(ref)  # a few old Hub models have a name without an owner
    if in_cache is not None:
        return ref
    raise NotFound.named(
        "model",
        ref,
        known(),
        do=(
            "`workbench models` lists what is known; a Hugging Face id is owner/name, a folder has"
            " a path."
        ),
    )


def _step(ref: str | Path) -> int | None:
    """500 for "…@step-500", None for what names no step.

    A folder that is really called so is meant as it stands.
    """
    found = _AT_STEP.search(str(ref))
    return int(found[1]) if found and not Path(ref).expanduser().exists() else None


def _looks_like_hub_id(ref: str) -> bool:
    parts = ref.split("/")
    return (
        len(parts) == 2
        and all(parts)
        and not ref.startswith((".", "~"))
        and "\\" not in ref
        and not ref.endswith(".gguf")
    )


def _called(ref: str | Path, source: Path) -> tuple[str, str, str]:
    """(name, source, quantized_from) for the card.

    Neither has a folder of this machine in it: cards are shown and shared.
    """
    if isinstance(ref, str) and ref in known():
        return ref, ref, known()[ref].quantized_from
    if _step(ref) is not None and not str(ref).startswith(organisms.PREFIX):
        return Path(ref).name, Path(ref).name, ""
    if isinstance(ref, str) and not Path(ref).expanduser().exists():
        return ref, ref, ""
    source = source.expanduser().resolve()
    return (
        (source.stem, source.name, f"GGUF {_rounding(source)}".strip())
        if source.is_file()
        else (source.name, source.name, "")
    )


def _rounding(file: Path) -> str:
    """ "Q4_1" from model.Q4_1.gguf: most files say so in their name, and reading it from the
    inside takes seconds.
    """
    found = re.search(r"(I?Q\d\w*|BF16|F16|F32)$", file.stem, re.IGNORECASE)
    return found.group(1).upper() if found else ""


def _device(device: str) -> str:
    if device in ("cpu", "balanced"):
        return device
    import torch

    number = device.removeprefix("cuda:")
    if device not in ("auto", "cuda") and not (device.startswith("cuda:") and number.isdigit()):
        raise BadInput(
            f"There is no device {device!r}.",
            "auto, cpu, cuda, cuda:N or balanced",
            "Leave it out to choose by itself.",
        )
    if not torch.cuda.is_available():
        if device == "auto":
            return "cpu"
        raise BadInput(
            f"{device} is not to be had: torch sees no GPU.",
            "a GPU and a torch built for it",
            "Use --device cpu.",
        )
    if device.startswith("cuda:") and int(number) >= torch.cuda.device_count():
        raise BadInput(
            f"There is no {device}.",
            f"cuda:0 to cuda:{torch.cuda.device_count() - 1}",
            "Choose one of them.",
        )
    return "cuda:0" if device in ("auto", "cuda") else device


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


def _from_memory(pair: Any, place: str | None, dtype: torch.dtype | None) -> Loaded:
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
    if place == "balanced":
        raise BadInput(
            "A module that is built already cannot be spread.",
            "a device for the whole of it",
            "Load it with device_map.",
        )
    adapters.check(module)
    if place is not None or dtype is not None:
        module.to(device=place, dtype=dtype)
    module.eval()
    storage.settle(module)
    make_ordinary(module)
    causal.check(module)
    # `name_or_path` may be a folder of this machine; only its last part goes on the card.
    given = Path(str(getattr(module.config, "name_or_path", "") or "")).name
    return Loaded(
        module,
        tokenizer,
        describe(module, tokenizer, name=given or type(module).__name__, source="in memory"),
    )


def _from_gguf(file: Path, dtype: Any) -> tuple[Any, Any]:
    import torch

    if not gguf.is_gguf(file):
        raise BadInput(
            f"{file} is not a GGUF file: it does not start as one.",
            "a complete .gguf file",
            "Download it again.",
        )
    try:
        return gguf.read(file, torch.float32 if dtype == "auto" else dtype)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # damaged files fail in whichever reader comes to the damage first
        raise BadInput(
            f"{file} could not be read: {_first_line(error)}",
            "a complete GGUF of a causal language model that transformers supports",
            "Download it again, or use the safetensors of the same model.",
        ) from error


def _from_folder(folder: Path, shown: str, dtype: Any, place: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    _check_folder(folder)
    try:
        with quiet():
            config = AutoConfig.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
    except (
        Exception
    ) as error:  # remote code, unknown types and damaged JSON are different errors in every version
        raise BadInput(
            f"The config.json of {shown} cannot be used: {_first_line(error)}",
            "a model that transformers supports without code of its own",
            "Check the folder; models that need trust_remote_code are refused.",
        ) from error
    _check_causal(config, shown)
    try:
        with quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                device_map="balanced" if place == "balanced" else None,
                output_loading_info=True,
            )
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        raise BadInput(
            f"The weights in {shown} cannot be read: {_first_line(error)}",
            "complete safetensors that fit config.json",
            "Get a fresh copy of the folder.",
        ) from error
    module, about = loaded
    wrong = sorted(map(str, [*about.get("missing_keys", ()), *about.get("mismatched_keys", ())]))
    if wrong:
        # transformers fills what is missing with random numbers; an analysis of those would be
        # silently wrong.
        raise BadInput(
            f"The weights in {shown} are incomplete: {len(wrong)} tensors are missing or misshapen,"
            f" first {wrong[0]}.",
            f"every weight of a {type(module).__name__}",
            "Get a complete copy, saved from the causal language model and not from its base.",
        )
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:
        raise BadInput(
            f"The tokenizer in {shown} cannot be read: {_first_line(error)}",
            "a tokenizer of transformers",
            _TOKENIZER_REMEDY,
        ) from error
    return module, tokenizer


_TOKENIZER_REMEDY = (
    "Save the tokenizer into the folder (tokenizer.save_pretrained), or load a pair:"
    " wb.load((module, tokenizer))."
)


def _check_folder(folder: Path) -> None:
    files = {file.name for file in folder.iterdir()}
    ggufs = sorted(name for name in files if name.endswith(".gguf"))
    adapters.check_files(folder, files)
    if "config.json" not in files:
        raise BadInput(
            f"{folder} is not a model folder: it has no config.json.",
            "config.json, *.safetensors and a tokenizer",
            f"Give the file itself: {folder / ggufs[0]}" if ggufs else "Check the path.",
        )
    if not any(name.endswith(".safetensors") for name in files):
        pickled = sorted(name for name in files if name.endswith((".bin", ".pt", ".pth", ".ckpt")))
        raise BadInput(
            f"{folder} has no weights as safetensors"
            + (f", only {pickled[0]}, a pickle, which can run code." if pickled else "."),
            "*.safetensors",
            "Convert it where you trust it: module.save_pretrained(folder,"
            " safe_serialization=True).",
        )
    index = folder / "model.safetensors.index.json"
    if index.is_file() and not hub.complete(folder):
        raise BadInput(
            f"{folder} lacks some of the safetensors its index names.",
            "every shard",
            "Get a complete copy.",
        )
    if not files & set(_TOKENIZER_FILES):
        raise BadInput(
            f"{folder} has no tokenizer.",
            f"one of {', '.join(_TOKENIZER_FILES[:3])}",
            _TOKENIZER_REMEDY,
        )


def _check_causal(config: Any, shown: str) -> None:
    """Refuse encoders, classifiers and bare trunks, which load as causal models but with a head
    of random numbers.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    right = "a causal language model (…ForCausalLM, …LMHeadModel)"
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise BadInput(
            f"{shown} is a {config.model_type} model, which does not continue text.",
            right,
            "Choose a decoder model.",
        )
    offered: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    names = {kind.__name__ for kind in (offered if isinstance(offered, tuple) else (offered,))}
    saved = list(getattr(config, "architectures", None) or [])
    if saved and not names & set(saved):
        raise BadInput(
            f"{shown} was saved as {saved[0]}, which has no trained head that continues text.",
            right,
            f"Use a checkpoint saved as {sorted(names)[0]}.",
        )


def _first_line(error: BaseException) -> str:
    """The first line that says something; the checks of newer transformers put a heading before
    it.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (
        ": ".join(lines[:2])
        if lines and lines[0].endswith(":")
        else lines[0]
        if lines
        else type(error).__name__
    )[:300]
