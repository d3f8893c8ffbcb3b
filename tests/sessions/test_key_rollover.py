"""Keys are added, promoted and retired, and no session ends by it."""

import json
from dataclasses import replace
from typing import cast

import jwt
import pytest

from app.sessions.login import Login, LoginService
from app.sessions.models import Device, Profile, TokenPair
from app.sessions.ports import Stores
from app.sessions.sessions import SessionService
from app.sessions.tokens import new_session_id, verify_refresh_token
from tests.sessions.builders import ec_jwk, make_ring, oct_jwk
from tests.stores.builders import keep
from tests.support.fakes import IDENTITY, FakeKeys

SIGNING_OLD, SIGNING_NEW = ec_jwk(), ec_jwk()
SECRET_OLD, SECRET_NEW = oct_jwk(), oct_jwk()
BEFORE = make_ring(SIGNING_OLD, SECRET_OLD)
ADDED = make_ring(SIGNING_OLD, SECRET_OLD, SIGNING_NEW, SECRET_NEW)
PROMOTED = make_ring(SIGNING_NEW, SECRET_NEW, SIGNING_OLD, SECRET_OLD)
RETIRED = make_ring(SIGNING_NEW, SECRET_NEW)


@pytest.fixture
def keys() -> FakeKeys:
    return FakeKeys(BEFORE)


@pytest.fixture
async def login(logins: LoginService) -> TokenPair:
    return await logins.log_in(Login("made-up-ticket", {"name": "a phone"}))


def kid_of(pair: TokenPair) -> str:
    kid: str = jwt.get_unverified_header(pair.access_token)["kid"]
    return kid


async def test_a_roll_over_changes_no_successor_that_is_asked_for_again(
    service: SessionService, login: TokenPair, keys: FakeKeys
) -> None:
    again = lost = await service.refresh(login.refresh_token)
    for ring in (ADDED, PROMOTED):
        keys.ring = ring
        again = await service.refresh(login.refresh_token)
        assert again.refresh_token == lost.refresh_token
        assert again.session == lost.session
        assert kid_of(again) == ring.signing_key.kid
    assert (await service.authenticate(again.access_token))[0] == again.session
    for ring in (PROMOTED, RETIRED):
        keys.ring = ring
        again = await service.refresh(again.refresh_token)
    assert again.session.generation == 3


async def test_a_promoted_key_signs_and_binds_what_is_made_from_then_on(
    service: SessionService, login: TokenPair, keys: FakeKeys
) -> None:
    keys.ring = ADDED
    added = await service.refresh(login.refresh_token)
    assert kid_of(login) == kid_of(added) == BEFORE.signing_key.kid
    assert added.session.secret_kid == BEFORE.current_secret_key.kid
    keys.ring = PROMOTED
    promoted = await service.refresh(added.refresh_token)
    assert kid_of(promoted) == RETIRED.signing_key.kid
    assert promoted.session.secret_kid == RETIRED.current_secret_key.kid
    assert added.profile == promoted.profile == Profile(IDENTITY.claims, {"name": "a phone"})
    assert verify_refresh_token(RETIRED, promoted.refresh_token).generation == 2


# --- the encrypted profile ---


async def test_lost_keys_cost_the_profile_but_not_the_session(
    service: SessionService, login: TokenPair, keys: FakeKeys
) -> None:
    keys.ring = PROMOTED
    pair = await service.refresh(login.refresh_token)
    keys.ring = RETIRED
    session, profile = await service.authenticate(pair.access_token)
    assert (session, profile) == (pair.session, Profile({}, {}))
    assert (await service.refresh(pair.refresh_token)).profile == Profile({}, {})


async def test_a_profile_encrypted_for_another_session_cannot_be_decrypted(
    service: SessionService, login: TokenPair, stores: Stores
) -> None:
    moved = replace(login.session, id=new_session_id())
    await keep(stores, moved)
    pair = service.issuer.token_pair(moved, login.profile, moved.created_at)
    assert await service.authenticate(pair.access_token) == (moved, Profile({}, {}))


async def test_a_profile_of_an_older_version_has_nulls_for_what_it_does_not_know(
    service: SessionService, login: TokenPair
) -> None:
    key, claims = service.issuer.keys.ring.current_secret_key, {"nickname": "lin"}
    for stored, device in ((None, {}), ({"id": None, "type": "ios"}, {"type": "ios"})):
        session = replace(login.session, id=new_session_id())
        plaintext = json.dumps({"claims": claims, "device": stored}).encode()
        session = replace(session, encrypted_profile=key.encrypt(plaintext, session.id.encode()))
        assert service.issuer.profile(session) == Profile(claims, cast("Device", device))
