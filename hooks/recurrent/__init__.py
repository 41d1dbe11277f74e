"""The kernels of recurrent layers: what they are given, in one notation, and what follows from it.

Row vectors per head, as in most papers: S_t = decay_t ⊙ S_(t-1) (- erase) + beta_t k_t^T v_t and
o_t = q_t S_t.

kernel_inputs.py: the arguments of one call, in that notation
interception.py: standing between a layer and its kernel
families.py: which arguments of which family mean what
reading.py: one pass over a prompt, heard at the kernels
changes.py: what is made of a state; changing.py: whether somebody does
cache_tensors.py: what any cache holds; counted_cache.py: one that counts its tokens
scan.py: the state after every token
weights.py: implicit attention, how much of every past value a token reads
"""
