"""The issuer's JWK Set: its usable keys, and when it is fetched."""

import asyncio
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.authing.jwks import COOLDOWN, LIFETIME, RemoteJwks, read_jwk_set
from app.authing.response import loads
from app.errors import AuthingBadAnswer, AuthingUnavailable
from tests.authing.builders import Canned, canned, encoded
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
        *((public_jwk(RSA_KEY, alg=name), "algorithm") for name in ("HS256", "ES256")),
        (public_jwk(RSA_KEY, use="enc"), "use"),
        *((public_jwk(RSA_KEY, key_ops=each), "use") for each in (["encrypt"], "verify")),
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


class Scene(RemoteJwks):
    """The keys of an issuer whose set a test can replace, with a clock that the test moves."""

    def __init__(self) -> None:
        self.seconds, self.recorded = 1000.0, RecordedEvents()
        self.issuer = canned({"keys": [GOOD]})
        super().__init__(
            self.issuer,
            "https://issuer.test/jwks.json",
            self.recorded,
            timeout=0.2,
            monotonic=lambda: self.seconds,
        )

    def publish(self, *keys: dict[str, Any]) -> None:
        self.issuer.said = canned({"keys": keys}).said

    async def find(self, kid: str | None = "good", algorithm: str = "ES256") -> list[str | None]:
        async with asyncio.timeout(3):  # more than the timeout of a fetch
            return [key.kid for key in await self.candidates(algorithm, kid)]


@pytest.fixture
def it() -> Scene:
    return Scene()


async def test_the_set_is_fetched_again_when_its_lifetime_is_over(it: Scene) -> None:
    assert await it.find() == ["good"]
    it.publish(public_jwk(EC_KEY, kid="new"))
    it.seconds += LIFETIME - 1
    assert await it.find() == ["good"]
    assert it.issuer.targets == ["GET https://issuer.test/jwks.json"]
    it.seconds += 1
    assert await it.find() == []
    assert await it.find("new") == ["new"]


async def test_a_key_is_given_only_for_its_own_algorithm(it: Scene) -> None:
    assert await it.find("good", "RS256") == []
    assert await it.find("good", "HS256") == []


async def test_a_token_without_a_key_name_needs_a_single_key_of_its_algorithm(it: Scene) -> None:
    it.publish(GOOD, public_jwk(RSA_KEY, kid="rsa"))
    assert await it.find(None, "ES256") == ["good"]
    it.publish(GOOD, public_jwk(ec.generate_private_key(ec.SECP256R1()), kid="two"))
    it.seconds += LIFETIME
    assert await it.find(None, "ES256") == []


async def test_an_unknown_key_name_causes_one_fetch_in_a_cooldown(it: Scene) -> None:
    await it.find()
    it.publish(GOOD, public_jwk(RSA_KEY, kid="new"))
    it.seconds += COOLDOWN - 1
    assert await it.find("new", "RS256") == []
    assert len(it.issuer.targets) == 1
    it.seconds += 1
    assert await it.find("new", "RS256") == ["new"]
    assert await it.find("unknown", "RS256") == []
    assert len(it.issuer.targets) == 2


BROKEN: dict[str, Canned] = {
    "5xx": canned(b"", status=503),
    "not_found": canned({}, status=404),
    "created": canned({"keys": [GOOD]}, status=201),
    "redirect": canned(b"", status=302, location="http://127.0.0.1:1/"),
    "html": canned(b"<html>", content_type="text/html"),
    "empty_set": canned({"keys": []}),
    "too_large": canned({"keys": [GOOD], "padding": "x" * 300_000}),
    "hang_up": Canned(ConnectionResetError()),
    "silence": Canned(None),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_failed_fetch_keeps_the_old_keys_and_without_keys_refuses(
    it: Scene, how: str
) -> None:
    it.issuer.said = BROKEN[how].said
    with pytest.raises(AuthingUnavailable) as trouble:
        await it.find()
    assert trouble.value.outcome == "jwks_unavailable"
    it.publish(GOOD)
    assert await it.find() == ["good"]
    it.issuer.said = BROKEN[how].said
    it.seconds += LIFETIME
    for _ in range(2):
        assert await it.find() == ["good"]
    assert len(it.issuer.targets) == 3  # the cooldown counts for failures as well
    assert it.recorded.names[-1] == "jwks_fetch_failed"


async def test_concurrent_callers_share_one_fetch(it: Scene) -> None:
    found = await asyncio.gather(*(it.find() for _ in range(50)))
    assert found == [["good"]] * 50
    assert len(it.issuer.targets) == 1


async def test_a_cancelled_caller_does_not_cancel_the_fetch_of_others(it: Scene) -> None:
    waiting = [asyncio.create_task(it.find()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert await asyncio.gather(*waiting[1:]) == [["good"], ["good"]]
    assert len(it.issuer.targets) == 1
