"""What can be asked: `allfast.toml`, and the Compose files that it names, as typed values.

`model` the keys of allfast.toml · `load` reading it, errors with line and key path · `compose` the rendered Compose
model of one target · `document` the Compose file that the server's containers are made from.

Behind `compose`: `answers` what Compose says, in a clean environment (`environment`, `compose_cli`), or what is wrong
(`complaints`) · `kinds` release, data or one-shot · `storage` and `filesets` where mounted files live · `definition`
a service as the server gets it · `build_section` how it is built · `secrets` what must not be shown · `sources` where
each key of an environment comes from.
"""
