"""Memory that training wrote into the weights: facts and texts.

I want to know how much of a text comes out   -> extraction/
I want to know where a passage is stored      -> paragraph_memorization/
I want to know on which way a fact is reached -> fact_tracing/
I want to change a fact and see what moves    -> edit_ledger/
"""
