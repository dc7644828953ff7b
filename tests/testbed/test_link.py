"""The line in front of a server, under real SSH."""

from testbed.common import run, wait_until
from testbed.link import Link
from testbed.server import Server

BYTES = 3_000_000


def test_ssh_goes_by_way_of_the_line_is_counted_and_can_be_cut(server: Server) -> None:
    with Link(server.port(22)) as link:
        ssh = ["ssh", "-F", str(link.ssh_config(server)), "-o", "BatchMode=yes"]
        assert run([*ssh, server.name, "hostname"]).stdout == f"{server.name}\n"
        assert run([*ssh, f"{server.name}-deploy", "id", "-un"]).stdout == "deploy\n"
        up, down = link.up, link.down
        assert run([*ssh, server.name, "wc", "-c"], stdin="x" * BYTES).stdout == f"{BYTES}\n"
        assert BYTES < link.up - up < 1.1 * BYTES
        assert link.down - down < 0.1 * BYTES

        link.cut_after(BYTES // 2)
        ended = run([*ssh, server.name, "cat >/tmp/arrived; echo whole"], stdin="x" * BYTES, check=False)
        assert (ended.returncode, ended.stdout, link.cuts) == (255, "", 1)
        wait_until(lambda: server.exec(["pgrep", "-x", "cat"], check=False).returncode == 1, "sshd to end it", 60)
        assert 0 < int(server.exec(["stat", "-c", "%s", "/tmp/arrived"]).stdout) < BYTES // 2


def test_a_server_behind_a_frozen_line_does_not_answer(server: Server) -> None:
    with Link(server.port(22)) as link:
        link.stall()
        ssh = ["ssh", "-F", str(link.ssh_config(server)), "-o", "BatchMode=yes"]
        assert run([*ssh, "-o", "ConnectTimeout=1", server.name, "true"], check=False).returncode == 255
        link.go_on()
        assert run([*ssh, server.name, "true"]).returncode == 0
