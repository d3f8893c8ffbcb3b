"""Living sessions: refreshing, looking, ending. The page to read first: the promises, in code.

It decides nothing twice: what must be atomic is one command of the store, which answers with an
outcome, and an ending is committed there before anybody is told. It knows the store, the keys and
the time only as ports. How a session begins is the login's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from app.errors import (
    AccessSessionEnded,
    AccessTokenInvalid,
    NotFound,
    RefreshSessionEnded,
    RefreshTokenInvalid,
)
from app.sessions.issuer import SessionIssuer, unsealed
from app.sessions.models import Ending, Profile, Session, TokenPair
from app.sessions.ports import (
    Active,
    Audit,
    Clock,
    Ended,
    RefreshLimit,
    Replayed,
    Reused,
    Rotated,
    Rotation,
    SessionStore,
    Unknown,
)
from app.sessions.tokens import read_refresh_token


@dataclass(frozen=True, slots=True)
class SessionService:
    """Refreshes, shows and ends sessions."""

    store: SessionStore
    issuer: SessionIssuer
    clock: Clock
    audit: Audit
    refresh_limit: RefreshLimit

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Rotate the refresh token, or give its one successor again (promises 3 and 4).

        Raises:
            RefreshTokenInvalid: not ours, or of a session that is not known.
            RefreshSessionEnded: the session is over, perhaps because this token was spent.
            RateLimited: too often; nothing has changed.
            StoreUnavailable: nothing is known to have changed.
        """
        now, ring = self.clock(), self.issuer.keys.ring
        presented = read_refresh_token(ring, refresh_token)
        # Counted only now: who has no token of this session cannot use up its refreshes.
        await self.refresh_limit(presented.session_id)
        rotation = Rotation(
            session_id=presented.session_id,
            presented=presented.generation,
            binding_kid=ring.binder.kid,
            now=now,
            idle_ttl=self.issuer.lifetimes.idle,
            recovery_window=self.issuer.lifetimes.recovery_window,
        )
        match await self.store.rotate(rotation):
            case Rotated(session, healed):
                self.audit("session_healed" if healed else "session_rotated", session_id=session.id)
                return self.issuer.token_pair(session, now)
            case Replayed(session):
                self.audit("session_replayed", session_id=session.id)
                return self.issuer.token_pair(session, now, replayed=True)
            case Reused(kind):
                self.audit("refresh_reused", session_id=presented.session_id, kind=kind)
                raise RefreshSessionEnded(Ending.REFRESH_REUSED)
            case Ended(reason, replaced_by):
                raise RefreshSessionEnded(reason, replaced_by)
            case Unknown():
                raise RefreshTokenInvalid
            case unreachable:
                assert_never(unreachable)

    async def authenticate(self, access_token: str) -> tuple[Session, Profile]:
        """Find the living session of a bearer. Looks at the store, so an ending counts at once.

        Raises:
            AccessRefused: the token is not good, or its session is over.
            StoreUnavailable: nothing is known of the session.
        """
        now, ring = self.clock(), self.issuer.keys.ring
        claims = self.issuer.access_tokens.read(ring, access_token, now)
        match await self.store.see(claims.session_id, claims.generation, now):
            case Active(session) if session.subject == claims.subject:
                return session, unsealed(ring, session)
            case Ended(reason, replaced_by):
                raise AccessSessionEnded(reason, replaced_by)
            case _:
                raise AccessTokenInvalid

    async def sessions_of(self, subject: str) -> Sequence[tuple[Session, Profile]]:
        """The user's living sessions, oldest first.

        Raises:
            StoreUnavailable: they cannot be had.
        """
        ring = self.issuer.keys.ring
        found = await self.store.sessions_of(subject, self.clock())
        return [(session, unsealed(ring, session)) for session in found]

    async def log_out(self, access_token: str) -> None:
        """End the bearer's own session. Doing it again is no error.

        Raises:
            AccessRefused: the token is not good. That its session is over does not matter here.
            StoreUnavailable: the session is not known to have ended.
        """
        now, ring = self.clock(), self.issuer.keys.ring
        session_id, _, subject = self.issuer.access_tokens.read(ring, access_token, now)
        outcome = await self.store.end(session_id, subject, Ending.LOGGED_OUT, now)
        self._note_if_new(session_id, outcome)

    async def revoke(self, subject: str, session_id: str) -> None:
        """End one of the user's sessions. Doing it again is no error.

        Raises:
            NotFound: the user has and had no such session.
            StoreUnavailable: the session is not known to have ended.
        """
        outcome = await self.store.end(session_id, subject, Ending.REVOKED, self.clock())
        if isinstance(outcome, Unknown):
            raise NotFound
        self._note_if_new(session_id, outcome)

    async def end_all(self, subject: str, reason: Ending, *, keep: str | None = None) -> None:
        """End the user's sessions under this name, all but `keep`.

        Raises:
            StoreUnavailable: they are not known to have ended.
        """
        ended = await self.store.end_all(subject, reason, self.clock(), keep=keep)
        self._note_all(ended, reason)

    async def erase(self, subject: str) -> None:
        """End the user's sessions and erase what is stored of the user.

        Raises:
            StoreUnavailable: nothing is known to have been erased.
        """
        self._note_all(await self.store.erase(subject, self.clock()), Ending.ERASED)

    def _note_if_new(self, session_id: str, outcome: Ended | Unknown) -> None:
        if isinstance(outcome, Ended) and outcome.just_now:
            self.audit("session_ended", session_id=session_id, reason=outcome.reason)

    def _note_all(self, session_ids: Sequence[str], reason: Ending) -> None:
        for session_id in session_ids:
            self.audit("session_ended", session_id=session_id, reason=reason)
