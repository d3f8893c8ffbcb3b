"""Makes new sessions, and the token pairs that logins and refreshes return.

It knows the keys, the form of tokens and all lifetimes. It does not decide who may have a session.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from app.events import add_context
from app.sessions.models import Device, Identity, Profile, Session, TokenPair
from app.sessions.ports import KeySource
from app.sessions.tokens import AccessTokenCodec, issue_refresh_token, new_session_id


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long sessions live. With a recovery window of zero, every replay is a reuse."""

    idle: timedelta
    absolute: timedelta
    recovery_window: timedelta


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """Makes new sessions, and the token pair of a session's current generation."""

    keys: KeySource
    access_tokens: AccessTokenCodec
    lifetimes: Lifetimes

    def new_session(
        self, identity: Identity, device: Device, now: datetime
    ) -> tuple[Session, Profile]:
        """Make a session of generation 0, which is not stored yet, and its plain profile."""
        key, session_id = self.keys.ring.current_secret_key, new_session_id()
        plaintext = json.dumps({"claims": identity.claims, "device": device})
        session = Session(
            id=session_id,
            subject=identity.subject,
            device_type=device.get("type"),
            generation=0,
            secret_kid=key.kid,
            encrypted_profile=key.encrypt(plaintext.encode(), session_id.encode()),
            authenticated_at=identity.authenticated_at,
            created_at=now,
            last_used_at=now,
            expires_at=now + min(self.lifetimes.idle, self.lifetimes.absolute),
            absolute_expires_at=now + self.lifetimes.absolute,
        )
        return session, Profile(identity.claims, device)

    def profile(self, session: Session) -> Profile:
        """Decrypt the profile with any accepted key. It is empty if all those keys are retired."""
        for key in self.keys.ring.secret_keys:
            plaintext = key.decrypt(session.encrypted_profile, session.id.encode())
            if plaintext is not None:
                stored = json.loads(plaintext)
                # Older versions stored null for what was not known.
                known = {name: text for name, text in (stored["device"] or {}).items() if text}
                return Profile(stored["claims"], cast("Device", known))
        return Profile({}, {})

    def token_pair(
        self, session: Session, profile: Profile, now: datetime, *, replayed: bool = False
    ) -> TokenPair:
        """Make a token pair of the current generation, always with the same refresh token."""
        ring = self.keys.ring
        user = ring.current_secret_key.pseudonym(session.subject)
        add_context(session_id=session.id, user=user)  # of the request that gets this pair
        access_token, expires_in = self.access_tokens.issue(ring, session, now)
        key = ring.secret_key(session.secret_kid)
        return TokenPair(
            session=session,
            profile=profile,
            access_token=access_token,
            refresh_token=issue_refresh_token(key, session.id, session.generation),
            issued_at=now,
            expires_in=expires_in,
            refresh_expires_in=int((session.expires_at - now).total_seconds()),
            replayed=replayed,
        )
