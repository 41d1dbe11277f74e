"""The key-value cache as a memory: read once, then asked again and again with parts of it gone.

    context = read_context(model, ids)                # one pass: keys, values, queries, surprisal
    scores = scored(policies()["snapkv"], context)    # (kv_head, pos) by layer
    kept = keep(context, scores, budget=0.25)         # which positions stay, by layer and KV head
    logits = ask(context, [kept], [question])         # the question over what was kept

Taking a position out of the cache after reading is the same as hiding its keys from every later
query, so all policies and budgets share the keys and values of one reading.

reading.py          a text read once; context_memory.py: what every layer holds of it
shared_rows.py      questions over it: one row each, its own mask, the same keys
budget.py           from scores to what is kept; kept bytes
policies.py         the scores of the literature; policy_registry.py: by name, those of others too
attention_received.py  what keys get from queries, in blocks
rotary.py           rotary positions turned back and forth
changed_keys.py     the same context with other keys and values: fewer channels, fewer bits
channels.py         which channels of the keys matter; fewer_bits.py: to 8, 4, 2 bits
blocks.py           blocks of the past that are looked up; episodes.py: where they begin and end
lambda_mask.py      reading past the trained window: sinks, the newest, and a ceiling of distances
"""
