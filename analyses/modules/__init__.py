"""Memory as a part of the model: slots, experts, and the feed-forward layers read as a memory.

I want to know where in them capabilities and facts sit   -> ffn_map/
I want to know which slot was read, and what is lost      -> memory_modules/
"""
