"""What is kept on a server comes back as it was, and leads nowhere else."""

import tarfile
import time
from dataclasses import replace

import pytest

from allfast.errors import RefusedError, RemoteError
from allfast.model.release import DataService, ReleaseState
from allfast.model.service import BuildInputs, FileEntry
from allfast.remote import server as remote
from allfast.remote.failures import AgentRefusal
from testbed.common import run
from testbed.server import Server
from tests.e2e.remote.doors import connect, entry, release, tar

pytestmark = pytest.mark.e2e


def test_the_second_command_does_not_send_the_agent_again(server: Server) -> None:
    with connect(server) as one, one.lock("first"):
        pass
    (kept,) = server.exec(["sh", "-c", "ls /home/deploy/.cache/allfast"]).stdout.split()
    server.exec(["sh", "-c", f"echo broken >/home/deploy/.cache/allfast/{kept}"])
    with connect(server) as one, pytest.raises(RemoteError):
        one.facts()  # it ran what was kept


def test_old_agents_do_not_pile_up(server: Server) -> None:
    folder = "/home/deploy/.cache/allfast"
    old = " ".join(f"agent-{number}.pyz" for number in range(9))
    server.exec(["sh", "-c", f"mkdir -p {folder} && cd {folder} && touch -d 2020-01-01 {old}"], user="deploy")
    with connect(server) as one, one.lock("first"):
        pass
    assert len(server.exec(["ls", folder]).stdout.split()) == 3


def test_two_logins_share_one_state(server: Server) -> None:
    for login in ("deploy", "root", "ops", "deploy"):
        with connect(server, login) as one, one.lock(f"by {login}"):
            run_number = one.begin_run("deploy", {"login": login})
            with one.step("change", {"a": 1}):
                one.put_files(*tar((entry("a/b"), login.encode())))
                one.put_release(release(one.new_release_id("abcdef0")), "{}")
            one.end_run(run_number, "done")
    with connect(server, "ops") as one, one.lock("prune"):
        assert len(one.history()) == len(one.releases()) == 4
        removed = one.prune([], 1 << 30)
        assert (len(removed["releases"]), len(removed["files"])) == (4, 3)


def test_what_was_sent_and_never_loaded_is_bounded(server: Server) -> None:
    """The layers of deploys whose build failed: those that came last stay."""
    with connect(server) as one, one.lock("prune"):
        one.begin_run("deploy", {})
        for age in range(3):
            name = f"{one.folder}/layers/{age:064x}.tar"
            make = f"mkdir -p {one.folder}/layers && head -c 1000000 /dev/zero >{name} && touch -d @{age + 1} {name}"
            server.exec(["sh", "-c", f"umask 007; {make}"], user="deploy")
        one.prune([], 2_000_000)
        left = server.exec(["ls", f"{one.folder}/layers"]).stdout.split()
    assert left == [f"{1:064x}.tar", f"{2:064x}.tar"]


def test_another_state_folder(server: Server) -> None:
    with connect(server, state_dir="/srv/deep/er/state") as one, one.lock("make it"):
        assert one.folder == "/srv/deep/er/state/chat"
    assert server.exec(["stat", "-c", "%A %G", "/srv/deep/er/state"]).stdout.split() == ["drwxrws---", "docker"]


def test_a_name_that_belongs_to_another_app_is_refused(server: Server) -> None:
    with connect(server) as one, one.lock("first"):
        pass
    before = server.snapshot()
    for app, target in (("shop", "production"), ("chat", "staging")):
        with connect(server, app=app, target=target) as other:
            with pytest.raises(RefusedError, match='belongs to app "chat", target "production"'):
                other.facts()
            with pytest.raises(RefusedError, match="belongs to app"), other.lock("take it over"):
                pass
    assert before.changes(server.snapshot()) == []


def test_the_ledger_of_a_newer_allfast_is_refused(server: Server) -> None:
    with connect(server) as one, one.lock("first"):
        pass
    newer = (
        "import sqlite3; sqlite3.connect('/var/lib/allfast/chat/ledger.sqlite3').execute('PRAGMA user_version = 99')"
    )
    server.exec(["python3", "-c", newer])
    with connect(server) as one, pytest.raises(RefusedError, match="newer allfast"):
        one.facts()


def test_a_release_comes_back_as_it_was(server: Server) -> None:
    with connect(server) as one, one.lock("deploy"):
        first, second = one.new_release_id("abcdef0"), one.new_release_id("abcdef0-dirty")
        assert first < second
        for number in (first, second):
            one.put_release(release(number), '{"services": {"é": 1}}')
            one.set_state(number, ReleaseState.LIVE)
        assert one.facts().live == release(second)
        live, (former, state) = one.releases()
        assert live == (release(second), ReleaseState.LIVE)
        assert former.retired == pytest.approx(time.time(), abs=60), "when its successor went live"
        assert (replace(former, retired=0.0), state) == (release(first), ReleaseState.RETIRED)
        assert one.get_release(first) == remote.StoredRelease(former, '{"services": {"é": 1}}')
        with pytest.raises(AgentRefusal) as refusal:
            one.get_release("20200101-000000-abcdef0")
        assert refusal.value.kind == "not-found"


