"""Login: one ticket becomes one session (promises 1 and 2).

The ticket is leased in the store before Authing is asked, so it becomes one session at any
concurrency. An app that lost the response sends the same idempotency key again and gets the same
session. A login is finished even if its app has disconnected, so that a retry finds the session.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import assert_never

from app import errors
from app.events import Events
from app.sessions.issuer import TokenIssuer
from app.sessions.models import Device, EndReason, GivenProof, Session, TokenPair
from app.sessions.outcomes import Acquired, AlreadyUsed, Banned, Held, KeyConflict, Opened
from app.sessions.ports import Clock, IdentityProvider, SessionLimits, TicketLease, TicketStore
from app.sessions.proofs import ProofVerifier, SentProof, note_proof
from app.sessions.sessions import record_ended

_MAX_RETRY_AFTER = 2
_VERSION = re.compile(r"v?[0-9][0-9A-Za-z._+() -]{0,31}")
_LONG_NUMBER = re.compile(r"[0-9]{9}")
"""A number of nine digits may be that of a phone."""


@dataclass(frozen=True, slots=True)
class Login:
    """One request for a login. `idempotency_key` is the same in every retry of it.

    `network` is the network of the client: one network may not use up the slots of all.
    """

    ticket: str = field(repr=False)
    device: Device = field(default_factory=Device, repr=False)
    idempotency_key: str | None = field(default=None, repr=False)
    network: str = field(default="", repr=False)
    proof: SentProof | None = None


@dataclass(frozen=True, slots=True)
class LoginService:
    """Exchanges tickets for sessions.

    One object for each process: concurrent logins with the same ticket wait for each other here.
    `lease_life` is longer than any exchange takes, `ticket_life` longer than any ticket lives.
    """

    identity_provider: IdentityProvider
    tickets: TicketStore
    issuer: TokenIssuer
    proofs: ProofVerifier
    lease_life: timedelta
    ticket_life: timedelta
    limits: SessionLimits
    clock: Clock
    events: Events
    after_login: Callable[[str], None] = lambda _subject: None
    """Gets the user; it must return at once and raise nothing."""
    _in_flight: dict[bytes, asyncio.Task[TokenPair]] = field(default_factory=dict, init=False)

    async def log_in(self, login: Login) -> TokenPair:
        """Exchange a ticket for its one session. A proof of possession binds it to its key.

        After LoginRefused and UserBanned, the ticket is of no use. After ProofError, AuthingError
        and StoreUnavailable it may be sent again.
        """
        ticket_hash, proof = _sha256(login.ticket), self.proofs.read(login.proof)
        self.proofs.check(proof)
        first = self._in_flight.get(ticket_hash)
        if first is not None:
            # A failure of the first login fails all of them, except one of its own key or proof.
            with suppress(errors.IdempotencyKeyMismatch, errors.ProofError):
                await asyncio.shield(first)
            return await self._attempt(login, ticket_hash, proof)
        task = asyncio.create_task(self._attempt(login, ticket_hash, proof))
        self._in_flight[ticket_hash] = task
        task.add_done_callback(partial(self._finished, ticket_hash))
        return await asyncio.shield(task)

    def _finished(self, ticket_hash: bytes, task: asyncio.Task[TokenPair]) -> None:
        del self._in_flight[ticket_hash]
        if not task.cancelled():
            task.exception()  # retrieved, because every caller may have disconnected

    async def _attempt(self, login: Login, ticket_hash: bytes, proof: GivenProof) -> TokenPair:
        lease = self._new_lease(login, ticket_hash)
        match await self.tickets.acquire(lease):
            case Acquired():
                return await self._exchange(login, lease, proof)
            case AlreadyUsed(session):
                return self._replay(session, proof)
            case Held(lease_ends_at):
                remaining = int((lease_ends_at - lease.now).total_seconds())
                raise errors.LoginInProgress(retry_after=min(remaining, _MAX_RETRY_AFTER))
            case KeyConflict():
                raise errors.IdempotencyKeyMismatch
            case unreachable:
                assert_never(unreachable)

    async def _exchange(self, login: Login, lease: TicketLease, proof: GivenProof) -> TokenPair:
        try:
            identity = await self.identity_provider.exchange(login.ticket, login.network)
            session, profile = self.issuer.new_session(identity, login.device, self.clock())
            session = note_proof(session, proof)
            outcome = await self.tickets.create_session(
                lease, session, self.limits, _plain_version(login.device)
            )
        except Exception:
            with suppress(errors.StoreUnavailable):  # then the lease expires
                await self.tickets.release(lease)
            raise
        match outcome:
            case Opened(replaced):
                self.after_login(session.subject)
                self.events.record("session_opened", session_id=session.id)
                record_ended(self.events, replaced, EndReason.REPLACED)
                return self.issuer.token_pair(session, profile, session.created_at)
            case AlreadyUsed(other):
                return self._replay(other, proof)
            case Banned(until):
                raise errors.UserBanned(until)
            case also_unreachable:
                assert_never(also_unreachable)

    def _replay(self, session: Session | None, proof: GivenProof) -> TokenPair:
        if session is None:
            raise errors.TicketUsed
        self.proofs.check(proof, session)
        self.events.record("login_replayed", session_id=session.id)
        profile = self.issuer.profile(session)
        return self.issuer.token_pair(session, profile, self.clock(), replayed=True)

    def _new_lease(self, login: Login, ticket_hash: bytes) -> TicketLease:
        now, key = self.clock(), login.idempotency_key
        return TicketLease(
            ticket_hash=ticket_hash,
            key_hash=_sha256(key) if key is not None else None,
            holder=os.urandom(16).hex(),
            now=now,
            lease_ends_at=now + self.lease_life,
            expires_at=now + max(self.ticket_life, self.lease_life),
        )


def _plain_version(device: Device) -> str:
    """The version of the app, if it looks like one: the history must have nothing personal."""
    version = device.get("app_version", "")
    return version if _VERSION.fullmatch(version) and not _LONG_NUMBER.search(version) else ""


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
