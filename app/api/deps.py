"""Dependencies of the routes: the services of this process, and the session of the bearer."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from app.api.client_ip import TrustedProxies
from app.errors import AccessTokenInvalid, AccessTokenMissing
from app.events import Events
from app.sessions.history import HistoryService, RevocationFeed
from app.sessions.login import LoginService
from app.sessions.miniprogram import MiniProgram
from app.sessions.models import Profile, Session
from app.sessions.ports import KeySource, RateLimit
from app.sessions.proofs import ProofVerifier
from app.sessions.sessions import SessionService
from app.sessions.users import BanService


class ServiceKeys:
    """The keys that authenticate the rest of the backend, or a webhook. False if there are none.

    `keys` returns those in force, which may change while the service runs.
    """

    def __init__(self, keys: Callable[[], Sequence[str]]) -> None:
        self._keys = keys

    def __bool__(self) -> bool:
        return bool(self._keys())

    def accept(self, candidate: str) -> bool:
        """Return whether this is one of the keys, in constant time."""
        given, *known = (sha256(key.encode()).digest() for key in (candidate, *self._keys()))
        matches = [compare_digest(given, digest) for digest in known]
        return any(matches)


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a route may call. The composition root fills it."""

    logins: LoginService
    sessions: SessionService
    proofs: ProofVerifier
    bans: BanService
    history: HistoryService
    revocations: RevocationFeed
    store_writable: Callable[[], Awaitable[bool]]
    keys: KeySource
    keys_state: Callable[[], Literal["ok", "reload_failed"]]
    secrets_state: Callable[[], Literal["ok", "reload_failed"]]
    issuer: str
    mini_program: MiniProgram
    is_draining: Callable[[], bool]
    authing_state: Callable[[], str]
    events: Events
    service_keys: ServiceKeys
    webhook_secrets: ServiceKeys
    hint: Callable[[str], None]
    login_limit: RateLimit
    list_limit: RateLimit
    network_limit: RateLimit
    proxies: TrustedProxies

    @property
    def issuer_path(self) -> str:
        """The path of the issuer, or "". The proxy strips it from the paths of requests."""
        return urlsplit(self.issuer).path


async def services(request: Request) -> Services:
    """Return the services of this application."""
    found: Services = request.scope["app"].services
    return found


class BearerToken(SecurityBase):
    """A dependency that reads a bearer token, and describes it as one of this kind."""

    def __init__(self, scheme_name: str, description: str) -> None:
        self.scheme_name = scheme_name
        self.model = HTTPBearer(description=description)

    async def __call__(self, request: Request) -> str:
        """Return the one bearer token (RFC 6750 section 2.1), or raise AccessRefused."""
        values = [value for name, value in request.scope["headers"] if name == b"authorization"]
        if len(values) > 1:
            raise AccessTokenInvalid
        scheme, _, token = (values[0] if values else b"").partition(b" ")
        token = token.lstrip(b" ")  # RFC 9110 section 11.4 allows several spaces
        if scheme.lower() != b"bearer" or not token:
            raise AccessTokenMissing
        return token.decode("latin-1")


ACCESS_TOKEN = BearerToken(
    "access_token", "`Authorization: Bearer <access_token>` of the last token response."
)
ServicesDep = Annotated[Services, Depends(services)]
BearerDep = Annotated[str, Security(ACCESS_TOKEN)]


async def bearer(services: ServicesDep, token: BearerDep) -> tuple[Session, Profile]:
    """Return the active session of the bearer and its profile, or raise AccessRefused."""
    return await services.sessions.authenticate(token)


SessionDep = Annotated[tuple[Session, Profile], Depends(bearer)]
