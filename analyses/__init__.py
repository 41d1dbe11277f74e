"""One module or package per question about memory: `name`, `question`, `Params`, `run`, `views`.

I want to ask a new question           -> start from the nearest one here, and
                                       docs/writing-an-analysis.md
I want to change how a result looks    -> `views` of that analysis; workbench/draw holds the drawing
                                       vocabulary
I want a place nobody has reached yet  -> hooks/sites.py

Imports `hooks` and `workbench`. `run` never plots, `views` never touches a model.
"""
