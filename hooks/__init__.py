"""The instrumentation: look at, and change, what happens inside a language model.

I want to know which places there are        -> sites/
I want the parts of a model                  -> layout.py (what they are), discovery/ (where they
                                                are), invariants/ (whether that is right)
I want to see activations                    -> capture.py (capture_plan.py, capture_batch.py,
                                                streaming.py), reduce/ (what is kept of them)
I want to change them while the model runs   -> interventions.py
I want the effect of every part, fast        -> sweeps/ (and layer_replay.py, which it stands on)
I want to say what is measured               -> metrics/ (for sweeps and gradients alike)
I want attention patterns or queries/keys    -> attention.py
I want what recurrent layers remember        -> states.py
I want a weight, wherever it is kept         -> weights.py
I want prompts side by side                  -> prompts.py, batch.py
I want many prompts completed under a change -> decode.py
I want one text read once, asked many times  -> read_once.py
I want to know which token is at a position  -> positions.py
I want to set something on a module for a    -> held_attributes.py, eager_eval.py,
while, or ask it something once                 without_interventions.py
I want text, as the logits say it            -> generation.py
I want to know what is refused, and why      -> context_window.py (too long), finite_check.py (no
                                                finite numbers)

Plain PyTorch hooks on the unmodified `transformers` module. Every hook is owned by a context
manager, so nothing is left behind, also when the body raises. Imports only `workbench`.
"""

from __future__ import annotations

from typing import Any

__all__ = ["sweep"]


def __getattr__(name: str) -> Any:
    # Lazily: importing a room loads no torch.
    if name == "sweep":
        from hooks.sweeps import sweep

        return sweep
    raise AttributeError(f"module 'hooks' has no attribute {name!r}")
