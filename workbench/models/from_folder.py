"""A causal language model from a folder of transformers: config, safetensors, tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import BadInput, Cancelled
from workbench.models import hub
from workbench.silence_libraries import silenced

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
# Looked for where none is: `adapter_folder` attaches what lies in a folder.
_NO_ADAPTER = {"subfolder": ".no-adapter"}
_TOKENIZER_REMEDY = (
    "Save the tokenizer into the folder (tokenizer.save_pretrained), or load a pair:"
    " wb.load((module, tokenizer))."
)


def read(folder: Path, shown: str, dtype: Any, placed: Mapping[str, Any]) -> tuple[Any, Any]:
    """(module, tokenizer) of a folder, without the adapter that may lie in it.

    Args:
        shown: what the model is called in errors.
        dtype: a torch dtype, or "auto" for the checkpoint's own.
        placed: what transformers is told of where the weights go; nothing is the CPU.

    Raises:
        BadInput: no causal language model with safetensors and a tokenizer.
    """
    check_files(folder)
    config = _config(folder, shown)
    module = _module(folder, shown, config, dtype, placed)
    return module, _tokenizer(folder, shown)


def _config(folder: Path, shown: str) -> Any:
    from transformers import AutoConfig

    from workbench import memory_lm, state_lm

    state_lm.register()
    memory_lm.register()
    try:
        with silenced():
            config = AutoConfig.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:
        # Remote code, unknown types and damaged JSON are different errors in every version.
        raise BadInput(
            f"The config.json of {shown} cannot be used: {first_line(error)}",
            "a model that transformers supports without code of its own",
            "Check the folder; models that need trust_remote_code are refused.",
        ) from error
    _check_causal(config, shown)
    return config


def _module(folder: Path, shown: str, config: Any, dtype: Any, placed: Mapping[str, Any]) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with silenced():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                **placed,
                adapter_kwargs=_NO_ADAPTER,
                output_loading_info=True,
            )
    except (torch.OutOfMemoryError, MemoryError, Cancelled):
        raise
    except Exception as error:
        raise BadInput(
            f"The weights in {shown} cannot be read: {first_line(error)}",
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
    return module


def _tokenizer(folder: Path, shown: str) -> Any:
    from transformers import AutoTokenizer

    try:
        with silenced():
            return AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:
        raise BadInput(
            f"The tokenizer in {shown} cannot be read: {first_line(error)}",
            "a tokenizer of transformers",
            _TOKENIZER_REMEDY,
        ) from error


def check_files(folder: Path) -> None:
    """Refuse a folder that lacks something; nothing is read but the names of its files.

    Raises:
        BadInput: says what.
    """
    files = {file.name for file in folder.iterdir()}
    ggufs = sorted(name for name in files if name.endswith(".gguf"))
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


def first_line(error: BaseException) -> str:
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
