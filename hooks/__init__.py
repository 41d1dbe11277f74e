"""The instrumentation: look at, and change, what happens inside a language model.

I want to know which places there are        -> sites.py (names and shapes), layout.py (where they are in a module)
I want to see activations                    -> capture.py
I want to change them while the model runs   -> interventions.py
I want the effect of every head, fast        -> sweep.py (and replay.py, which it stands on)
I want attention patterns or queries/keys    -> attention.py
I want many prompts completed under a change -> decode.py

Plain PyTorch hooks on the unmodified `transformers` module. Every hook is owned by a context manager, so nothing is
left behind, also when the body raises. Imports only `workbench`.
"""
