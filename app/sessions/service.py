"""Sessions, from the ticket to the end. The page to read first: the promises of the contract.

It decides nothing twice: what must be atomic is one command of the store, which answers with an
outcome, and an ending is committed there before anybody is told. It knows Authing, the store, the
keys and the time only as ports.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import assert_never

from app.errors import (
    AccessSessionEnded,
    AccessTokenInvalid,
    RefreshSessionEnded,
    RefreshTokenInvalid,
)
from app.sessions.keys import KeyRing
from app.sessions.models import Device, Ending, Identity, Profile, Session, TokenPair
from app.sessions.ports import (
    Active,
    Audit,
    Clock,
    Ended,
    IdentityProvider,
    KeySource,
    Replayed,
    Reused,
    Rotated,
    Rotation,
    SessionStore,
    Unknown,
)
from app.sessions.tokens import (
    AccessClaims,
    AccessTokenProfile,
    new_session_id,
    read_refresh_token,
    write_refresh_token,
)


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """How long things live. A recovery window of zero makes every replay a reuse."""

    idle_ttl: timedelta
    absolute_ttl: timedelta
    recovery_window: timedelta


@dataclass(frozen=True, slots=True)
class SessionService:
    """Opens, refreshes, shows and ends sessions."""

    identity_provider: IdentityProvider
    store: SessionStore
    keys: KeySource
    access_tokens: AccessTokenProfile
    policy: SessionPolicy
    clock: Clock
    audit: Audit

    async def open(self, ticket: str, device: Device | None) -> TokenPair:
        """Exchange a ticket for a new session.

        Raises:
            LoginRefused: Authing says no.
            AuthingError: Authing could not be asked, or not be believed; no session was made.
            StoreUnavailable: the session could not be kept, so there is none.
        """
        identity = await self.identity_provider.exchange(ticket)
        session = self._new_session(identity, device)
        await self.store.add(session)
        self.audit("session_opened", session_id=session.id)
        return self._token_pair(session, session.created_at)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Rotate the refresh token, or give its one successor again (promises 3 and 4).

        Raises:
            RefreshTokenInvalid: not ours, or of a session that is not known.
            RefreshSessionEnded: the session is over, perhaps because this token was spent.
            StoreUnavailable: nothing is known to have changed.
        """
        now = self._now()
        ring = self.keys.ring
        presented = read_refresh_token(ring, refresh_token)
        rotation = Rotation(
            session_id=presented.session_id,
            presented=presented.generation,
            binding_kid=ring.binder.kid,
            now=now,
            idle_ttl=self.policy.idle_ttl,
            recovery_window=self.policy.recovery_window,
        )
        match await self.store.rotate(rotation):
            case Rotated(session, healed):
                self.audit("session_healed" if healed else "session_rotated", session_id=session.id)
                return self._token_pair(session, now)
            case Replayed(session):
                self.audit("session_replayed", session_id=session.id)
                return self._token_pair(session, now, replayed=True)
            case Reused(kind):
                self.audit("refresh_reused", session_id=presented.session_id, kind=kind)
                raise RefreshSessionEnded(Ending.REFRESH_REUSED)
            case Ended(reason):
                raise RefreshSessionEnded(reason)
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
        now = self._now()
        ring = self.keys.ring
        claims = self.access_tokens.read(ring, access_token, now)
        match await self.store.see(claims.session_id, claims.generation, now):
            case Active(session) if session.subject == claims.subject:
                return session, _unseal(ring, session)
            case Ended(reason):
                raise AccessSessionEnded(reason)
            case _:
                raise AccessTokenInvalid

    async def log_out(self, access_token: str) -> None:
        """End the bearer's own session. Doing it again is no error.

        Raises:
            AccessRefused: the token is not good. That its session is over does not matter here.
            StoreUnavailable: the session is not known to have ended.
        """
        now = self._now()
        claims: AccessClaims = self.access_tokens.read(self.keys.ring, access_token, now)
        if await self.store.end(claims.session_id, Ending.LOGGED_OUT, now):
            self.audit("session_ended", session_id=claims.session_id, reason=Ending.LOGGED_OUT)

    def _now(self) -> datetime:
        # Whole seconds everywhere, so that limits are exact on the wire and in rows.
        return self.clock().replace(microsecond=0)

    def _new_session(self, identity: Identity, device: Device | None) -> Session:
        now, binder, session_id = self._now(), self.keys.ring.binder, new_session_id()
        profile = {"claims": dict(identity.claims), "device": asdict(device) if device else None}
        return Session(
            id=session_id,
            subject=identity.subject,
            generation=0,
            binding_kid=binder.kid,
            sealed_profile=binder.seal(json.dumps(profile).encode(), session_id.encode()),
            authenticated_at=identity.authenticated_at,
            created_at=now,
            last_used_at=now,
            expires_at=now + min(self.policy.idle_ttl, self.policy.absolute_ttl),
            absolute_expires_at=now + self.policy.absolute_ttl,
        )

    def _token_pair(self, session: Session, now: datetime, *, replayed: bool = False) -> TokenPair:
        ring = self.keys.ring
        access_token, expires_in = self.access_tokens.write(ring, session, now)
        binder = ring.binder_named(session.binding_kid)
        return TokenPair(
            session=session,
            profile=_unseal(ring, session),
            access_token=access_token,
            refresh_token=write_refresh_token(binder, session.id, session.generation),
            issued_at=now,
            expires_in=expires_in,
            refresh_expires_in=int((session.expires_at - now).total_seconds()),
            replayed=replayed,
        )


def _unseal(ring: KeyRing, session: Session) -> Profile:
    """Open the sealed profile. Lost keys cost the profile, never the session."""
    opened = (key.unseal(session.sealed_profile, session.id.encode()) for key in ring.binding)
    plaintext = next((text for text in opened if text is not None), None)
    if plaintext is None:
        return Profile(claims={}, device=None)
    profile = json.loads(plaintext)
    device = profile["device"]
    return Profile(claims=profile["claims"], device=Device(**device) if device else None)
