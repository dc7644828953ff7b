"""Images: built on the local engine, brought to the server, looked at on both.

`local_engine` and `server_images` ask the two engines · `buildx`, `build` make images · `ship`, `data_images` bring
them to the server.
"""
