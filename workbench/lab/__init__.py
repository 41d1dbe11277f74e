"""The lab: training in stages, of which it is known what was read when.

One loop for everything that is trained to find out about memory: texts are read at known steps,
one stage follows another (study, then interference; fine-tuning, then the next task), all weights
or a low-rank update move, and after every update somebody may measure. The same stages with the
same seed give the same weights, bit for bit, also after a stop.

I want to say what a stage is             -> stages.py
I want to change how an update is made    -> training.py
I want to tune on preferences              -> preference.py
I want to know how low-rank updates work  -> low_rank.py
I want to know what a stop leaves         -> stopping.py
I want to train by a schedule in a file   -> schedule.py (what it says), series.py (the folder it
                                             becomes), neutral.py (prose beside the texts)
"""

from __future__ import annotations

from workbench.lab.stages import KeptStep, LabLog, Stage, StepReport
from workbench.lab.training import run_stages

__all__ = ["KeptStep", "LabLog", "Stage", "StepReport", "run_stages"]
