"""A bound session changes only with a good proof of its key, and takes each proof once."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from app.sessions.models import MAX_SEEN_PROOFS, End, EndReason, GivenProof, Proof, Session
from app.sessions.outcomes import Active, Ended, ProofFault, ProofRefused, Replayed, Reused, Rotated
from app.sessions.ports import Rotation, Stores
from tests.stores.builders import NOW, SUBJECT, WINDOW, keep, make_session, rotation_of
from tests.support.proofs import proof_of

LOGIN = proof_of(jti=99)
FAULTS: dict[str, tuple[GivenProof, ProofFault]] = {
    "missing": ("missing", "required"),
    "required": ("required", "required"),
    "badly formed": ("invalid", "invalid"),
    "of another key": (proof_of("key-b"), "other_key"),
    "of another key without a nonce": (Proof("key-b", ""), "other_key"),
    "without a nonce": (Proof("key-a", ""), "nonce"),
    "of the login": (LOGIN, "reused"),
}


def bound_session() -> Session:
    return make_session(key_thumbprint="key-a", seen_proofs=LOGIN.id)


def rotation_with(presented: int, proof: GivenProof, **more: Any) -> Rotation:
    return replace(rotation_of(presented), proof=proof, **more)


@pytest.mark.parametrize("presented", [0, 1, 2, 7])
@pytest.mark.parametrize(("proof", "kind"), FAULTS.values(), ids=FAULTS)
async def test_without_a_good_proof_nothing_changes_whichever_token_is_presented(
    store: Stores, presented: int, proof: GivenProof, kind: ProofFault
) -> None:
    session = replace(bound_session(), generation=2)
    await keep(store, session)
    for _ in range(2):
        outcome = await store.sessions.rotate(rotation_with(presented, proof))
        assert outcome == ProofRefused(kind)
    assert await store.sessions.active_sessions(session.subject, NOW) == [session]
    assert isinstance(await store.sessions.rotate(rotation_with(2, proof_of())), Rotated)


async def test_with_good_proofs_a_bound_session_rotates_replays_and_detects_reuse(
    store: Stores,
) -> None:
    await keep(store, bound_session())
    first = await store.sessions.rotate(rotation_with(0, proof_of(jti=1)))
    assert isinstance(first, Rotated)
    again = await store.sessions.rotate(rotation_with(0, proof_of(jti=2)))
    assert isinstance(again, Replayed)
    assert replace(again.session, seen_proofs="") == replace(first.session, seen_proofs="")
    assert await store.sessions.touch("session-a", 1, NOW) == Active(again.session)
    assert await store.sessions.rotate(rotation_with(0, proof_of(jti=3))) == Reused(
        "recent_previous"
    )
    outcome = await store.sessions.rotate(rotation_with(1, proof_of(jti=4)))
    assert outcome == Ended(EndReason.REFRESH_REUSED)


async def test_a_proof_is_accepted_once_also_after_it_was_forgotten(store: Stores) -> None:
    await keep(store, bound_session())
    proofs = [proof_of(made_at=1 + n // 3, jti=n) for n in range(MAX_SEEN_PROOFS + 3)]
    for generation, proof in enumerate(proofs):
        rotated = await store.sessions.rotate(rotation_with(generation, proof))
        assert isinstance(rotated, Rotated)
    (listed,) = await store.sessions.active_sessions(SUBJECT, NOW)
    assert listed.seen_proofs == " ".join(proof.id for proof in proofs[-MAX_SEEN_PROOFS:])
    for proof in (LOGIN, *proofs, proof_of(made_at=0)):
        outcome = await store.sessions.rotate(rotation_with(len(proofs), proof))
        assert outcome == ProofRefused("reused")


async def test_one_of_concurrent_refreshes_with_one_proof_is_accepted(store: Stores) -> None:
    await keep(store, bound_session())
    rotation = rotation_with(0, proof_of())
    outcomes = await asyncio.gather(*(store.sessions.rotate(rotation) for _ in range(20)))
    assert sum(isinstance(outcome, Rotated) for outcome in outcomes) == 1
    assert outcomes.count(ProofRefused("reused")) == 19


@pytest.mark.parametrize("presented", [0, 1], ids=["replayed", "rotated"])
async def test_a_good_proof_binds_a_session_for_good(store: Stores, presented: int) -> None:
    await keep(store, make_session())
    await store.sessions.rotate(rotation_of(0))
    outcome = await store.sessions.rotate(rotation_with(presented, proof_of()))
    assert isinstance(outcome, Rotated | Replayed)
    assert outcome.session.key_thumbprint == "key-a"
    generation = outcome.session.generation
    assert await store.sessions.touch("session-a", generation, NOW) == Active(outcome.session)
    unbound, rebound = [
        await store.sessions.rotate(rotation_with(generation, proof))
        for proof in ("missing", proof_of("key-b", jti=1))
    ]
    assert (unbound, rebound) == (ProofRefused("required"), ProofRefused("other_key"))


@pytest.mark.parametrize("proof", ["invalid", "required", Proof("key-a", "")])
async def test_a_bad_proof_neither_binds_nor_rotates_a_session_without_a_key(
    store: Stores, proof: GivenProof
) -> None:
    session = make_session()
    await keep(store, session)
    assert isinstance(await store.sessions.rotate(rotation_with(0, proof)), ProofRefused)
    assert await store.sessions.touch("session-a", 9, NOW) == Active(session)


async def test_ignored_proofs_change_nothing_about_the_key(store: Stores) -> None:
    await keep(store, bound_session())
    rotated = await store.sessions.rotate(rotation_with(0, "ignored"))
    assert isinstance(rotated, Rotated)
    assert (rotated.session.key_thumbprint, rotated.session.seen_proofs) == ("key-a", LOGIN.id)
    assert isinstance(await store.sessions.rotate(rotation_with(0, "ignored")), Replayed)


async def test_a_dry_run_takes_no_proof(store: Stores) -> None:
    await keep(store, bound_session())
    for _ in range(2):
        outcome = await store.sessions.rotate(rotation_with(0, proof_of(), dry_run=True))
        assert isinstance(outcome, Rotated)


async def test_a_session_that_has_ended_says_so_whatever_the_proof(store: Stores) -> None:
    session = bound_session()
    await keep(store, session)
    await store.sessions.end("session-a", session.subject, End(EndReason.REVOKED, NOW))
    for proof, _ in FAULTS.values():
        outcome = await store.sessions.rotate(rotation_with(0, proof))
        assert outcome == Ended(EndReason.REVOKED)


async def test_the_recovery_window_is_the_same_with_proofs(store: Stores) -> None:
    await keep(store, bound_session())
    await store.sessions.rotate(rotation_with(0, proof_of(jti=1)))
    late = rotation_with(0, proof_of(jti=2), now=NOW + WINDOW)
    assert await store.sessions.rotate(late) == Reused("recent_previous")
