"""A bound session changes only with a good proof of its key, and takes each proof once."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from app.sessions.models import MAX_SEEN_PROOFS, EndReason, GivenProof, Proof
from app.sessions.outcomes import Active, Ended, ProofFault, ProofRefused, Replayed, Reused, Rotated
from app.sessions.ports import Stores
from tests.stores.builders import NOW, SUBJECT, WINDOW, make_session
from tests.stores.steps import Act, add, end, play, rotate, run, touch
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
REUSED = ProofRefused("reused")
BOUND: dict[str, Any] = {"key_thumbprint": "key-a", "seen_proofs": LOGIN.id}


@pytest.fixture
async def bound(store: Stores) -> Stores:
    """A store with a bound session."""
    await run(store, add(**BOUND))
    return store


def rotate_with(presented: int, jti: int) -> Act:
    return rotate(presented, proof=proof_of(jti=jti))


@pytest.mark.parametrize("presented", [0, 1, 2, 7])
@pytest.mark.parametrize(("proof", "kind"), FAULTS.values(), ids=FAULTS)
async def test_without_a_good_proof_nothing_changes_whichever_token_is_presented(
    store: Stores, presented: int, proof: GivenProof, kind: ProofFault
) -> None:
    await run(store, add(**BOUND, generation=2))
    await play(store, *[(rotate(presented, proof=proof), ProofRefused(kind))] * 2)
    unchanged = [make_session(**BOUND, generation=2)]
    assert await store.sessions.active_sessions(SUBJECT, NOW) == unchanged
    await play(store, (rotate_with(2, 0), Rotated))


async def test_with_good_proofs_a_bound_session_rotates_replays_and_detects_reuse(
    bound: Stores,
) -> None:
    first, again = await rotate_with(0, 1)(bound), await rotate_with(0, 2)(bound)
    assert isinstance(first, Rotated)
    assert isinstance(again, Replayed)
    assert replace(again.session, seen_proofs="") == replace(first.session, seen_proofs="")
    await play(
        bound,
        *((touch(1), Active(again.session)), (rotate_with(0, 3), Reused("recent_previous"))),
        (rotate_with(1, 4), Ended(EndReason.REFRESH_REUSED)),
    )


async def test_a_proof_is_accepted_once_also_after_it_was_forgotten(bound: Stores) -> None:
    proofs = [proof_of(made_at=1 + n // 3, jti=n) for n in range(MAX_SEEN_PROOFS + 3)]
    for generation, proof in enumerate(proofs):
        await play(bound, (rotate(generation, proof=proof), Rotated))
    (listed,) = await bound.sessions.active_sessions(SUBJECT, NOW)
    assert listed.seen_proofs == " ".join(proof.id for proof in proofs[-MAX_SEEN_PROOFS:])
    for proof in (LOGIN, *proofs, proof_of(made_at=0)):
        await play(bound, (rotate(len(proofs), proof=proof), REUSED))


async def test_one_of_concurrent_refreshes_with_one_proof_is_accepted(bound: Stores) -> None:
    outcomes = await asyncio.gather(*(rotate_with(0, 0)(bound) for _ in range(20)))
    assert sum(isinstance(outcome, Rotated) for outcome in outcomes) == 1
    assert outcomes.count(REUSED) == 19


@pytest.mark.parametrize("presented", [0, 1], ids=["replayed", "rotated"])
async def test_a_good_proof_binds_a_session_for_good(store: Stores, presented: int) -> None:
    await run(store, add(), rotate(0))
    outcome = await rotate_with(presented, 0)(store)
    assert isinstance(outcome, Rotated | Replayed)
    assert outcome.session.key_thumbprint == "key-a"
    generation = outcome.session.generation
    await play(
        store,
        *(
            (touch(generation), Active(outcome.session)),
            (rotate(generation), ProofRefused("required")),
        ),
        (rotate(generation, proof=proof_of("key-b", jti=1)), ProofRefused("other_key")),
    )


@pytest.mark.parametrize("proof", ["invalid", "required", Proof("key-a", "")])
async def test_a_bad_proof_neither_binds_nor_rotates_a_session_without_a_key(
    store: Stores, proof: GivenProof
) -> None:
    await run(store, add())
    await play(store, (rotate(0, proof=proof), ProofRefused), (touch(9), Active(make_session())))


async def test_ignored_proofs_change_nothing_about_the_key(bound: Stores) -> None:
    ignoring = rotate(0, proof="ignored")
    rotated = await ignoring(bound)
    assert isinstance(rotated, Rotated)
    assert (rotated.session.key_thumbprint, rotated.session.seen_proofs) == ("key-a", LOGIN.id)
    await play(bound, (ignoring, Replayed))


async def test_a_dry_run_takes_no_proof(bound: Stores) -> None:
    await play(bound, *[(rotate(0, proof=proof_of(), dry_run=True), Rotated)] * 2)


async def test_a_session_that_has_ended_says_so_whatever_the_proof(bound: Stores) -> None:
    await run(bound, end(EndReason.REVOKED))
    for proof, _ in FAULTS.values():
        await play(bound, (rotate(0, proof=proof), Ended(EndReason.REVOKED)))


async def test_the_recovery_window_is_the_same_with_proofs(bound: Stores) -> None:
    late = rotate(0, NOW + WINDOW, proof=proof_of(jti=2))
    await play(bound, (rotate_with(0, 1), Rotated), (late, Reused("recent_previous")))
