"""What is done about a base's layers, by how its pull and the sending stand."""

from __future__ import annotations

import pytest

from allfast.images.pull_choice import STALLED, Choice, Outcome, Pulling, Sending, choose, why_given_up

MB = 1_000_000


@pytest.mark.parametrize(
    ("pulling", "sending", "choice"),
    [
        pytest.param(Pulling(50 * MB, 10 * MB), Sending(50 * MB, MB), Choice.WAIT, id="pulling is faster"),
        pytest.param(Pulling(50 * MB, MB), Sending(50 * MB, 10 * MB), Choice.SEND, id="sending is faster"),
        pytest.param(Pulling(50 * MB, MB), Sending(50 * MB, MB), Choice.SEND, id="equal: what is sure"),
        pytest.param(Pulling(MB, MB), Sending(50 * MB, 10 * MB), Choice.WAIT, id="a slow pull that is nearly done"),
        pytest.param(Pulling(50 * MB, 10 * MB), Sending(MB, MB), Choice.SEND, id="a slow sending that is nearly done"),
        pytest.param(Pulling(50 * MB), Sending(50 * MB, MB), Choice.BOTH, id="nobody knows how fast the pull is"),
        pytest.param(Pulling(50 * MB, MB), Sending(50 * MB), Choice.BOTH, id="nobody knows how fast sending is"),
        pytest.param(Pulling(50 * MB), Sending(50 * MB), Choice.BOTH, id="nobody knows anything"),
        pytest.param(Pulling(0, 10 * MB), Sending(50 * MB, 100 * MB), Choice.WAIT, id="only unpacked yet"),
        pytest.param(Pulling(0, 10 * MB), Sending(50 * MB), Choice.WAIT, id="only unpacked yet, sending unknown"),
        pytest.param(Pulling(0, MB, STALLED), Sending(50 * MB, MB), Choice.SEND, id="stalled while it is unpacked"),
        pytest.param(Pulling(MB, 10 * MB, STALLED), Sending(50 * MB, MB), Choice.SEND, id="stalled"),
        pytest.param(Pulling(50 * MB, None, STALLED), Sending(50 * MB), Choice.SEND, id="it never moved"),
        pytest.param(Pulling(MB, 10 * MB, STALLED - 1), Sending(50 * MB, MB), Choice.WAIT, id="a pause"),
        pytest.param(Pulling(50 * MB, 0.0), Sending(50 * MB, 1.0), Choice.SEND, id="a pull of no bytes"),
        pytest.param(Pulling(50 * MB, MB), Sending(0, None), Choice.SEND, id="nothing to send"),
        pytest.param(Pulling(0, MB, 9.0, Outcome.DONE), Sending(50 * MB, MB), Choice.PULLED, id="pulled"),
        pytest.param(
            Pulling(0, None, 0.0, Outcome.DONE), Sending(0, None), Choice.PULLED, id="pulled, nothing to send"
        ),
        pytest.param(Pulling(0, MB, 0.0, Outcome.FAILED), Sending(50 * MB, 1.0), Choice.SEND, id="failed"),
        pytest.param(Pulling(MB, MB, 0.0, Outcome.GIVEN_UP), Sending(50 * MB, 1.0), Choice.SEND, id="given up"),
    ],
)
def test_the_choice(pulling: Pulling, sending: Sending, choice: Choice) -> None:
    assert choose(pulling, sending) is choice


def test_why_a_pull_is_given_up() -> None:
    assert "has not moved" in why_given_up(Pulling(MB, MB, STALLED))
    assert "sooner" in why_given_up(Pulling(MB, MB))
