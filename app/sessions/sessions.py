"""Active sessions: refresh, authenticate, list, end (promises 3 to 6).

Each atomic decision is one store command that returns an outcome. The end of a session is committed
before it is recorded or told to the app. How a session begins is in `login`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import NamedTuple, assert_never

from app import errors
from app.events import EventName, Events, add_context
from app.sessions import outcomes
from app.sessions.issuer import TokenIssuer
from app.sessions.models import End, EndReason, GivenProof, Profile, Proof, Session, TokenPair
from app.sessions.ports import Clock, RateLimit, Rotation, SessionStore
from app.sessions.proofs import ProofVerifier, SentProof
from app.sessions.tokens import PREFIX, AccessClaims, RefreshClaims, verify_refresh_token

_SUSPICIOUS = 3
"""Replayed generations in a row that are reported. A thief causes them by following the owner."""


class ValidToken(NamedTuple):
    """A token of an active session that is good now. Only an access token has `issued_at`."""

    subject: str
    session_id: str
    device_type: str | None
    expires_at: datetime
    issued_at: datetime | None = None


def record_ended(events: Events, session_ids: Sequence[str], reason: EndReason) -> None:
    """Record that these sessions have ended, after the store has confirmed it."""
    for session_id in session_ids:
        events.record("session_ended", session_id=session_id, reason=reason)


@dataclass(frozen=True, slots=True)
class SessionService:
    """Refreshes, shows and ends sessions. Every method may raise StoreUnavailable."""

    store: SessionStore
    issuer: TokenIssuer
    proofs: ProofVerifier
    clock: Clock
    events: Events
    refresh_limit: RateLimit
    after_refresh: Callable[[str], None] = lambda _subject: None
    """Gets the user; it must return at once and raise nothing."""

    async def refresh(
        self, refresh_token: str, idempotency_key: str | None = None, sent: SentProof | None = None
    ) -> TokenPair:
        """Rotate the refresh token, or return its one successor again (promises 3 and 4).

        A rotation is replayed only to its own idempotency key, or to none if it had none. A bound
        session needs a proof of its device key; a proof binds any other session to its key. After
        RefreshRefused the token is of no use. ProofError and RateLimited do not end the session.
        """
        presented = self._read_refresh_token(refresh_token)
        proof = self.proofs.read(sent)
        # Counted after verification: only a holder of the session's token can use up its limit, and
        # one without the device key cannot use up that of the key.
        key = f" {proof.thumbprint}" if isinstance(proof, Proof) else ""
        await self.refresh_limit(presented.session_id + key)
        rotation = self._rotation(presented, idempotency_key, proof)
        match await self.store.rotate(rotation):
            case outcomes.Rotated(session, ahead):
                event: EventName = "session_rolled_forward" if ahead else "session_rotated"
                self.events.record(event, session_id=session.id)
                return self._tokens(session, rotation)
            case outcomes.Replayed(session) as replay:
                self._record_replay(replay)
                return self._tokens(session, rotation, replayed=True)
            case outcomes.Reused(kind):
                self.events.record("refresh_reused", session_id=presented.session_id, kind=kind)
                raise errors.RefreshSessionEnded(EndReason.REFRESH_REUSED)
            case outcomes.ProofRefused(kind):
                if kind != "nonce":  # an app that has no nonce yet gets it in this way
                    self.events.record("proof_refused", session_id=presented.session_id, kind=kind)
                raise self.proofs.refusal(kind)
            case outcomes.Ended(reason, replaced_by):
                raise errors.RefreshSessionEnded(reason, replaced_by)
            case outcomes.Unknown():
                raise errors.RefreshTokenInvalid
            case unreachable:
                assert_never(unreachable)

    async def inspect(self, token: str) -> ValidToken:
        """Check an access or refresh token, or raise AccessRefused, RefreshRefused.

        A refresh token is good if a refresh with it, without an idempotency key and with a good
        proof of possession, would succeed. The check changes nothing.
        """
        if not token.startswith(PREFIX):
            return await self.authorize(token)
        presented = self._read_refresh_token(token)
        rotation = self._rotation(presented, None, "ignored", dry_run=True)
        match await self.store.rotate(rotation):
            case outcomes.Rotated(session):
                expires_at = session.expires_at
            case outcomes.Replayed(session):
                window_ends_at = session.last_used_at + rotation.recovery_window
                expires_at = min(session.expires_at, window_ends_at)
            case _:
                raise errors.RefreshTokenInvalid
        return ValidToken(session.subject, session.id, session.device_type, expires_at)

    async def authorize(self, access_token: str) -> ValidToken:
        """Check an access token against the store, so that an end counts at once.

        AccessRefused if the token is not valid now, or is of another kind.
        """
        now = self.clock()
        claims = self.verify(access_token, now)
        match await self.store.check(claims.session_id, claims.generation, now):
            case outcomes.Bearer(subject, device_type) if subject == claims.subject:
                times = claims.expires_at, claims.issued_at
                return ValidToken(subject, claims.session_id, device_type, *times)
            case other:
                raise _refusal(other)

    async def authenticate(self, access_token: str) -> tuple[Session, Profile]:
        """Return the active session of an access token and its profile, or raise AccessRefused."""
        now = self.clock()
        claims = self.verify(access_token, now)
        match await self.store.touch(claims.session_id, claims.generation, now):
            case outcomes.Active(session) if session.subject == claims.subject:
                if claims.generation < session.generation:
                    # A thief with an old token must not learn when the owner refreshes.
                    session = replace(session, last_used_at=session.created_at)
                return session, self.issuer.profile(session)
            case other:
                raise _refusal(other)

    async def active_sessions(self, subject: str) -> Sequence[tuple[Session, Profile]]:
        """Return the user's active sessions, oldest first, with their profiles."""
        found = await self.store.active_sessions(subject, self.clock())
        return [(session, self.issuer.profile(session)) for session in found]

    async def log_out(self, access_token: str) -> None:
        """End the session of an access token, which may have ended already."""
        claims = self.verify(access_token)
        await self._end(claims.session_id, claims.subject, EndReason.LOGGED_OUT)

    async def revoke_token(self, token: str) -> None:
        """End the session of an access or refresh token of any generation (RFC 7009).

        A token that is not genuine ends nothing, and an access token that has expired neither.
        """
        with suppress(errors.AccessRefused, errors.RefreshRefused):
            read = self._read_refresh_token if token.startswith(PREFIX) else self.verify
            claims = read(token)
            subject = claims.subject if isinstance(claims, AccessClaims) else None
            await self._end(claims.session_id, subject, EndReason.REVOKED, by=claims.session_id)

    async def revoke(self, subject: str, session_id: str, *, by: str = "") -> None:
        """End a session of the user, or raise NotFound if there was none. The session `by` asks."""
        if not await self._end(session_id, subject, EndReason.REVOKED, by=by):
            raise errors.NotFound

    async def end_all(
        self, subject: str, reason: EndReason, *, keep: str | None = None, by: str = ""
    ) -> None:
        """End the user's sessions for this reason, except `keep`. The session `by` asks for it."""
        ended = await self.store.end_all(subject, End(reason, self.clock(), by), keep=keep)
        record_ended(self.events, ended, reason)

    async def erase(self, subject: str) -> None:
        """End the user's sessions and erase what is stored of the user."""
        ended = await self.store.erase(subject, self.clock())
        record_ended(self.events, ended, EndReason.ERASED)

    def verify(self, access_token: str, now: datetime | None = None) -> AccessClaims:
        """Return the claims of a genuine access token, or raise AccessRefused; ask no store."""
        ring = self.issuer.keys.ring
        claims = self.issuer.access_tokens.verify(ring, access_token, now or self.clock())
        user = ring.current_secret_key.pseudonym(claims.subject)
        add_context(session_id=claims.session_id, user=user)
        return claims

    def _read_refresh_token(self, token: str) -> RefreshClaims:
        claims = verify_refresh_token(self.issuer.keys.ring, token)
        add_context(session_id=claims.session_id)
        return claims

    def _rotation(
        self, presented: RefreshClaims, key: str | None, proof: GivenProof, *, dry_run: bool = False
    ) -> Rotation:
        return Rotation(
            session_id=presented.session_id,
            presented=presented.generation,
            secret_kid=self.issuer.keys.ring.current_secret_key.kid,
            key_hash=sha256(key.encode()).digest() if key else None,
            now=self.clock(),
            idle_ttl=self.issuer.lifetimes.idle,
            recovery_window=self.issuer.lifetimes.recovery_window,
            proof=proof,
            dry_run=dry_run,
        )

    def _tokens(self, session: Session, rotation: Rotation, *, replayed: bool = False) -> TokenPair:
        if isinstance(rotation.proof, Proof) and session.seen_proofs == rotation.proof.id:
            self.events.record("session_bound", session_id=session.id)  # by its first proof
        self.after_refresh(session.subject)
        profile = self.issuer.profile(session)
        return self.issuer.token_pair(session, profile, rotation.now, replayed=replayed)

    async def _end(
        self, session_id: str, subject: str | None, reason: EndReason, *, by: str = ""
    ) -> bool:
        """Return whether there is or was such a session."""
        outcome = await self.store.end(session_id, subject, End(reason, self.clock(), by))
        if isinstance(outcome, outcomes.Ended) and outcome.changed:
            record_ended(self.events, [session_id], reason)
        return isinstance(outcome, outcomes.Ended)

    def _record_replay(self, replay: outcomes.Replayed) -> None:
        record = partial(self.events.record, session_id=replay.session.id)
        first = replay.replays == 1
        record("refresh_replayed", kind="first" if first else "again", count=replay.replays)
        if first and replay.replayed_generations >= _SUSPICIOUS:
            record("refresh_replayed_repeatedly", count=replay.replayed_generations)


def _refusal(found: object) -> errors.AccessRefused:
    if isinstance(found, outcomes.Ended):
        return errors.AccessSessionEnded(found.reason, found.replaced_by)
    return errors.AccessTokenInvalid()  # of no session, or of another user
