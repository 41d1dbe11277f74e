"""Organisms of memory modules: small models that were trained on known facts, and on nothing else,
with a memory in one of their layers, so that what stands in which slot can be read off and checked.

The facts, and the words they are made of     -> fact_world.py
A stream of updates                           -> update_stream.py; stream_training.py
Which models there are                        -> families.py
How one is trained, and how well it recalls   -> training.py
What is kept of one                           -> module_record.py
Train all of them                             -> build.py
"""
