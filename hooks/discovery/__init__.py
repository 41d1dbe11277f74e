"""Where the parts of a decoder are in its module tree, found by watching one short forward pass.

I want all parts of a model                 -> find_layout.py
I want what went through every module       -> trace_modules.py
I want what a child of a layer is           -> component_types.py
I want names that differ between families   -> family_quirks.py

One module per kind of part: layer_stack.py, residual.py (what a layer adds to its stream),
attention.py, projections.py, mlp.py, experts.py, norms.py, recurrence.py, unembedding.py.
find_block.py puts those of one layer together.
"""