def test_runs_inputs_images_and_data_come_back_as_they_were(server: Server) -> None:
    files = tuple(FileEntry(f"src/{number}.py", "644", f"{number:064}") for number in range(3000))
    inputs = BuildInputs("d1", "linux/amd64", "", (("A", "b"),), "f", "", (("python:3", "sha256:1"),), files)
    with connect(server) as one, one.lock("deploy"):
        number = one.begin_run("deploy", {"why": ["this"]}, "r1")
        assert one.facts().unfinished is None  # it is under way
        with one.step("pull", {"image": "a"}), pytest.raises(ValueError, match="x"), one.step("start"):
            raise ValueError("x")
        one.add_phase(number, "build", 1.5)
        one.put_services(number, [("web", "quick", "because")])
        one.end_run(number, "failed", "it broke", wire_bytes=7)
        record = one.run(number)
        assert (record.run.outcome, record.run.message, record.run.wire_bytes, record.run.release) == (
            ("failed", "it broke", 7, "r1")
        )
        assert (record.run.phases, record.run.services) == ((("build", 1.5),), (("web", "quick", "because"),))
        assert [(step.step, step.detail, step.outcome) for step in record.journal] == [
            ("pull", {"image": "a"}, "done"),
            ("start", {}, "failed"),
        ]
        one.put_inputs(inputs)
        assert one.inputs("d1") == inputs
        assert one.inputs("d2") is None
        one.record_data([DataService("redis", "s", "redis:8")])
        assert one.facts().data == (DataService("redis", "s", "redis:8"),)
        assert one.facts().unfinished is None


def test_what_is_known_of_images_stands_in_the_facts(server: Server) -> None:
    server.exec(["sh", "-c", "tar c -T /dev/null | docker import -c 'LABEL allfast.deployment=chat' - chat/web:1"])
    engine_id = server.docker("image", "inspect", "-f", "{{.Id}}", "chat/web:1").stdout.strip()
    with connect(server) as one, one.lock("deploy"):
        image = remote.ArrivedImage(engine_id, "sha256:conf", "web", "i1", "quick", "abc", "chat/web:1", 1.0)
        one.record_images([image])
        one.mark_stale([engine_id])
        one.record_images([image])
        assert [(i.config_digest, i.stale) for i in one.facts().images] == [("sha256:conf", True)]


def test_file_sets_keep_their_modes_and_stay_where_they_are(server: Server) -> None:
    digest, data = tar(
        (entry("conf", 0o755, tarfile.DIRTYPE), b""),
        (entry("conf/run.sh", 0o755), b"#!"),
        (entry("conf/secret", 0o600), b"s" * 300_000),
        (entry("link", 0o777, tarfile.SYMTYPE, "conf/run.sh"), b""),
    )
    with connect(server) as one, one.lock("deploy"):
        folder = one.put_files(digest, data)
        assert folder == one.put_files(digest, data) == f"/var/lib/allfast/chat/files/{digest}"
        assert one.ensure_data(["uploads", "a/b"]) == [f"{one.folder}/data/uploads", f"{one.folder}/data/a/b"]
    found = server.exec(["find", folder, "-printf", "%P %M %s\n"]).stdout.splitlines()
    assert {"conf/run.sh -rwxr-xr-x 2", "conf/secret -rw------- 300000"} <= set(found)
    assert server.exec(["readlink", f"{folder}/link"]).stdout == "conf/run.sh\n"
    assert server.exec(["stat", "-c", "%a", "/var/lib/allfast/chat/data/a/b"]).stdout == "755\n"


@pytest.mark.parametrize(
    "members",
    [
        [(entry("../escaped"), b"x")],
        [(entry("/tmp/escaped"), b"x")],
        [(entry("a", 0o777, tarfile.SYMTYPE, "/tmp"), b""), (entry("a/escaped"), b"x")],
        [(entry("a", 0o644, tarfile.LNKTYPE, "/etc/passwd"), b"")],
        [(entry("a", 0o644, tarfile.FIFOTYPE), b"")],
    ],
)
def test_no_file_set_leads_out_of_its_folder(server: Server, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with connect(server, "root") as one, one.lock("deploy"):
        before = server.snapshot()
        with pytest.raises(AgentRefusal) as refusal:
            one.put_files(*tar(*members))
        assert refusal.value.kind == "bad-request"
        with pytest.raises(AgentRefusal, match="digest"):
            one.put_files("0" * 64, tar((entry("a"), b"x"))[1])
        server.exec(["rmdir", "/var/lib/allfast/chat/files"])
        assert before.changes(server.snapshot()) == []
        assert one.facts().live is None  # the connection goes on


def test_nothing_secret_is_in_a_process_list(server: Server) -> None:
    with connect(server) as one, one.lock("deploy"):
        one.put_release(release(one.new_release_id("abcdef0")), '{"password": "s3ntinel"}')
        assert "s3ntinel" not in server.exec(["ps", "axww"]).stdout + run(["ps", "axww"]).stdout
        assert (
            "s3ntinel" not in server.exec(["strings", "-a", "/var/lib/allfast/chat/ledger.sqlite3"], check=False).stdout
        )
