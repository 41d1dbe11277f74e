"""One question, many runs: every model with every combination of parameters.

run.py        a grid from beginning to end
plan.py       which runs: from what was typed to cells
campaign.py   the folder that holds them: which are done, and who is at work in it
cell_tasks.py  these as pieces of work; the functions that a worker calls for them
tables.py     the tables of what came out; digest.py  what is kept in mind of one run
page.py       these as a run in the grid's folder (what it looks like: `workbench/grid_page/`)
status.py     how far a grid is, told to other processes, and how they stop it; watch.py tells it
many_seeds.py a grid over seeds alone that leaves one run: `workbench run --seeds`

Whatever can be done in pieces stands on the same engines (a trace: `hooks/shards_on_workers.py`):

worker.py     does one task after the other, with a model that stays while tasks share it
engine.py     what an engine is: it hires workers and hears from them; what a task is
local.py      workers as processes of this machine      ray_engine.py   workers on a Ray cluster
drive.py      gives pieces to workers until all are done; tries again where a worker died
where.py      on which engine, by how many workers
"""
