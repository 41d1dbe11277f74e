"""Reading a GGUF file into an ordinary transformers module, and writing that as safetensors.

Run as a program (`python -m workbench.models.gguf FILE FOLDER`) it converts: a process of its own
can be stopped at any moment, and gives back the gigabytes that the conversion takes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

MAGIC = b"GGUF"


def is_gguf(file: Path) -> bool:
    """Whether the file starts as every GGUF does."""
    with file.open("rb") as handle:
        return handle.read(len(MAGIC)) == MAGIC


def read(file: Path, dtype: Any) -> tuple[Any, Any]:
    """(module, tokenizer) with the weights de-quantized to `dtype`.

    transformers marks such a module as quantized although its weights are plain numbers by now, and
    then refuses to save it; the marks are taken off. Newer versions leave the weights packed where
    they find a kernel for it.
    """
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from workbench.silence_libraries import silenced

    packed = getattr(transformers, "GgufConfig", None)
    options = {} if packed is None else {"quantization_config": packed(dequantize=True)}
    with silenced(), _no_bar():
        module = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=dtype, **options
        )
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    for mark in ("hf_quantizer", "is_quantized", "quantization_method"):
        vars(module).pop(mark, None)
    if hasattr(module.config, "quantization_config"):
        del module.config.quantization_config
    return module, tokenizer


@contextmanager
def _no_bar() -> Iterator[None]:
    """transformers' GGUF reader draws its bar whatever its own switch for bars says."""
    from transformers import modeling_gguf_pytorch_utils as reader

    bar = getattr(reader, "tqdm", None)
    if bar is None:
        yield
        return
    vars(reader)["tqdm"] = partial(bar, disable=True)
    try:
        yield
    finally:
        vars(reader)["tqdm"] = bar


def convert(file: Path, folder: Path) -> None:
    """Write `folder` with safetensors (float32, exact for every GGUF rounding up to 8 bit) and
    the tokenizer.
    """
    import torch

    from workbench.silence_libraries import silenced

    module, tokenizer = read(file, torch.float32)
    with silenced():
        module.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
