"""An app and target that are live under another deployment name."""

from pathlib import Path
from typing import Any, cast

import pytest

from allfast.agent.docker import Docker
from allfast.agent.guard import Guard
from allfast.agent.ledger import Ledger
from allfast.agent.protocol import AgentError, Kind
from allfast.agent.requests import Context


def deployment(base: Path, name: str, target: str, *, state: str = "live") -> None:
    (base / name).mkdir()
    ledger = Ledger(base / name, "tiny", target, create=True)
    ledger.put_release({"id": "R1", "services": [], "files": []})
    ledger.set_state("R1", state)
    ledger.close()


def asked(base: Path, name: str, target: str) -> Context:
    args: dict[str, Any] = {"deployment": name, "app": "tiny", "target": target, "state_dir": str(base)}
    return Context(args, cast(Docker, None), cast(Guard, None))


@pytest.mark.parametrize(("old", "new"), [("tiny", "tiny-production"), ("tiny-production", "tiny")])
def test_a_target_that_is_live_under_another_name_is_refused(tmp_path: Path, old: str, new: str) -> None:
    deployment(tmp_path, old, "production")
    with pytest.raises(AgentError) as caught:
        asked(tmp_path, new, "production").ledger_if_any()
    assert caught.value.kind == Kind.FOREIGN_DEPLOYMENT
    assert f'is live here as deployment "{old}"' in caught.value.message
    assert "default_target" in caught.value.hint
    (tmp_path / new).mkdir()
    with pytest.raises(AgentError):
        asked(tmp_path, new, "production").ledger(create=True)


def test_other_targets_and_those_that_are_live_themselves_are_not(tmp_path: Path) -> None:
    assert asked(tmp_path / "nothing", "tiny", "production").ledger_if_any() is None
    deployment(tmp_path, "tiny", "production")
    assert asked(tmp_path, "tiny-staging", "staging").ledger_if_any() is None
    deployment(tmp_path, "tiny-old", "production", state="prepared")
    assert asked(tmp_path, "tiny", "production").ledger_if_any() is not None


def test_a_ledger_that_cannot_be_read_is_somebody_elses_trouble(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/ledger.sqlite3").write_bytes(b"nonsense" * 100)
    assert asked(tmp_path, "tiny", "production").ledger_if_any() is None
