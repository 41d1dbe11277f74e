"""Reducers: what is kept of a site instead of all its values, computed inside the hook.

    wb.capture(model, prompts, sites=["resid_post", "pattern"],
               reduce={"resid_post": "norm", "pattern": "topk:8"})

| spec           | keeps                                                  | of                     |
| -------------- | ------------------------------------------------------ | ----------------------|
| `last`         | the last position (of `pattern`, the last query; no    | sites with positions   |
|                | other row is computed)                                 |                        |
| `mean`         | the mean over the positions                            | sites with positions   |
| `norm`         | the length of each vector                              | resid_post, z, …       |
| `entropy`      | the entropy in nats, over keys or over the vocabulary  | pattern, logits        |
| `topk:8`       | the 8 largest numbers and where they are               | pattern, attn_scores,  |
|                |                                                        | logits, neurons        |
| `project:FILE` | the components along the directions in a file          | vectors                |
| `lowrank:16`   | each prompt's vectors in the 16 directions that hold   | vectors                |
|                | most of them                                           |                        |

A reducer with more than one array names the others after the site: `pattern.index`,
`resid_post.basis`. One of your own is an object with the members of `Reducer`.
"""

from hooks.reduce.directions import LowRank, Project
from hooks.reduce.plain import Entropy, Last, MeanReducer, Norm
from hooks.reduce.protocol import BatchLayout, Output, Reducer
from hooks.reduce.specs import SPECS, check, parse
from hooks.reduce.topk import TopK

__all__ = [
    "SPECS",
    "BatchLayout",
    "Entropy",
    "Last",
    "LowRank",
    "MeanReducer",
    "Norm",
    "Output",
    "Project",
    "Reducer",
    "TopK",
    "check",
    "parse",
]
