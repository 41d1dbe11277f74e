"""The skeleton of an adapter for a module class that has none."""

from __future__ import annotations

from importlib import import_module

from torch import nn

from workbench.errors import BadInput

_SKELETON = '''"""Memory adapter of {path}."""

import torch

from hooks.memory_modules import MemoryAdapter, MemoryCall, MemoryReads, MemorySlots

from {package} import {name}

# What stands in it:
{parts}

def slots(module):
    """What it holds now: keys and values, (slot, numbers), heads in front if each has its own."""
    return MemorySlots(count=..., key=..., value=...)


def reads(call: MemoryCall):
    """What was read in one call. weight and index: (batch, pos, head, read).

    call.args and call.kwargs are what the module was given, call.out is what it gave,
    call.inside["…"] input and output of a submodule named in `inside`. Ask the module again for
    what it does not keep, with `forward` and not by calling it.
    """
    return MemoryReads(weight=..., index=..., gate=None, mass=1.0)


ADAPTER = MemoryAdapter("{label}", {name}, slots, reads)
# More, where the module needs it:
#   inside=("query_proj",)         submodules whose inputs and outputs `reads` wants
#   joins="concat"                 heads stand beside each other instead of being added
#   rest=lambda call: …            what comes out beside the sum, a bias
#   zeroed=a context manager       these slots give nothing, made in the module itself
#   writes=lambda before, after: … what a call wrote; the default compares the slots
#   restore=lambda module, slots: …  puts slots back: memories that are written while text is read

# In pyproject.toml:
#   [project.entry-points."workbench.memory_adapters"]
#   {entry} = "my_package.my_file:ADAPTER"
# Check it: workbench modules check --model MODEL --adapter my_package.my_file:ADAPTER
'''


def scaffold(kind: type[nn.Module], module: nn.Module | None = None) -> str:
    """Python text of an adapter of this class, to be filled in.

    Args:
        module: one of the class; its parameters, buffers and submodules are listed.
    """
    parts = ["#   (give a model to see its parameters and submodules)"]
    if module is not None:
        tensors = [*module.named_parameters(), *module.named_buffers()]
        parts = [f"#   {name} {tuple(x.shape)}" for name, x in tensors]
        parts += [
            f"#   {name}: {type(each).__name__}" for name, each in module.named_modules() if name
        ]
    name = kind.__name__
    return _SKELETON.format(
        path=f"{kind.__module__}.{name}",
        package=kind.__module__,
        name=name,
        parts="\n".join(parts),
        label=name,
        entry=name.lower(),
    )


_PACKAGES = {
    "memoria": "memoria-pytorch",
    "titans_pytorch": "titans-pytorch",
    "PEER_pytorch": "PEER-pytorch",
    "product_key_memory": "product-key-memory",
}
"""Packages with memories that we know, and the distributions that bring them."""


def _what_to_do(package: str, missing: str | None) -> str:
    """Of a class that cannot be imported: install what is missing, or correct what was typed."""
    root = (missing or "").partition(".")[0]
    if root in _PACKAGES:
        return f"pip install {_PACKAGES[root]}"
    if missing and missing != package:
        return f"pip install {root.replace('_', '-')}"
    return "Correct the path."


def class_at(path: str) -> type[nn.Module]:
    """A module class by its path, `package.module:Class` (or with a dot).

    Raises:
        BadInput: it cannot be imported, or is no module class.
    """
    package, _, name = path.replace(":", ".").rpartition(".")
    try:
        found = getattr(import_module(package), name) if package else None
    except Exception as error:  # whatever somebody else's module does when it is imported
        missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
        raise BadInput(
            f"{path} cannot be imported: {error}.",
            "package.module:Class of an installed package",
            _what_to_do(package, missing),
        ) from error
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise BadInput(
            f"{path!r} is no module class.",
            "package.module:Class, a torch.nn.Module",
            "Correct the path, or name a class of the model and give --model.",
        )
    return found
