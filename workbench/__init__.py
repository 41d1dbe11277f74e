"""Memory Workbench: what does a language model remember, where is it stored, which part brought it
back just now?

    import workbench as wb
    model = wb.load()                                    # SmolLM2-135M-Instruct, on this machine
    trace = wb.capture(model, "The capital of France is", sites="z")
    with wb.ablate(model, heads=[(23, 4)]):
        print(model.generate("The capital of France is"))
    result = wb.run("knowledge-conflict", model)

Everything here is a lazy re-export, so this import takes milliseconds; torch and the rest load when
first needed.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from workbench.silence_libraries import drop_kernel_advice

__version__ = "0.1.0"

_DOOR = {
    "load": "hooks.model",
    "InstrumentedModel": "hooks.model",
    "capture": "hooks.capture",
    "estimate": "hooks.capture",
    "windows": "hooks.capture",
    "ablate": "hooks.interventions",
    "scale": "hooks.interventions",
    "patch": "hooks.interventions",
    "add": "hooks.interventions",
    "sweep": "hooks.sweeps",
    "Heads": "hooks.sweeps",
    "Layers": "hooks.sweeps",
    "Neurons": "hooks.sweeps",
    "Positions": "hooks.sweeps",
    "Edges": "hooks.sweeps",
    "States": "hooks.sweeps",
    "Zero": "hooks.sweeps",
    "Mean": "hooks.sweeps",
    "Resample": "hooks.sweeps",
    "Patch": "hooks.sweeps",
    "Noise": "hooks.sweeps",
    "Attribution": "hooks.sweeps",
    "Logit": "hooks.metrics",
    "LogitDiff": "hooks.metrics",
    "LogProb": "hooks.metrics",
    "Prob": "hooks.metrics",
    "KL": "hooks.metrics",
    "Continuation": "hooks.metrics",
    "Custom": "hooks.metrics",
    "activation_gradients": "hooks.gradients.activations",
    "weight_gradients": "hooks.gradients.parameters",
    "gradient_norms": "hooks.gradients.parameters",
    "integrated_gradients": "hooks.gradients.integrated",
    "layer_conductance": "hooks.gradients.integrated",
    "influence": "hooks.influence",
    "implicit_attention": "hooks.implicit_attention",
    "change_state": "hooks.state_changes",
    "tune_initial_state": "hooks.tuned_states",
    "read_states": "hooks.saved_states",
    "open_states": "hooks.saved_states",
    "SavedStates": "hooks.saved_states",
    "WipeState": "hooks.recurrent.changes",
    "FreezeState": "hooks.recurrent.changes",
    "PatchState": "hooks.recurrent.changes",
    "SetState": "hooks.recurrent.changes",
    "EraseKey": "hooks.recurrent.changes",
    "RewritePair": "hooks.recurrent.changes",
    "AddToState": "hooks.recurrent.changes",
    "contract": "hooks.invariants",
    "open_features": "hooks.features.load",
    "attribute_features": "hooks.features.attribute",
    "train_features": "hooks.features.train",
    "MemoryAdapter": "hooks.memory_modules",
    "memory_places": "hooks.memory_modules",
    "neuron_places": "hooks.memory_modules",
    "check_memories": "hooks.memory_modules.model_checks",
    "memory_scaffold": "hooks.memory_modules.model_checks",
    "Trace": "workbench.trace",
    "run": "workbench.runs",
    "run_grid": "workbench.grid.run",
    "Workers": "workbench.grid.workers",
    "open_run": "workbench.runs",
    "Result": "workbench.result",
    "Finding": "workbench.result",
    "Progress": "workbench.progress",
    "Control": "workbench.registry",
    "explore": "ui.notebook",
}
__all__ = ["__version__", *_DOOR]

drop_kernel_advice()  # before anything imports bitsandbytes, in Python, commands and benchmarks


def __getattr__(name: str) -> Any:
    if name not in _DOOR:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    room = _DOOR[name].partition(".")[0]
    _check_not_shadowed(room)
    value = getattr(import_module(_DOOR[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _check_not_shadowed(room: str) -> None:
    """`hooks`, `analyses` and `ui` are short names: say so clearly when the user's own file of
    that name is in the way.
    """
    if room == "workbench":
        return
    found = import_module(room)
    here, there = Path(__file__).parent.parent, getattr(found, "__file__", None)
    if there is None or Path(there).parent.parent != here:
        from workbench.errors import WorkbenchError

        raise WorkbenchError(
            f"Another {room!r} is in the way of the workbench's: {there or list(found.__path__)}.",
            f"{here / room}",
            f"Rename your {room!r}, or start Python in another folder.",
        )
