"""Makes sessions and their tokens: what a login and every refresh end with.

Knows the keys, the form of tokens and how long things live; decides about nobody.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from app.jose.key_ring import KeyRing
from app.sessions.models import Device, Identity, Profile, Session, TokenPair
from app.sessions.ports import KeySource
from app.sessions.tokens import AccessTokenProfile, new_session_id, write_refresh_token


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things live. A recovery window of zero makes every replay a reuse."""

    idle: timedelta
    absolute: timedelta
    recovery_window: timedelta


@dataclass(frozen=True, slots=True)
class SessionIssuer:
    """Makes new sessions, and the pair of tokens for a session as it stands."""

    keys: KeySource
    access_tokens: AccessTokenProfile
    lifetimes: Lifetimes

    def new_session(self, identity: Identity, device: Device | None, now: datetime) -> Session:
        """A session of generation 0, not kept anywhere yet."""
        binder, session_id = self.keys.ring.binder, new_session_id(identity.subject)
        profile = {"claims": dict(identity.claims), "device": asdict(device) if device else None}
        return Session(
            id=session_id,
            subject=identity.subject,
            device_type=device.type if device else None,
            generation=0,
            binding_kid=binder.kid,
            sealed_profile=binder.seal(json.dumps(profile).encode(), session_id.encode()),
            authenticated_at=identity.authenticated_at,
            created_at=now,
            last_used_at=now,
            expires_at=now + min(self.lifetimes.idle, self.lifetimes.absolute),
            absolute_expires_at=now + self.lifetimes.absolute,
        )

    def token_pair(self, session: Session, now: datetime, *, replayed: bool = False) -> TokenPair:
        """The tokens of the session's current generation: always the same refresh token."""
        ring = self.keys.ring
        access_token, expires_in = self.access_tokens.write(ring, session, now)
        binder = ring.binder_named(session.binding_kid)
        return TokenPair(
            session=session,
            profile=unsealed(ring, session),
            access_token=access_token,
            refresh_token=write_refresh_token(binder, session.id, session.generation),
            issued_at=now,
            expires_in=expires_in,
            refresh_expires_in=int((session.expires_at - now).total_seconds()),
            replayed=replayed,
        )


def unsealed(ring: KeyRing, session: Session) -> Profile:
    """Open the sealed profile. Lost keys cost the profile, never the session."""
    opened = (key.unseal(session.sealed_profile, session.id.encode()) for key in ring.binding)
    plaintext = next((text for text in opened if text is not None), None)
    if plaintext is None:
        return Profile(claims={}, device=None)
    profile = json.loads(plaintext)
    device = profile["device"]
    return Profile(claims=profile["claims"], device=Device(**device) if device else None)
