"""How images travel: pure functions over byte streams; no Docker, no SSH, no file of an image's size.

`source` where layers come from: the stream of `docker save`, in every shape that engines give it
· `documents` the JSON documents in such a stream: which configuration belongs to which platform
· `compression` layers as they are stored, and as they are hashed
· `index` what has been learned of stored layers, kept in the user's cache folder
· `encode` a layer as a recipe, by `matches` (what two versions of a file have in common), `steps` and `pack`
· `known` what this machine remembers of the layers that it sent.
"""
