"""What OpenSSH says (recorded from 9.2 and 8.4), and what we make of it."""

import pytest

from allfast.remote.ssh_errors import explain

CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Offending ED25519 key in /home/me/.ssh/known_hosts:3
  remove with:
  ssh-keygen -f "/home/me/.ssh/known_hosts" -R "[10.0.0.1]:2222"
Host key for [10.0.0.1]:2222 has changed and you have requested strict checking.
Host key verification failed."""


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (
            "ssh: Could not resolve hostname web1: Name or service not known",
            "name of deploy@web1 cannot be resolved",
            "host",
        ),
        (
            "ssh: Could not resolve hostname web1:2222: Name or service not known",
            "name of deploy@web1 cannot be resolved",
            "with `Port` in ~/.ssh/config",
        ),
        (
            "ssh: connect to host web1 port 22: Connection refused",
            "unreachable: the connection was refused",
            "firewall",
        ),
        ("ssh: connect to host web1 port 22: Connection timed out", "unreachable: no answer in time", "firewall"),
        ("ssh: connect to host web1 port 22: Operation timed out", "unreachable: no answer in time", "firewall"),
        ("Connection timed out during banner exchange", "unreachable: no answer in time", "firewall"),
        ("ssh: connect to host web1 port 22: No route to host", "unreachable: there is no way to it", "firewall"),
        ("deploy@web1: Permission denied (publickey).", "refused the login", "BatchMode"),
        (
            "No ED25519 host key is known for web1 and you have requested strict checking.",
            "not known",
            "ssh deploy@web1",
        ),
        ("kex_exchange_identification: Connection closed by remote host", "closed the connection", "firewall"),
        (CHANGED, "is not the one in /home/me/.ssh/known_hosts", "-R '[10.0.0.1]:2222' -f /home/me/.ssh/known_hosts"),
        (
            CHANGED.replace("/home/me/", "/Users/Me Too/"),
            "is not the one in /Users/Me Too/.ssh/known_hosts",
            "-f '/Users/Me Too/.ssh/known_hosts'",
        ),
        ("something new", "ended", "try: ssh deploy@web1"),
        ("", "ended", "try: ssh deploy@web1"),
    ],
)
def test_ssh_failed(said: str, message: str, hint: str) -> None:
    error = explain("deploy@web1", 255, said.splitlines())
    assert message in error.message
    assert hint in error.hint
    assert error.evidence == tuple(said.splitlines())[-6:]


@pytest.mark.parametrize(
    ("forged", "command"),
    [
        (("[10.0.0.1]:2222 has", "x'; rm -rf ~ #' has"), """ssh-keygen -R 'x'"'"'; rm -rf ~ #'"'"'' -f /home"""),
        (("/home/me/.ssh/known_hosts:3", "x; rm -rf ~:3"), "-R '[10.0.0.1]:2222' -f ~/.ssh/known_hosts, then"),
        (("/home/me/.ssh/known_hosts:3", "/etc/passwd:3"), "-R '[10.0.0.1]:2222' -f ~/.ssh/known_hosts, then"),
        (("/home/me/.ssh/known_hosts:3", "$(id)/.ssh/known_hosts:3"), "-f ~/.ssh/known_hosts, then"),
    ],
)
def test_what_a_server_says_is_no_command_to_copy(forged: tuple[str, str], command: str) -> None:
    """The remote command's own words come the same way as ssh's."""
    assert command in explain("deploy@web1", 255, CHANGED.replace(*forged).splitlines()).hint


def test_the_remote_commands_failure_is_not_sshs() -> None:
    error = explain("web1", 127, ["sh: 1: Permission denied (publickey)"])
    assert error.message == "the agent on web1 ended (exit 127)"
