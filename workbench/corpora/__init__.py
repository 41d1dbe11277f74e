"""Where does a text stand in a corpus? An index of any corpus, made here and asked without a model.

I want to make an index of texts           -> build.py (`index`)
I want to open one and ask it              -> corpus_index.py (`open_index`, `CorpusIndex`)
I want another kind of source              -> sources.py (text, JSON lines, organisms);
                                              table_rows.py
I want to know what lies in its folder     -> manifest.py
I want another way to sort the suffixes    -> suffix_array.py
I want to change how they are searched     -> suffix_shard.py
I want the spans that a text shares        -> match_spans.py (`maximal_spans`, `covered_tokens`)
I want the cuts between tokens or words    -> cuts.py

Nothing in here needs torch, and only making an index needs `pydivsufsort`.
"""

from workbench.corpora.build import index
from workbench.corpora.corpus_index import CorpusIndex, open_index

__all__ = ["CorpusIndex", "index", "open_index"]
