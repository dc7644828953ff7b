"""The plan, decided by pure functions: no I/O, no clock. Start with `plan`.

`methods` how each image comes to be · `containers` what happens to each container · `databases` to data services ·
`preflight` what refuses a deploy · `recorded` whether containers run as the ledger has them.
"""
