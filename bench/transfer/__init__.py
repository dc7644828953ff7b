"""The bench of image transfer: what travels, how long it takes and what it costs, beside the two ways that teams use.

`model` says what is measured, `bed` and `images` make it, `ways` do it, `meter` counts, `results` keeps, `targets` and
`document` tell.
"""
