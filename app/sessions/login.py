"""From a ticket to a session, once, however often the app has to ask (promises 1 and 2).

The ticket is claimed in the store before Authing is asked, so that it becomes one session at any
concurrency. An app whose answer was lost asks again with the same idempotency key and gets the
same session. A login whose app has hung up is finished all the same: its retry finds the session.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import assert_never

from app.errors import (
    IdempotencyKeyMismatch,
    LoginInProgress,
    StoreUnavailable,
    TicketUsed,
    UserBanned,
)
from app.sessions.issuer import SessionIssuer
from app.sessions.models import Device, Ending, Session, TokenPair
from app.sessions.ports import (
    Audit,
    Banned,
    Claim,
    Claimed,
    ClaimHeld,
    Clock,
    IdentityProvider,
    KeyTaken,
    Opened,
    Redeemed,
    SessionLimits,
    SessionStore,
)

_RETRY_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Login:
    """What the app brings. The key is its own name for this login, the same in every retry."""

    ticket: str = field(repr=False)
    device: Device | None = None
    idempotency_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ClaimTimes:
    """`lease`: longer than any exchange takes. `ticket_life`: longer than any ticket lives."""

    lease: timedelta
    ticket_life: timedelta


@dataclass(frozen=True, slots=True)
class LoginService:
    """Opens sessions. One object a process: logins with the same ticket meet in it."""

    identity_provider: IdentityProvider
    store: SessionStore
    issuer: SessionIssuer
    times: ClaimTimes
    limits: SessionLimits
    clock: Clock
    audit: Audit
    _under_way: dict[bytes, asyncio.Task[TokenPair]] = field(default_factory=dict, init=False)

    async def open(self, login: Login) -> TokenPair:
        """Exchange a ticket for its one session.

        Raises:
            TicketUsed: it has become a session already, and this is no retry of that login.
            IdempotencyKeyMismatch: the key was used with another ticket.
            LoginInProgress: another instance is exchanging the ticket.
            LoginRefused, UserBanned: a definite no.
            AuthingError: no verdict could be had; no session was made, the ticket may be retried.
            StoreUnavailable: the session could not be kept.
        """
        ticket_hash = _digest(login.ticket)
        first = self._under_way.get(ticket_hash)
        if first is not None:
            # What went wrong there went wrong for all, unless it was about the key.
            with suppress(IdempotencyKeyMismatch):
                await asyncio.shield(first)
            return await self._attempt(login)
        task = asyncio.create_task(self._attempt(login))
        self._under_way[ticket_hash] = task
        task.add_done_callback(partial(self._landed, ticket_hash))
        return await asyncio.shield(task)

    def _landed(self, ticket_hash: bytes, task: asyncio.Task[TokenPair]) -> None:
        del self._under_way[ticket_hash]
        if not task.cancelled():
            task.exception()  # looked at, even if everybody who waited has hung up

    async def _attempt(self, login: Login) -> TokenPair:
        claim = self._new_claim(login)
        match await self.store.claim(claim):
            case Claimed():
                return await self._redeem(login, claim)
            case Redeemed(session):
                return self._same_again(session)
            case ClaimHeld(lease_ends_at):
                remaining = int((lease_ends_at - claim.now).total_seconds())
                raise LoginInProgress(retry_after=min(remaining, _RETRY_SECONDS))
            case KeyTaken():
                raise IdempotencyKeyMismatch
            case unreachable:
                assert_never(unreachable)

    async def _redeem(self, login: Login, claim: Claim) -> TokenPair:
        try:
            identity = await self.identity_provider.exchange(login.ticket)
            session = self.issuer.new_session(identity, login.device, self.clock())
            outcome = await self.store.open(claim, session, self.limits)
        except Exception:
            await self._release(claim)
            raise
        match outcome:
            case Opened(replaced):
                self._note(session, replaced)
                return self.issuer.token_pair(session, session.created_at)
            case Redeemed(other):
                return self._same_again(other)
            case Banned(until):
                raise UserBanned(until)
            case also_unreachable:
                assert_never(also_unreachable)

    async def _release(self, claim: Claim) -> None:
        with suppress(StoreUnavailable):  # then the lease runs out by itself
            await self.store.release(claim)

    def _same_again(self, session: Session | None) -> TokenPair:
        if session is None:
            raise TicketUsed
        self.audit("login_replayed", session_id=session.id)
        return self.issuer.token_pair(session, self.clock(), replayed=True)

    def _note(self, session: Session, replaced: Sequence[str]) -> None:
        self.audit("session_opened", session_id=session.id)
        for session_id in replaced:
            self.audit("session_ended", session_id=session_id, reason=Ending.REPLACED)

    def _new_claim(self, login: Login) -> Claim:
        now = self.clock()
        key = login.idempotency_key
        return Claim(
            ticket_hash=_digest(login.ticket),
            key_hash=_digest(key) if key is not None else None,
            holder=secrets.token_urlsafe(16),
            now=now,
            lease_ends_at=now + self.times.lease,
            expires_at=now + max(self.times.ticket_life, self.times.lease),
        )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
