"""Made-up keys, rings and sessions."""

import base64
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from app.errors import AccessSessionEnded, RefreshSessionEnded
from app.events import Events
from app.jose.key_ring import KeyRing
from app.sessions.issuer import Lifetimes, TokenIssuer
from app.sessions.login import LoginService
from app.sessions.models import Session, TokenPair
from app.sessions.ports import Clock, IdentityProvider, KeySource, SessionLimits, Stores
from app.sessions.proofs import ProofVerifier
from app.sessions.sessions import SessionService
from app.sessions.tokens import AccessTokenCodec
from app.sessions.users import BanService
from tests.support.fakes import unlimited

Jwk: TypeAlias = dict[str, Any]

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
ISSUER = "https://login.example.com"
AUDIENCE = "https://api.example.com"
POOL = "5e0000000000000000000001"
SUBJECT = "5e00000000000000000000aa"
SESSION_ID = "c2Vzc2lvbi1pZC0xNi1ieQ"
LIFETIMES = Lifetimes(idle=14 * DAY, absolute=30 * DAY, recovery_window=DAY)
UNLIMITED = SessionLimits(max_per_user=1000, one_per_device_type=False)
ACCESS_TOKENS = AccessTokenCodec(ISSUER, AUDIENCE, POOL, max_lifetime=timedelta(minutes=10))


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def ec_jwk(curve: ec.EllipticCurve | None = None) -> Jwk:
    return ECAlgorithm.to_jwk(ec.generate_private_key(curve or ec.SECP256R1()), as_dict=True)


def ed25519_jwk() -> Jwk:
    return OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True)


@cache  # making one takes long, and no test needs two of a size
def _rsa_jwk(bits: int) -> Jwk:
    return RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, bits), as_dict=True)


def rsa_jwk(bits: int = 2048) -> Jwk:
    return dict(_rsa_jwk(bits))


def oct_jwk(secret: bytes | None = None) -> Jwk:
    return {"kty": "oct", "k": b64(secret or secrets.token_bytes(32))}


def jwk_set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def make_ring(*keys: Mapping[str, Any]) -> KeyRing:
    """A ring of these keys; without any, of one P-256 and one oct key."""
    return KeyRing.from_jwk_set(jwk_set(*(keys or (ec_jwk(), oct_jwk()))))


def make_session(**changes: Any) -> Session:
    values: dict[str, Any] = {
        "id": SESSION_ID,
        "subject": SUBJECT,
        "device_type": None,
        "generation": 3,
        "secret_kid": "any",
        "encrypted_profile": b"",
        "authenticated_at": NOW - 2 * DAY,
        "created_at": NOW - 2 * DAY,
        "last_used_at": NOW,
        "expires_at": NOW + 14 * DAY,
        "absolute_expires_at": NOW + 28 * DAY,
    }
    return Session(**values | changes)


class Core(NamedTuple):
    """The services of the core over one store."""

    logins: LoginService
    sessions: SessionService
    bans: BanService


def make_core(
    stores: Stores,
    keys: KeySource,
    *,
    provider: IdentityProvider,
    clock: Clock,
    events: Events,
    limits: SessionLimits = UNLIMITED,
    lifetimes: Lifetimes = LIFETIMES,
) -> Core:
    issuer = TokenIssuer(keys, ACCESS_TOKENS, lifetimes)
    proofs = ProofVerifier(keys, ISSUER, "optional", clock)
    logins = LoginService(
        identity_provider=provider,
        tickets=stores.tickets,
        issuer=issuer,
        proofs=proofs,
        lease_life=10 * SECOND,
        ticket_life=150 * SECOND,
        limits=limits,
        clock=clock,
        events=events,
    )
    sessions = SessionService(stores.sessions, issuer, proofs, clock, events, unlimited)
    return Core(logins, sessions, BanService(stores.bans, clock, events))


async def ending_of(service: SessionService, pair: TokenPair) -> tuple[str, str | None]:
    """Return reason and `replaced_by`; refresh and access token must get the same."""
    with pytest.raises(RefreshSessionEnded) as refreshed:
        await service.refresh(pair.refresh_token)
    with pytest.raises(AccessSessionEnded) as seen:
        await service.authenticate(pair.access_token)
    told = [(each.value.reason, each.value.replaced_by) for each in (refreshed, seen)]
    assert told[0] == told[1]
    return told[0]
