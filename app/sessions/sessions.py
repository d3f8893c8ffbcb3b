"""Active sessions: refresh, authenticate, list, end (promises 3 to 6).

Each atomic decision is one store command that returns an outcome. The end of a session is committed
before it is recorded or told to the app. How a session begins is in `login`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import assert_never

from app.errors import (
    AccessSessionEnded,
    AccessTokenInvalid,
    NotFound,
    RefreshSessionEnded,
    RefreshTokenInvalid,
)
from app.events import Events
from app.sessions.access_tokens import AccessClaims
from app.sessions.issuer import TokenIssuer
from app.sessions.models import EndReason, Profile, Session, TokenPair
from app.sessions.outcomes import Active, Ended, Replayed, Reused, Rotated, Unknown
from app.sessions.ports import Clock, RateLimit, Rotation, SessionStore
from app.sessions.refresh_tokens import RefreshClaims, verify_refresh_token

_SUSPICIOUS = 3
"""Replayed generations in a row that are reported. A thief who follows the owner causes them."""


@dataclass(frozen=True, slots=True)
class SessionService:
    """Refreshes, shows and ends sessions. Every method may raise StoreUnavailable."""

    store: SessionStore
    issuer: TokenIssuer
    clock: Clock
    events: Events
    refresh_limit: RateLimit

    async def refresh(self, refresh_token: str, idempotency_key: str | None = None) -> TokenPair:
        """Rotate the refresh token, or return its one successor again (promises 3 and 4).

        A rotation with an idempotency key is replayed to the same key only.

        Raises:
            RefreshTokenInvalid: not issued by this service, or of an unknown session.
            RefreshSessionEnded: the session has ended, perhaps because this token was reused.
            RateLimited: too many refreshes; nothing has changed.
        """
        presented = verify_refresh_token(self.issuer.keys.ring, refresh_token)
        # Counted after verification: only a holder of the session's token can use up its limit.
        await self.refresh_limit(presented.session_id)
        rotation = self._rotation(presented, idempotency_key)
        match await self.store.rotate(rotation):
            case Rotated(session, rolled_forward=False):
                self.events.record("session_rotated", session_id=session.id)
                return self._tokens(session, rotation)
            case Rotated(session):
                self.events.record("session_rolled_forward", session_id=session.id)
                return self._tokens(session, rotation)
            case Replayed(session) as replay:
                self._record_replay(replay)
                return self._tokens(session, rotation, replayed=True)
            case Reused(kind):
                self.events.record("refresh_reused", session_id=presented.session_id, kind=kind)
                raise RefreshSessionEnded(EndReason.REFRESH_REUSED)
            case Ended(reason, replaced_by):
                raise RefreshSessionEnded(reason, replaced_by)
            case Unknown():
                raise RefreshTokenInvalid
            case unreachable:
                assert_never(unreachable)

    async def authenticate(self, access_token: str) -> tuple[Session, Profile]:
        """Return the active session of an access token. Asks the store, so an end counts at once.

        To a token of an older generation, `last_used_at` is the time of the login: a thief must not
        learn when the owner refreshes.

        Raises:
            AccessRefused: the token is refused, or its session has ended.
        """
        claims = self._verify(access_token)
        match await self.store.touch(claims.session_id, claims.generation, self.clock()):
            case Active(session) if session.subject == claims.subject:
                if claims.generation < session.generation:
                    session = replace(session, last_used_at=session.created_at)
                return session, self.issuer.profile(session)
            case Ended(reason, replaced_by):
                raise AccessSessionEnded(reason, replaced_by)
            case _:
                raise AccessTokenInvalid

    async def active_sessions(self, subject: str) -> Sequence[tuple[Session, Profile]]:
        """Return the user's active sessions, oldest first, with their profiles."""
        found = await self.store.active_sessions(subject, self.clock())
        return [(session, self.issuer.profile(session)) for session in found]

    async def log_out(self, access_token: str) -> None:
        """End the session of an access token. It may have ended already.

        Raises:
            AccessRefused: the token is refused.
            StoreUnavailable: the session may not have ended.
        """
        claims = self._verify(access_token)
        await self._end(claims.session_id, claims.subject, EndReason.LOGGED_OUT)

    async def revoke(self, subject: str, session_id: str) -> None:
        """End one of the user's sessions. It may have ended already.

        Raises:
            NotFound: the user has and had no such session.
            StoreUnavailable: the session may not have ended.
        """
        outcome = await self._end(session_id, subject, EndReason.REVOKED)
        if isinstance(outcome, Unknown):
            raise NotFound

    async def end_all(self, subject: str, reason: EndReason, *, keep: str | None = None) -> None:
        """End the user's sessions for this reason, except `keep`."""
        ended = await self.store.end_all(subject, reason, self.clock(), keep=keep)
        self._record_ended(ended, reason)

    async def erase(self, subject: str) -> None:
        """End the user's sessions and erase what is stored of the user."""
        ended = await self.store.erase(subject, self.clock())
        self._record_ended(ended, EndReason.ERASED)

    def _verify(self, access_token: str) -> AccessClaims:
        return self.issuer.access_tokens.verify(self.issuer.keys.ring, access_token, self.clock())

    def _rotation(self, presented: RefreshClaims, idempotency_key: str | None) -> Rotation:
        return Rotation(
            session_id=presented.session_id,
            presented=presented.generation,
            secret_kid=self.issuer.keys.ring.current_secret_key.kid,
            key_hash=sha256(idempotency_key.encode()).digest() if idempotency_key else None,
            now=self.clock(),
            idle_ttl=self.issuer.lifetimes.idle,
            recovery_window=self.issuer.lifetimes.recovery_window,
        )

    def _tokens(self, session: Session, rotation: Rotation, *, replayed: bool = False) -> TokenPair:
        profile = self.issuer.profile(session)
        return self.issuer.token_pair(session, profile, rotation.now, replayed=replayed)

    async def _end(self, session_id: str, subject: str, reason: EndReason) -> Ended | Unknown:
        outcome = await self.store.end(session_id, subject, reason, self.clock())
        if isinstance(outcome, Ended) and outcome.changed:
            self._record_ended([session_id], reason)
        return outcome

    def _record_replay(self, replay: Replayed) -> None:
        first, session_id = replay.replays == 1, replay.session.id
        kind = "first" if first else "again"
        self.events.record(
            "refresh_replayed", session_id=session_id, kind=kind, count=replay.replays
        )
        if first and replay.replayed_generations >= _SUSPICIOUS:
            self.events.record(
                "refresh_replayed_repeatedly",
                session_id=session_id,
                count=replay.replayed_generations,
            )

    def _record_ended(self, session_ids: Sequence[str], reason: EndReason) -> None:
        for session_id in session_ids:
            self.events.record("session_ended", session_id=session_id, reason=reason)
