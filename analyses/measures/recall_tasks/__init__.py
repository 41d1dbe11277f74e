"""Further contexts to be recalled from, each a function of a seed that gives contexts with what was
varied in `facts["condition"]`.

documents.py  passages, one of which answers (Liu et al. 2023)
ruler.py      several keys, several values, chains of variables (RULER, Hsieh et al. 2024)
lists.py      what is missing from a list, what was read twice
order.py      which of two passages came first (SORT, Pink et al. 2024)
sessions.py   conversations on several days: facts, updates, what was never said, a standing rule
"""
