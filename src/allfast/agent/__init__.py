"""The agent: runs on the server for the time of one command, on nothing but Python 3.9's standard library.

It is sent as one zip file (remote/bootstrap.py) and speaks on its standard input and output (protocol.py).

`__main__` start, readable for any Python 3 · `serve` the loop, on top of `messages`, which the laptop uses, too ·
`requests` the table of all requests · `session` what it was reached by, and how that is ended ·
`guard` outlives the agent for a moment to end it · `relay` stands in for SSH on the laptop itself ·
`docker` finds the engine's socket · `stopping` a container · `engine` the Engine API, with its `answer` ·
`state` the folder · `cache` keeps the agent for the next command · `ledger` the SQLite ledger, on top of `runs`, on top
of `database` with its `schema` ·
`receive` layers that come as recipes, with those `awaited`, on top of `layer_cache` with its `layer_files`, `outlines`,
`recipe`, `index`, `parts` and `archive`, which the laptop uses, too · `warming` brings layers from the engine into the
cache, by `cold`, which reads them with `image_store`: `graph_store` or `content_store`, on top of `engine_store`, with
`gunzip` and `owner` · `loading` gives an image to the engine · `images` whether one is there · `telling` how far that
work is · `gentle` keeps it in the background ·
`lock`, `settle` who may change things · `facts`, `layers`, `files`, `fetch`, `prune` what the requests do.
"""
