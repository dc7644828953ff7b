"""A request under way hears notes, whatever they lead to."""

from typing import Any

from allfast.remote.call import Call


def test_notes_are_heard_also_after_one_that_could_not_be_borne() -> None:
    """They may be what makes room for more; the first failure counts."""
    heard: list[int] = []

    def fail(note: dict[str, Any]) -> None:
        heard.append(note["at"])
        raise RuntimeError(str(note["at"]))

    call = Call(note=fail)
    for at in (1, 2):
        call.hear({"at": at})
    assert heard == [1, 2]
    assert str(call.failure) == "1"
