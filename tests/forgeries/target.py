"""The service that access tokens are forged against, and how they are shown to it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import jwt

from app import keyfile
from app.jose.key_ring import SigningKey
from app.keyfile import KeyFile
from app.sandbox.authing import user_token
from app.sandbox.personas import Persona
from tests.forgeries.attacker import Attacker
from tests.forgeries.forge import access_parts
from tests.sessions.builders import make_ring
from tests.support.running_app import RunningApp


async def attacker_of(world: RunningApp) -> Attacker:
    """Sign a user in, and give the attacker all that this leaves lying about."""
    retired = retire_the_first_key(world)
    revoked, other = await world.log_in(), await world.log_in("chen")
    await world.log_out(revoked)
    tokens = await world.log_in()
    ring = world.services.keys.ring
    return Attacker(
        **access_parts(ring, make_ring(), claims_of(tokens)),
        retired=retired,
        revoked_session=revoked["session"]["id"],
        other_subject=other["user"]["sub"],
        refresh_token=tokens["refresh_token"],
        ticket=world.ticket(),
        authing_token=authing_token(world),
    )


def claims_of(tokens: Mapping[str, Any]) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    return claims


def authing_token(world: RunningApp) -> str:
    state = world.sandbox.state
    token, _ = user_token(state.options, state.keys, Persona.named("lin"), world.clock.epoch)
    return token


def retire_the_first_key(world: RunningApp) -> SigningKey:
    path, first = world.settings.session_keys_file, world.services.keys.ring.signing_key
    keyfile.promote(path, keyfile.add(path, "ES256"))
    keyfile.retire(path, first.kid)
    follow_keys(world)
    return first


def follow_keys(world: RunningApp) -> None:
    """Look at the key file now, as the service does every few seconds."""
    assert isinstance(world.services.keys, KeyFile)
    world.services.keys.follow()


async def show(world: RunningApp, token: str, *, path: str = "/v1/me") -> httpx.Response:
    """Come with a token that may hold anything at all."""
    headers = {b"Authorization": b"Bearer " + token.encode()}
    return await world.phone.get(path, headers=headers)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Processor time of the fastest of three runs, which other processes cannot lengthen."""
    spent = []
    for _ in range(3):
        began = time.thread_time()
        work()
        spent.append(time.thread_time() - began)
    return min(spent)
