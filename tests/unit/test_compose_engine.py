"""What is shown of a Compose that failed, and which volumes are a container's own."""

from __future__ import annotations

from typing import Any

import pytest

from allfast.engines.compose import complaint
from allfast.engines.removal import unnamed


def test_progress_is_no_complaint() -> None:
    refused = "Error response from daemon: Conflict. The container name is in use"
    lines = [" Container app-web-1  Creating\n", " Network app_default  Created\n", "\n", refused + "\n"]
    assert complaint(lines) == (refused,)
    assert complaint(lines[:1]) == (" Container app-web-1  Creating",)


OWN = "f" * 64


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"Binds": ["app_uploads:/data:rw", "/srv:/srv"]}, {OWN}),
        ({"Binds": None, "Mounts": [{"Type": "volume", "Target": "/scratch"}]}, {OWN, "app_uploads"}),
        ({"Binds": [f"{OWN}:/scratch:rw", "app_uploads:/data"]}, set()),
        ({"Binds": ["app_uploads:/data"], "Mounts": [{"Type": "volume", "Source": OWN, "Target": "/scratch"}]}, set()),
        ({"Binds": ["app_uploads:/data"], "VolumesFrom": ["data"]}, set()),
    ],
    ids=["by the image", "without a name", "handed on by Compose", "named by its id", "of another container"],
)
def test_only_what_nobody_named_goes_with_a_container(settings: dict[str, Any], found: set[str]) -> None:
    mounts = [{"Type": "volume", "Name": OWN}, {"Type": "volume", "Name": "app_uploads"}, {"Type": "bind"}]
    assert unnamed({"HostConfig": settings, "Mounts": mounts}) == found
    assert unnamed({}) == set(), "it is gone"
