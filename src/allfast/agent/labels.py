"""The labels that are read on the server: those of model/labels.py (a test compares them), and Compose's."""

from __future__ import annotations

from typing import Any, Dict

DEPLOYMENT = "allfast.deployment"
SERVICE = "allfast.service"
COMMIT = "allfast.commit"
INPUTS = "allfast.inputs"
METHOD = "allfast.method"
SETTINGS = "allfast.settings"
RELEASE = "allfast.release"
#: By this label Compose knows what it made for a project.
PROJECT = "com.docker.compose.project"


def label(one: Dict[str, Any], name: str) -> str:
    """A label of an entry of a list."""
    return str((one.get("Labels") or {}).get(name, ""))
