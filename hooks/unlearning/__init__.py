"""Methods of unlearning, by themselves. What they leave is measured elsewhere.

I want to say what is to be forgotten            -> texts.py (Text)
I want texts to retain that share nothing with it -> text_sets.py (without_overlap)
I want to say how far, and how                   -> settings.py (Settings)
I want to know which methods there are           -> methods.py (METHODS), losses.py (their formulas)
I want a new one                                 -> objectives.py, then a line in methods.py
I want to unlearn                                -> run_method.py (unlearn), training_loop.py
I want the change applied, undone, kept          -> unlearned.py (Unlearned)
I want a change to compare it with               -> random_change.py

    forget = [Text.of(model, passage) for passage in passages]
    done = unlearn(model, "npo-gdr", forget, others, Settings(aim=4.5))
    with done.applied(model):
        print(model.generate(passages[0][:40]))
    done.save("forgets.safetensors")                  # wb.load("MODEL+forgets.safetensors")
"""

from hooks.unlearning.methods import METHODS, Method
from hooks.unlearning.random_change import random_change
from hooks.unlearning.run_method import unlearn
from hooks.unlearning.settings import Concept, Settings
from hooks.unlearning.text_sets import without_overlap
from hooks.unlearning.texts import Text
from hooks.unlearning.unlearned import Unlearned
from hooks.unlearning.unlearning_log import UnlearningLog

__all__ = [
    "METHODS",
    "Concept",
    "Method",
    "Settings",
    "Text",
    "Unlearned",
    "UnlearningLog",
    "random_change",
    "unlearn",
    "without_overlap",
]
