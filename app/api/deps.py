"""What routes are given: the services of this process, and who is asking.

`Services` is filled by the composition root.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from app.api.client_ip import TrustedProxies
from app.errors import AccessTokenInvalid, AccessTokenMissing
from app.events import Events
from app.sessions.bans import BanService
from app.sessions.login import LoginService
from app.sessions.miniprogram import MiniProgram
from app.sessions.models import Profile, Session
from app.sessions.ports import KeySource, Maintenance, RateLimit
from app.sessions.sessions import SessionService


class ServiceKeys:
    """The keys that the rest of the backend may come with. False if there are none."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def accept(self, candidate: str) -> bool:
        """Whether this is one of them. Takes the same time for any candidate."""
        digest = _digest(candidate)
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        return any(matches)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a route may call."""

    logins: LoginService
    sessions: SessionService
    bans: BanService
    maintenance: Maintenance
    keys: KeySource
    issuer: str
    mini_program: MiniProgram
    is_draining: Callable[[], bool]
    authing_state: Callable[[], str]
    events: Events
    service_keys: ServiceKeys
    login_limit: RateLimit
    proxies: TrustedProxies


def services(request: Request) -> Services:
    """The services that the composition root has opened."""
    found: Services = request.app.state.services
    return found


def bearer_token(request: Request) -> str:
    """The one bearer token of the request (RFC 6750 section 2.1).

    Raises:
        AccessTokenMissing: there is no bearer token.
        AccessTokenInvalid: there are several credentials, and we do not choose.
    """
    values = request.headers.getlist("authorization")
    if len(values) > 1:
        raise AccessTokenInvalid
    scheme, _, token = (values[0] if values else "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise AccessTokenMissing
    return token


def documented(name: str, description: str) -> Any:
    """A dependency that only tells OpenAPI of a kind of bearer token.

    Its own errors would not be in our shape, so it makes none.
    """
    return Security(HTTPBearer(scheme_name=name, description=description, auto_error=False))


_access_token = documented("access_token", "Of the last token answer")


def access_token(token: Annotated[str, Depends(bearer_token)], _scheme: Any = _access_token) -> str:
    """What should be an access token; see bearer_token."""
    return token


ServicesDep = Annotated[Services, Depends(services)]
BearerDep = Annotated[str, Depends(access_token)]


async def bearer(services: ServicesDep, token: BearerDep) -> tuple[Session, Profile]:
    """The living session of the bearer and its profile; AccessRefused if there is none."""
    return await services.sessions.authenticate(token)


SessionDep = Annotated[tuple[Session, Profile], Depends(bearer)]
