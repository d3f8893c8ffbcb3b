"""An attacker of a running service, who holds its key and all credentials that could be stolen."""

import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt

from app import keyfile
from app.jose.key_ring import SigningKey
from app.keyfile.followed import KeyFile
from app.sandbox.authing import user_token
from app.sandbox.personas import Persona
from tests.forgeries.forge import AccessForge, access_parts
from tests.sessions.builders import make_ring
from tests.support.running_app import RunningApp


@dataclass(frozen=True, kw_only=True)
class Attacker(AccessForge):
    """Forges access tokens of a signed-in user, with the service's own key."""

    retired: SigningKey = field(repr=False)
    revoked_session: str
    other_subject: str
    refresh_token: str = field(repr=False)
    ticket: str = field(repr=False)
    authing_token: str = field(repr=False)

    @property
    def now(self) -> int:
        return int(self.claims["iat"])


def header(**members: Any) -> Callable[[Attacker], str]:
    return lambda attacker: attacker.token(header=members)


def claims(**members: Any) -> Callable[[Attacker], str]:
    return lambda attacker: attacker.token(claims=members)


def claim(name: str, change: Callable[[Any], Any]) -> Callable[[Attacker], str]:
    """A token in which one claim is derived from the genuine value."""
    return lambda attacker: attacker.token(claims={name: change(attacker.claims[name])})


async def attacker_of(app: RunningApp) -> Attacker:
    """Log a user in, and give the attacker all resulting credentials."""
    retired = retire_the_first_key(app)
    revoked, other = await app.log_in(), await app.log_in("chen")
    await app.log_out(revoked)
    tokens = await app.log_in()
    ring = app.services.keys.ring
    genuine: dict[str, Any] = jwt.decode(
        tokens["access_token"], options={"verify_signature": False}
    )
    return Attacker(
        **access_parts(ring, make_ring(), genuine),
        retired=retired,
        revoked_session=revoked["session"]["id"],
        other_subject=other["user"]["sub"],
        refresh_token=tokens["refresh_token"],
        ticket=app.ticket(),
        authing_token=authing_token(app),
    )


def authing_token(app: RunningApp) -> str:
    state = app.sandbox.state
    token, _ = user_token(state.options, state.keys, Persona("lin"), app.clock.epoch)
    return token


def retire_the_first_key(app: RunningApp) -> SigningKey:
    path, first = app.settings.session_keys_file, app.services.keys.ring.signing_key
    keyfile.promote(path, keyfile.add(path, "ES256"))
    keyfile.retire(path, first.kid)
    follow_keys(app)
    return first


def follow_keys(app: RunningApp) -> None:
    """Read the key file now, as the service does every few seconds."""
    assert isinstance(app.services.keys, KeyFile)
    app.services.keys.follow()


async def show(app: RunningApp, token: str, *, path: str = "/v1/me") -> httpx.Response:
    """Send a bearer token of any content."""
    headers = {b"Authorization": b"Bearer " + token.encode()}
    return await app.phone.get(path, headers=headers)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Processor time of the fastest of three runs; other processes do not add to it."""
    return min(timeit.repeat(work, timer=time.thread_time, repeat=3, number=1))
