"""Tickets in the hands of logins, over keys that lie in different slots.

A ticket, its idempotency key and its session cannot be written in one step, so for each question
one key decides. That a ticket has become a session is decided in its claim, which then carries all
that is needed to open it until that is done: whoever comes with the same idempotency key finishes
what an opener that died has left. Which ticket an idempotency key goes with is decided in the
claims too; the key's own entry only says where to look, and is void if the claim says otherwise.
"""

from typing import Any

from app.sessions.models import Session
from app.sessions.ports import (
    Active,
    Banned,
    Claim,
    Claimed,
    ClaimHeld,
    KeyTaken,
    Opened,
    Redeemed,
    SessionLimits,
)
from app.stores.redis import scripts, sessions
from app.stores.redis.codec import epoch, instant, pack, unpack
from app.stores.redis.engine import RedisEngine, Word
from app.stores.redis.keys import claim_key, idempotency_key


async def take(engine: RedisEngine, claim: Claim) -> Claimed | ClaimHeld | Redeemed | KeyTaken:
    """Claim the ticket, or say who has it."""
    reply = await engine.run(scripts.TAKE, [_key(claim)], claim.now, *_words(claim))
    if claim.key_hash is not None and await _serves_another(engine, claim, claim.key_hash):
        if reply == [b"claimed"]:
            await release(engine, claim)
        return KeyTaken()
    match reply:
        case [b"claimed"]:
            return Claimed()
        case [b"held", lease_ends_at]:
            return ClaimHeld(instant(lease_ends_at))
        case _:
            return await _redeemed(engine, claim, reply)


async def release(engine: RedisEngine, claim: Claim) -> None:
    """Forget the claim if it is still this holder's and became no session."""
    await engine.run(scripts.RELEASE, [_key(claim)], claim.now, claim.holder)


async def open_session(
    engine: RedisEngine, claim: Claim, session: Session, limits: SessionLimits
) -> Opened | Redeemed | Banned:
    """Turn the ticket into this session, if it has not become one.

    It need not be ours any more: a holder that was slow, and was taken over, may be the only one
    whom the provider told who the user is. Whoever comes first with a session makes it.
    """
    words = (*_words(claim), session.id, pack(session, limits))
    reply = await engine.run(scripts.REDEEM, [_key(claim)], session.created_at, *words)
    if reply != [b"ours"]:
        return await _redeemed(engine, claim, reply)
    return await _finish(engine, claim, session, limits)


async def _finish(
    engine: RedisEngine, claim: Claim, session: Session, limits: SessionLimits
) -> Opened | Banned:
    outcome = await sessions.add(engine, session, limits)
    if isinstance(outcome, Banned):
        words = (claim.holder, session.id)
        await engine.run(scripts.UNREDEEM, [_key(claim)], session.created_at, *words)
    else:
        await engine.do("HDEL", _key(claim), "pending")
    return outcome


async def _redeemed(engine: RedisEngine, claim: Claim, reply: Any) -> Redeemed:
    _, session_id, key_hash, pending = reply
    if claim.key_hash is None or key_hash != claim.key_hash.hex().encode():
        return Redeemed(None)
    if pending:
        await _finish(engine, claim, *unpack(pending))
    found = await sessions.find(engine, session_id.decode(), claim.now)
    if isinstance(found, Active) and found.session.generation == 0:
        return Redeemed(found.session)
    return Redeemed(None)


async def _serves_another(engine: RedisEngine, claim: Claim, key_hash: bytes) -> bool:
    """Whether the idempotency key goes with another ticket; if not, it goes with this one now."""
    ours, void = claim.ticket_hash.hex(), ""
    life = int((claim.expires_at - claim.now).total_seconds())
    while True:
        words: tuple[Word, ...] = (ours, life, void)
        noted = await engine.run(scripts.RESERVE, [idempotency_key(key_hash)], claim.now, *words)
        if noted.decode() == ours:
            return False
        void = noted.decode()
        other = await engine.do("HMGET", claim_key(bytes.fromhex(void)), "key_hash", "expires_at")
        if other[0] == key_hash.hex().encode() and int(other[1]) > epoch(claim.now):
            return True


def _key(claim: Claim) -> str:
    return claim_key(claim.ticket_hash)


def _words(claim: Claim) -> tuple[Word, ...]:
    key_hash = claim.key_hash.hex() if claim.key_hash is not None else ""
    return claim.holder, key_hash, epoch(claim.lease_ends_at), epoch(claim.expires_at)
