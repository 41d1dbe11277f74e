"""Changing facts in weights: the methods by themselves. What a change does to a model is measured
elsewhere.

I want to say which fact becomes what        -> requests.py (EditRequest)
I want the moment of a layer's keys          -> statistics.py
I want one fact changed (ROME)               -> rome.py
I want many facts changed (MEMIT, AlphaEdit) -> memit.py
I want weights trained on facts (FT, LoRA)   -> training.py
I want the fact said before the prompt       -> in_context.py
I want facts beside the weights              -> grace.py, wise.py; their files: side_files.py
I want the vector that brings the answer     -> values.py (the loop), replay.py (why it is quick)
I want a change to compare it with           -> random_edits.py
I want to keep, apply or undo a change       -> edit.py, workbench/models/weight_delta.py

    request = EditRequest("The capital of {subject} is", "France", "Rome")
    edit = rome(model, request)
    with edit.applied(model):
        print(model.generate("The capital of France is"))
    edit.save("rome.safetensors")                     # wb.load("smollm2-135m+rome.safetensors")
"""

from hooks.editing.edit import EditLog, WeightEdit
from hooks.editing.grace import Grace, GraceEntry, GraceRoute
from hooks.editing.in_context import in_context
from hooks.editing.memit import alphaedit, memit
from hooks.editing.random_edits import random_like
from hooks.editing.requests import EditRequest
from hooks.editing.rome import rome
from hooks.editing.statistics import (
    KeyStatistics,
    key_statistics,
    read_statistics,
    save_statistics,
)
from hooks.editing.training import TrainingSettings, fine_tune, lora
from hooks.editing.values import ValueLog, ValueSettings, ValueStep
from hooks.editing.wise import Wise, WiseRoute
from hooks.editing.wise_training import WiseSettings, WiseShard

__all__ = [
    "EditLog",
    "EditRequest",
    "Grace",
    "GraceEntry",
    "GraceRoute",
    "KeyStatistics",
    "TrainingSettings",
    "ValueLog",
    "ValueSettings",
    "ValueStep",
    "WeightEdit",
    "Wise",
    "WiseRoute",
    "WiseSettings",
    "WiseShard",
    "alphaedit",
    "fine_tune",
    "in_context",
    "key_statistics",
    "lora",
    "memit",
    "random_like",
    "read_statistics",
    "rome",
    "save_statistics",
]
