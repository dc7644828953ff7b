"""The ledger alone: its file, its owner, its order, and what a crash leaves."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from allfast.agent import schema
from allfast.agent.database import FILE
from allfast.agent.ledger import Ledger
from allfast.agent.protocol import AgentError, Kind

WHO = {"user": "u", "host": "h"}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path, "chat", "production", create=True)


def release(number: str) -> dict[str, Any]:
    return {"id": number, "services": [], "files": []}


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(AgentError) as caught:
        Ledger(tmp_path, "chat", "production", create=False)
    assert caught.value.kind == Kind.NO_STATE
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_the_groups_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        Ledger(tmp_path, "chat", "production", create=True)
    finally:
        os.umask(before)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize(("app", "target"), [("shop", "production"), ("chat", "staging")])
@pytest.mark.parametrize("create", [True, False])
def test_it_belongs_to_one_app_and_target(tmp_path: Path, ledger: Ledger, app: str, target: str, create: bool) -> None:
    with pytest.raises(AgentError) as caught:
        Ledger(tmp_path, app, target, create)
    assert caught.value.kind == Kind.FOREIGN_DEPLOYMENT


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path, ledger: Ledger) -> None:
    ledger.close()
    database = sqlite3.connect(tmp_path / FILE)
    database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    database.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(AgentError) as caught:
        Ledger(tmp_path, "chat", "production", create=True)
    assert caught.value.kind == Kind.OLDER_ALLFAST
    assert (tmp_path / FILE).read_bytes() == before


def test_a_failed_migration_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE more (a)", "no such statement")))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    with pytest.raises(AgentError) as caught:
        Ledger(tmp_path, "chat", "production", create=True)
    assert caught.value.kind == Kind.BROKEN_LEDGER
    database = sqlite3.connect(tmp_path / FILE)
    assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(AgentError) as caught:
        Ledger(tmp_path, "chat", "production", create=True)
    assert caught.value.kind == Kind.BROKEN_LEDGER


def test_ids_of_one_second_differ_in_their_time(ledger: Ledger) -> None:
    ids = [ledger.mint("abcdef0") for _ in range(5)]
    assert len({one[:15] for one in ids}) == 5
    assert ids == sorted(ids)


def test_one_release_is_live(ledger: Ledger) -> None:
    for number in ("a", "b", "c"):
        ledger.put_release(release(number))
    for number in ("a", "b", "a"):
        ledger.set_state(number, "live")
    assert [(one["id"], state) for one, state in ledger.releases()] == [
        ("c", "prepared"),
        ("b", "retired"),
        ("a", "live"),
    ]
    ledger.put_release({**release("a"), "proven": True})
    assert ledger.live() == {**release("a"), "proven": True}
    with pytest.raises(AgentError) as caught:
        ledger.set_state("nowhere", "live")
    assert caught.value.kind == Kind.NOT_FOUND
    assert ledger.live() == {**release("a"), "proven": True}


def test_order_is_that_of_the_rows_when_the_clock_goes_back(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for now in (1000.0, 500.0):
        monkeypatch.setattr("time.time", lambda now=now: now)
        run = ledger.begin_run("deploy", WHO, f"r{now:.0f}", {})
        ledger.update_run(run, {"outcome": "done"})
    assert [run["release"] for run in ledger.history(9)] == ["r500", "r1000"]


def test_what_was_written_is_there_after_a_crash(tmp_path: Path, ledger: Ledger) -> None:
    program = f"""
import os
from pathlib import Path
from allfast.agent.ledger import Ledger
ledger = Ledger(Path({str(tmp_path)!r}), "chat", "production", create=False)
run = ledger.begin_run("deploy", {WHO!r}, "r", {{}})
ledger.begin_step(run, "start", {{}})
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", program], check=False, env={**os.environ, "PYTHONPATH": "src"})
    unfinished = ledger.unfinished()
    assert unfinished is not None
    assert [step["outcome"] for step in ledger.run(unfinished["id"])["journal"]] == [""]


def test_a_wrong_key_of_a_run_is_refused(ledger: Ledger) -> None:
    run = ledger.begin_run("deploy", WHO, "r", {})
    with pytest.raises(AgentError) as caught:
        ledger.update_run(run, {"kind = 'x', message": "y"})
    assert caught.value.kind == Kind.BAD_REQUEST


def test_forgetting_runs_forgets_their_journals(ledger: Ledger) -> None:
    for _ in range(3):
        run = ledger.begin_run("deploy", WHO, "r", {})
        ledger.begin_step(run, "start", {})
        ledger.add_phase(run, "build", 1.0)
    ledger.forget_runs(1)
    assert [run["id"] for run in ledger.history(9)] == [3]
    assert [ledger._row(f"SELECT count(*) FROM {table}")[0] for table in ("journal", "phases")] == [1, 1]


def arrived(engine_id: str) -> dict[str, Any]:
    return {
        "engine_id": engine_id,
        "config_digest": "c",
        "service": "web",
        "inputs": f"inputs-{engine_id}",
        "method": "quick",
        "commit": "abc",
        "tag": "t",
        "created": 1.0,
        "diff_ids": ["l1", engine_id],
        "sent": 12,
    }


def test_an_image_is_recorded_with_what_it_took(ledger: Ledger) -> None:
    ledger.put_images([arrived("a"), {**arrived("b"), "sent": None}])
    assert {name: one["sent"] for name, one in ledger.images().items()} == {"a": 12, "b": None}


def test_stale_builds_stay_known_without_their_image(ledger: Ledger) -> None:
    ledger.put_images([arrived(one) for one in ("a", "b", "c", "d")])
    ledger.mark_stale(["a", "b", "c"])
    ledger.forget_images(["c"], keep_stale=2)
    assert list(ledger.images()) == ["b", "c"], "the newest two; d is neither kept nor stale"
    assert ledger.stale() == [
        {"service": "web", "inputs": f"inputs-{one}", "diff_ids": ["l1", one]} for one in ("c", "b")
    ]
    ledger.put_images([arrived("b")])
    assert ledger.images()["b"]["stale"], "it came back, and is what it was"


def test_an_older_ledger_is_read_as_it_is_and_migrated_by_who_changes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as old:
        old.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        old.setattr(schema, "VERSION", 1)
        ledger = Ledger(tmp_path, "chat", "production", create=True)
    ledger._db.execute("INSERT INTO images VALUES ('a', 'c', 'web', 'i', 'quick', 's', 't', 1, 0)")
    ledger.close()
    before = (tmp_path / FILE).read_bytes()
    known = [{"service": "web", "inputs": "i", "diff_ids": []}]
    reader = Ledger(tmp_path, "chat", "production", create=False)
    assert reader.stale() == known
    assert reader.images()["a"]["sent"] is None
    reader.close()
    assert (tmp_path / FILE).read_bytes() == before
    assert Ledger(tmp_path, "chat", "production", create=True).stale() == known
