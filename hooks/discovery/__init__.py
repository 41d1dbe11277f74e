"""Where the parts of a decoder are in its module tree, found by watching one short forward pass.

I want the module tree and the stream     -> find_layout.py
I want the parts of one layer             -> find_block.py
I want what went through every module     -> trace_modules.py
"""
