"""The files of a trace: prompts of any length side by side, without padding, in pieces that are
whole or not there.

array_spec.py   the axes, sizes and labels of one array
manifest.py     `manifest.json`: what was asked of which model, and the arrays
shard.py        a shard: written in any order, read in parts
store.py        a whole folder, read in parts (also format 1)
saving.py       a trace that is there already, written
destination.py  where a capture goes while it runs
remote_store, remote_destination, remote_shards, index: the same at an address

A trace folder (format 2) holds `manifest.json` and shards, `shard-00000000.safetensors`, named
after the first prompt they hold. A shard holds a run of consecutive prompts, in an order of its own
(`prompt.index`). Each of its arrays is (layer, numbers): for every layer the prompts' blocks one
after the other, a block being one prompt's values in C order over the array's axes. An axis that
the manifest gives no size is as long as the prompt.

At an address `index.safetensors` says where every prompt lies; it is written last.

A shard is written under another name and renamed when it is finished; which shards there are is
read from the folder and not from the manifest, so a process may be killed at any moment without
losing one.
"""
