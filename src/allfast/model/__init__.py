"""The values that the stages hand to each other: frozen, typed, without behaviour that touches the world.

`service` what a Compose service is to a deploy · `release` what was or will be deployed · `server` what a
server has · `plan` what will be done and why · `reference` how images are named.
"""
