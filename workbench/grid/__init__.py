"""One question, many runs: every model with every combination of parameters.

run.py        a grid from beginning to end
plan.py       which runs: from what was typed to cells
campaign.py   the folder that holds them: which are done, and who is at work in it
worker.py     does one cell after the other, with a model that stays while cells share it
engine.py     what an engine is: it hires workers and hears from them
local.py      workers as processes of this machine      ray_engine.py   workers on a Ray cluster
drive.py      gives cells to workers until all are done; tries again where a worker died
tables.py     the tables of what came out; digest.py  what is kept in mind of one run
page.py       these as a run in the grid's folder (what it looks like: `workbench/grid_page/`)
status.py     how far a grid is, told to other processes, and how they stop it; watch.py tells it
many_seeds.py a grid over seeds alone that leaves one run: `workbench run --seeds`
"""
