"""What several analyses measure with; no analysis imports another.

I want intervals and rank statistics       -> statistics.py
I want prefix and suffix windows of texts  -> windows.py (text_source.py: which texts)
I want teacher-forced scores of a window   -> scoring.py (sampling.py: what a sampler generates)
I want greedy continuations                -> decoding.py
I want the shortest prompt that says it    -> compression.py
I want facts that the model knows          -> closed_book.py
I want the token ids that occur in text    -> vocabulary.py
I want rows of keys and values to recall   -> pair_questions.py
I want long prompts with questions         -> recall_contexts.py
I want how much of texts is in a corpus    -> corpus_coverage.py
I want the model before it was trained     -> untrained_twin.py
"""
