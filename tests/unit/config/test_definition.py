"""What of a service's definition goes to the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from allfast.config.definition import guard_leaks, http_port
from allfast.errors import ConfigError


def test_no_path_of_the_checkout_reaches_the_server() -> None:
    definition = {"image": "x", "credential_spec": {"file": "/tmp/checkout/src/spec.json"}}
    with pytest.raises(ConfigError, match=r"^services\.web\.credential_spec\.file: is a path of this project"):
        guard_leaks("web", definition, Path("/tmp/checkout/src"))
    guard_leaks("web", definition, Path("/tmp/other"))


@pytest.mark.parametrize(
    ("definition", "port"),
    [
        ({}, None),
        ({"ports": [{"target": 3000}]}, 3000),
        ({"ports": [{"target": 3000, "host_ip": "::1"}, {"target": 3000}, {"target": 53, "protocol": "udp"}]}, 3000),
        ({"ports": [{"target": 3000}, {"target": 3001}]}, None),
        ({"ports": [{"target": 3000}], "expose": ["9000"]}, 3000),
        ({"expose": ["9000/tcp"]}, 9000),
        ({"expose": ["9000-9005"]}, None),
    ],
)
def test_http_port(definition: dict[str, Any], port: int | None) -> None:
    assert http_port(definition) == port
