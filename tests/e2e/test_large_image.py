"""An image with a model in it, and a change of one line (incident 13)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.link import Link
from testbed.server import Server
from testbed.tiny_app import TinyApp
from tests.e2e.conftest import forget_builds
from tests.e2e.harness import Cli, Outcome, page
from tests.e2e.looks import name_of

pytestmark = pytest.mark.e2e

MIB = 1 << 20
#: Nothing can compress it.
MODEL = 200 * MIB
MEMORY = 120 * MIB

MAKE = f"""\
import random

numbers = random.Random(13)
with open("model.bin", "wb") as file:
    file.writelines(numbers.randbytes({MIB}) for _ in range({MODEL // MIB}))
"""

#: The model and the program are in one layer, as where a project is copied as a whole.
DOCKERFILE = """\
ARG BASE=python:3.13-slim
FROM $BASE AS built
WORKDIR /app
COPY model /tmp/model
RUN python /tmp/model/make.py
COPY *.py ./
ARG ALLFAST_COMMIT=unknown
RUN echo "COMMIT = '$ALLFAST_COMMIT'" >commit.py && python -m compileall -q .

FROM $BASE
COPY --from=built /app /app
WORKDIR /app
USER 1000:1000
CMD ["python", "app.py"]
"""


@pytest.fixture
def with_model(app: TinyApp) -> Iterator[TinyApp]:
    """The tiny app, whose web has a model."""
    app.write("web/Dockerfile", DOCKERFILE)
    app.write("web/model/make.py", MAKE)
    app.commit("A model")
    yield app
    forget_builds(name_of(app))


def deployed(cli: Cli) -> tuple[Outcome, int]:
    """A deploy, and the most memory (bytes) that the laptop's process has had when all was sent."""
    with cli.started("deploy", "--json", "--yes") as deploy:
        deploy.until(lambda event: event["event"] == "stage-began" and event["stage"] == "verify")
        status = Path(f"/proc/{deploy.process.pid}/status").read_text()
        ended = deploy.end()
    assert ended.code == 0, ended
    return ended, int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_13_a_change_of_one_line_in_an_image_with_a_model(with_model: TinyApp, server: Server, tmp_path: Path) -> None:
    """4.7 GB had to travel for one line: here it is the line, and memory knows nothing of the model."""
    with Link(server.port(22)) as link:
        cli = Cli(with_model.path, server, tmp_path / "cache", ALLFAST_SSH_CONFIG=str(link.ssh_config(server)))
        first, at_first = deployed(cli)
        assert first.result["wire_bytes"] > MODEL, "this once"
        with_model.say("web", "web two")
        before = link.up
        second, then = deployed(cli)
        sent = link.up - before
    wire = second.result["wire_bytes"]
    print(f"first {first.result['wire_bytes']} bytes, with {at_first // MIB} MiB of memory at most on the laptop")
    print(f"then {wire} bytes ({sent} with all that a deploy says), with {then // MIB} MiB")
    assert page(server.url())["web"]["text"] == "web two"
    assert (second.service("web")["method"], sum(e["event"] == "shipped" for e in second.events)) == ("quick", 1)
    assert 0 < wire < 100_000
    assert sent < 1_000_000, "whatever is counted as what"
    assert max(at_first, then) < MEMORY < MODEL
