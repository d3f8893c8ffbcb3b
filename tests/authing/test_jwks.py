"""The issuer's JWK Set: its usable keys, and when it is fetched."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.authing.jwks import COOLDOWN, LIFETIME, RemoteJwks, read_jwk_set
from app.authing.response import loads
from app.authing.transport import AuthingTransport, Transport
from app.errors import AuthingBadAnswer, AuthingUnavailable
from tests.authing.builders import (
    SMALL_CA_FILE,
    Answer,
    Peer,
    Request,
    encoded,
    http_response,
    json_response,
    peer,
)
from tests.jose.test_key_refusals import roca_jwk
from tests.support.fakes import RecordedEvents

RSA_KEY = rsa.generate_private_key(65537, 2048)
SHORT_RSA_KEY = rsa.generate_private_key(65537, 1024)  # noqa: S505  # to see it refused
EC_KEY = ec.generate_private_key(ec.SECP256R1())
P384_KEY = ec.generate_private_key(ec.SECP384R1())


def public_jwk(key: Any, **changes: Any) -> dict[str, Any]:
    algorithm = jwt.algorithms.ECAlgorithm if hasattr(key, "curve") else jwt.algorithms.RSAAlgorithm
    jwk: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    jwk.pop("key_ops", None)
    jwk |= changes
    return {name: value for name, value in jwk.items() if value != "absent"}


GOOD = public_jwk(EC_KEY, kid="good")
TWO_SETS = loads(f'{{"keys": [{encoded(GOOD)}], "keys": [{encoded(GOOD)}]}}')


# --- usable keys ---


@pytest.mark.parametrize(
    ("jwk", "algorithm"),
    [
        (public_jwk(RSA_KEY, kid="a"), "RS256"),
        (public_jwk(RSA_KEY, kid="a", alg="RS256", use="sig"), "RS256"),
        (public_jwk(RSA_KEY, kid="a", key_ops=["verify"], x5t="ignored"), "RS256"),
        (public_jwk(EC_KEY, kid="a"), "ES256"),
        (public_jwk(EC_KEY, kid="a", alg="ES256"), "ES256"),
        (public_jwk(EC_KEY), "ES256"),
    ],
)
def test_a_public_key_is_pinned_to_one_algorithm(jwk: dict[str, Any], algorithm: str) -> None:
    [key] = read_jwk_set({"keys": [jwk]}, RecordedEvents())
    assert (key.algorithm, key.kid) == (algorithm, jwk.get("kid"))


@pytest.mark.parametrize(
    ("jwk", "reason"),
    [
        ("text", "not_an_object"),
        (public_jwk(EC_KEY, kid=7), "kid"),
        ({"kty": "oct", "k": "c2VjcmV0", "kid": "a"}, "algorithm"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}, "algorithm"),
        ({}, "algorithm"),
        (public_jwk(RSA_KEY, alg="HS256"), "algorithm"),
        (public_jwk(RSA_KEY, alg="ES256"), "algorithm"),
        (public_jwk(RSA_KEY, use="enc"), "use"),
        (public_jwk(RSA_KEY, key_ops=["encrypt"]), "use"),
        (public_jwk(RSA_KEY, key_ops="verify"), "use"),
        (public_jwk(RSA_KEY, d="AQAB"), "private"),
        (public_jwk(EC_KEY, k="AQAB"), "private"),
        (public_jwk(P384_KEY), "curve"),
        (public_jwk(EC_KEY, x="absent"), "material"),
        (public_jwk(EC_KEY, y=public_jwk(EC_KEY)["x"]), "material"),
        (public_jwk(RSA_KEY, e="AQ"), "material"),
        (public_jwk(SHORT_RSA_KEY), "too_short"),
        ({"kty": "RSA", "e": "AQAB", "n": roca_jwk()["n"]}, "roca"),
    ],
)
def test_an_unusable_key_is_ignored_and_recorded(jwk: Any, reason: str) -> None:
    events = RecordedEvents()
    keys = read_jwk_set({"keys": [jwk, GOOD]}, events)
    assert [key.kid for key in keys] == ["good"]
    assert events.entries == [("jwk_ignored", "", {"reason": reason})]


@pytest.mark.parametrize("name", ["kty", "crv", "x", "y", "kid", "alg", "use", "key_ops"])
def test_a_key_with_a_member_twice_is_ignored(name: str) -> None:
    jwk = public_jwk(EC_KEY, kid="twice", alg="ES256", use="sig", key_ops=["verify"])
    twice = f'{encoded(jwk)[:-1]}, "{name}": {encoded(jwk[name])}}}'
    document = loads(f'{{"keys": [{twice}, {encoded(GOOD)}]}}')
    assert [key.kid for key in read_jwk_set(document, RecordedEvents())] == ["good"]


def test_keys_with_the_same_name_are_all_ignored() -> None:
    twins = [public_jwk(RSA_KEY, kid="twin"), public_jwk(EC_KEY, kid="twin")]
    assert [key.kid for key in read_jwk_set({"keys": [*twins, GOOD]}, RecordedEvents())] == ["good"]


@pytest.mark.parametrize(
    "document",
    [None, [], "text", {}, {"keys": None}, {"keys": {}}, {"keys": []}, {"keys": [{}]}, TWO_SETS],
)
def test_a_set_without_a_usable_key_is_a_bad_answer(document: Any) -> None:
    with pytest.raises(AuthingBadAnswer):
        read_jwk_set(document, RecordedEvents())


# --- fetching ---


class Issuer:
    """Publishes a set that a test can replace, or any other response."""

    def __init__(self) -> None:
        self.jwks: list[dict[str, Any]] = [GOOD]
        self.instead: Answer | bytes | None = None

    def __call__(self, request: Request) -> Answer | bytes:
        return self.instead or json_response({"keys": self.jwks})


@dataclass
class Running:
    issuer: Issuer
    seen: Peer
    transport: Transport
    timeout: float
    seconds: float = 1000.0
    events: RecordedEvents = field(default_factory=RecordedEvents)

    def __post_init__(self) -> None:
        self.keys = RemoteJwks(
            self.transport,
            f"{self.seen.url}/jwks.json",
            self.events,
            timeout=self.timeout,
            monotonic=lambda: self.seconds,
        )

    async def find(self, kid: str | None = "good", algorithm: str = "ES256") -> list[str | None]:
        return [key.kid for key in await self.keys.candidates(algorithm, kid)]


@asynccontextmanager
async def running(seconds: float = 2.0) -> AsyncIterator[Running]:
    issuer = Issuer()
    async with peer(issuer) as seen, AuthingTransport(SMALL_CA_FILE) as transport:
        yield Running(issuer, seen, transport, seconds)


async def test_the_set_is_fetched_once_and_kept() -> None:
    async with running() as it:
        assert await it.find() == ["good"]
        it.seconds += LIFETIME - 1
        assert await it.find() == ["good"]
        assert [request.target for request in it.seen.requests] == ["/jwks.json"]


async def test_the_set_is_fetched_again_when_its_lifetime_is_over() -> None:
    async with running() as it:
        await it.find()
        it.issuer.jwks = [public_jwk(EC_KEY, kid="new")]
        it.seconds += LIFETIME
        assert await it.find() == []
        assert await it.find("new") == ["new"]


async def test_a_key_is_given_only_for_its_own_algorithm() -> None:
    async with running() as it:
        assert await it.find("good", "RS256") == []
        assert await it.find("good", "HS256") == []


async def test_a_token_without_a_key_name_needs_a_single_key_of_its_algorithm() -> None:
    async with running() as it:
        it.issuer.jwks = [GOOD, public_jwk(RSA_KEY, kid="rsa")]
        assert await it.find(None, "ES256") == ["good"]
        it.issuer.jwks = [GOOD, public_jwk(ec.generate_private_key(ec.SECP256R1()), kid="two")]
        it.seconds += LIFETIME
        assert await it.find(None, "ES256") == []


async def test_an_unknown_key_name_causes_one_fetch_in_a_cooldown() -> None:
    async with running() as it:
        await it.find()
        it.issuer.jwks = [GOOD, public_jwk(RSA_KEY, kid="new")]
        it.seconds += COOLDOWN - 1
        assert await it.find("new", "RS256") == []
        assert len(it.seen.requests) == 1
        it.seconds += 1
        assert await it.find("new", "RS256") == ["new"]
        assert await it.find("unknown", "RS256") == []
        assert len(it.seen.requests) == 2


BROKEN: dict[str, Answer | bytes] = {
    "5xx": http_response("", status=503),
    "not_found": http_response("{}", status=404),
    "created": json_response({"keys": [GOOD]}, status=201),
    "html": http_response("<html>", content_type="text/html"),
    "not_json": http_response("{"),
    "empty_set": json_response({"keys": []}),
    "too_large": json_response({"keys": [GOOD], "padding": "x" * 300_000}),
    "redirect": http_response("", status=302, headers={"Location": "http://127.0.0.1:1/"}),
    "hang_up": Answer(b"", "close"),
    "cut_off": Answer(json_response({"keys": [GOOD]})[:-9], "close"),
    "silence": Answer(b"", "hang"),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_failed_fetch_keeps_the_old_keys_and_without_keys_refuses(how: str) -> None:
    async with running(seconds=0.2) as it:
        it.issuer.instead = BROKEN[how]
        with pytest.raises(AuthingUnavailable) as trouble:
            await it.find()
        assert trouble.value.outcome == "jwks_unavailable"
        it.issuer.instead = None
        assert await it.find() == ["good"]
        it.issuer.instead = BROKEN[how]
        it.seconds += LIFETIME
        assert await it.find() == ["good"]
        asked = len(it.seen.requests)
        assert await it.find() == ["good"]
        assert len(it.seen.requests) == asked  # the cooldown counts for failures as well
        assert it.events.names[-1] == "jwks_fetch_failed"


async def test_concurrent_callers_share_one_fetch() -> None:
    async with running() as it:
        found = await asyncio.gather(*(it.find() for _ in range(50)))
        assert found == [["good"]] * 50
        assert len(it.seen.requests) == 1


async def test_a_cancelled_caller_does_not_cancel_the_fetch_of_others() -> None:
    async with running() as it:
        waiting = [asyncio.create_task(it.find()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        assert await asyncio.gather(*waiting[1:]) == [["good"], ["good"]]
        assert len(it.seen.requests) == 1
