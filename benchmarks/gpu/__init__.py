"""The hook layer on a graphics card: does it give what the CPU gives, and what does it cost?

    python -m benchmarks.gpu                        # one card, under 8 minutes; writes
                                                    docs/results/benchmarks-gpu.md and .json
    python -m benchmarks.gpu --tiny --device cpu    # the same rows on small models, in a minute;
                                                    writes nothing in docs

It needs torch, transformers, safetensors, xarray, pandas, pyarrow and numpy, and nothing else.

machine.py   what this machine is, and how fast it multiplies and copies
models.py    the two models, in every dtype and place they are needed in
parity.py    rows that compare the card with the CPU, and how far apart they may be
speed.py     rows that take the time
timing.py    medians on a card
rows.py      which rows there are, in order of worth, and running one of them
driver.py    one process that runs rows, and another that starts it again after a crash
report.py    the JSON file and the page
shape_names.py  what stands for jaxtyping where it is missing
"""

from benchmarks.gpu.shape_names import stand_in

stand_in()
