"""A release that visitors get before it was proven: its proof is finished, or the release before it comes back."""

from __future__ import annotations

import dataclasses

from allfast.errors import AllfastError, AttentionError, RolloutError, VerifyError
from allfast.images import server_images
from allfast.model.release import Release, ReleaseState
from allfast.model.service import Kind
from allfast.pipeline import beside, converge, record, rollout, switch, verify
from allfast.pipeline.context import Context
from allfast.pipeline.rollout import Prepared
from allfast.pipeline.verify import Proof


def finish(context: Context, live: Release) -> Proof:
    """Have the live release run as recorded, prove it, and record what came of it.

    Raises:
        RolloutError, VerifyError: it does not come up, or is wrong; the release before it serves again.
        AttentionError: it is wrong, and there is none to go back to, or that one did not come up.
    """
    mine = rollout.stored(context, live.id)
    try:
        if beside.is_beside(live):
            converge.converge(context, mine)
        with context.stage("verify") as words:
            proof = verify.prove(context, live)
            words.append("proven" if proof.proven else "not everything could be asked")
    except (RolloutError, VerifyError) as cause:
        _go_back(context, mine, cause)
        if isinstance(cause, VerifyError):
            switch.mark_stale(context, live, cause.stale)
        raise
    record.go_live(context, live, proven=proof.proven)
    return proof


def require(release: Release, proof: Proof) -> None:
    """Raises AttentionError where not everything could be asked: the release serves, but a person must look."""
    if not proof.proven:
        again = "see why it cannot be asked from here, then run the same deploy again: it proves the release"
        hint = "; ".join(dict.fromkeys(f.hint or again for f in proof.open))
        raise AttentionError(f"{release.id} is live, but could not be proven: {proof.unasked}", hint=hint)


def _go_back(context: Context, wrong: Prepared, cause: AllfastError) -> None:
    """Give visitors the release before; the ledger has it as the live one first, so whoever dies here is no matter.

    Raises:
        AttentionError: there is none, or it did not come up; both causes are told.
    """
    before = _before(context, wrong.release)
    if before is None:
        raise AttentionError(
            f"{wrong.release.id} is live and is wrong ({cause.message}), and no earlier release is at hand",
            hint="correct the cause and deploy again; until then it serves as it is",
            evidence=cause.evidence,
        ) from cause
    record.go_live(context, before.release, proven=before.release.proven)
    with context.step("take back", release=wrong.release.id):
        context.server.set_state(wrong.release.id, ReleaseState.PREPARED)
    context.went_live = False  # what this run is about is not live
    change = switch.Switch(to=wrong, back=before, new=switch.changed(before.release, wrong.release), gone=())
    switch.put_back(context, change, cause)


def _before(context: Context, live: Release) -> Prepared | None:
    """The release that retired last, None where none is at hand with all its images."""
    retired = [r for r, state in context.releases() if state is ReleaseState.RETIRED and not r.canary]
    found = max(retired, key=lambda release: release.retired, default=None)
    if found is None:
        return None
    engine_ids = [s.image.engine_id for s in found.services if s.kind is Kind.RELEASE]
    if any(server_images.inspect(context.server.engine, id_) is None for id_ in engine_ids):
        return None
    before = rollout.stored(context, found.id)
    # how a release comes up is today's choice: its stored file serves for both ways
    return Prepared(dataclasses.replace(before.release, strategy=live.strategy), before.document)
