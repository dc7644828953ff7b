"""The proxy of a server: one Caddy that owns the published ports of all apps and sends requests to live releases.

Read `model/routing.py` for the words, `caddy.py` for how the parts of all apps become Caddy's configuration (pure), and
`edge.py` for what is done on the server: look, create or re-create the container, apply a part, switch.
"""
