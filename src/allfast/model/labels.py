"""Labels that allfast puts on images and containers; what carries none of them is never removed."""

DEPLOYMENT = "allfast.deployment"
SERVICE = "allfast.service"
COMMIT = "allfast.commit"
INPUTS = "allfast.inputs"
METHOD = "allfast.method"
SETTINGS = "allfast.settings"
RELEASE = "allfast.release"
