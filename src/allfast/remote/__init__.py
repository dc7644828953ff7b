"""The one door to a machine: SSH or the local one, Docker's socket behind it, and the agent that answers for it.

`server` what the rest of allfast uses: the lock and what changes, on top of `looking` (what is only asked), on top of
`connection` (who is there, Docker's socket) · `channel` requests to the agent, each a `call` · `layers` those about
layers, with `hearing`, what the agent is at · `transport` how a machine is reached, by `ssh` or `local` · `bootstrap`
how the agent gets there and starts · `failures`, `ssh_errors` from what the agent and ssh say to exceptions · `codec`
values as JSON · `records` what the ledger holds · `proxy` the requests of the proxy · `sockets` folders for unix
sockets · `http` a URL as this machine sees it.
"""
