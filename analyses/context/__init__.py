"""Memory that stands in the prompt, and what the model does where it contradicts the weights.

I want to know which of the two is followed   -> knowledge_conflict/
"""
