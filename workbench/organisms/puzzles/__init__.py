"""Organisms that solve puzzles of knights and knaves: small models that read a few hundred of them
again and again, and nothing else, so that it is known which they have seen and which they can only
solve. The twin has read as many others.

Which puzzles each reads, sizes, steps  -> recipe.py
How one is trained                      -> training.py
What is kept of one                     -> puzzle_record.py
Train both                              -> build.py
"""
