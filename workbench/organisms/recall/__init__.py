"""Organisms of recall: tiny models trained on nothing but multi-query associative recall (MQAR), so
that what a memory holds, and how much fits into it, is known.

Each reads pairs of a key and a value, and is then asked for the values of keys, in any order. They
differ in where the pairs can be: in a KV cache, in the last tokens of a window, in a state of a
known number of bytes.

Rows of pairs, and the truth about them       -> task.py
Rows of delayed recall                        -> delay.py
Which models there are, and what they read    -> families.py, rows.py
The models before they are trained            -> untrained.py
How one is trained, and how well it recalls   -> train.py
Train all again                               -> build.py
"""
