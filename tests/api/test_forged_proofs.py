"""Forged proofs: each is refused, and the session goes on with a good proof."""

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from tests.sessions.builders import b64
from tests.support.proofs import DeviceKey, sign
from tests.support.running_app import ISSUER, RunningApp

Forgery: TypeAlias = Callable[[DeviceKey], str]
OTHER = DeviceKey(ISSUER)
SECRET = OctKey.import_key(b"s" * 32)
RSA = RSAKey.generate_key(2048)
P384, SECP256K1 = ECKey.generate_key("P-384"), ECKey.generate_key("secp256k1")
ED448 = OKPKey.generate_key("Ed448")


def claim(**changes: Any) -> Forgery:
    return lambda device: device.proof(**changes)


def header(**changes: Any) -> Forgery:
    return lambda device: device.sign(device.header(**changes), device.claims())


def jwk(**changes: Any) -> Forgery:
    """Change members of the key; None removes one."""

    def forge(device: DeviceKey) -> str:
        members = device.public() | changes
        kept = {name: value for name, value in members.items() if value is not None}
        return device.sign(device.header(jwk=kept), device.claims())

    return forge


def foreign(key: Any, alg: str) -> Forgery:
    """Signed with a key of a kind that is not allowed, which the header names."""

    def forge(device: DeviceKey) -> str:
        public = key.as_dict(private=key.key_type == "oct")
        return sign({"typ": "dpop+jwt", "alg": alg, "jwk": public}, device.claims(), key)

    return forge


def part(number: int, change: Callable[[str], str]) -> Forgery:
    def forge(device: DeviceKey) -> str:
        parts = device.proof().split(".")
        parts[number] = change(parts[number])
        return ".".join(parts)

    return forge


def raw(number: int, content: str) -> Forgery:
    return part(number, lambda _: b64(content.encode()))


def with_none(alg: str) -> Forgery:
    def forge(device: DeviceKey) -> str:
        head = b64(json.dumps(device.header(alg=alg)).encode())
        return f"{head}.{device.proof().split('.')[1]}."

    return forge


def with_public_key_as_secret(device: DeviceKey) -> str:
    """The classic confusion of algorithms: HS256 under the bytes of the public key."""
    secret = OctKey.import_key(json.dumps(device.public()).encode())
    return sign(device.header(alg="HS256"), device.claims(), secret)


FORGERIES: dict[str, Forgery] = {
    # the key
    "another key": lambda device: OTHER.proof(nonce=device.nonce),
    "another key under the right jwk": lambda d: sign(d.header(), d.claims(), OTHER.key),
    "the right key under another jwk": header(jwk=OTHER.public()),
    "private key inside": lambda d: d.sign(d.header(jwk=d.key.as_dict(private=True)), d.claims()),
    "private exponent alone": jwk(d="AAAA"),
    "symmetric member": jwk(k="c2VjcmV0"),
    "symmetric key": foreign(SECRET, "HS256"),
    "RSA key": foreign(RSA, "RS256"),
    "RSA-PSS": foreign(RSA, "PS256"),
    "P-384 key": foreign(P384, "ES384"),
    "P-384 with ES256": lambda d: d.sign(d.header(jwk=P384.as_dict(private=False)), d.claims()),
    "secp256k1 key": foreign(SECP256K1, "ES256K"),
    "Ed448 key": foreign(ED448, "EdDSA"),
    "public key as a secret": with_public_key_as_secret,
    "no jwk": header(jwk=None),
    "jwk is a text": header(jwk="EC"),
    "jwk is a list": header(jwk=[]),
    "jwk is empty": header(jwk={}),
    "jwk is a set": lambda d: d.sign(d.header(jwk={"keys": [d.public()]}), d.claims()),
    "no kty": jwk(kty=None),
    "other kty": jwk(kty="OKP"),
    "unknown kty": jwk(kty="ec"),
    "no curve": jwk(crv=None),
    "other curve": jwk(crv="P-521"),
    "no x": jwk(x=None),
    "no y": jwk(y=None),
    "x is a number": jwk(x=5),
    "point not on the curve": jwk(x=b64(b"\x01" * 32)),
    "point at zero": jwk(x=b64(bytes(32)), y=b64(bytes(32))),
    "short coordinate": jwk(x=b64(b"\x01" * 31)),
    "padded coordinate": lambda d: jwk(x=d.public()["x"] + "=")(d),
    "key with kid": jwk(kid="one"),
    "key with x5c": jwk(x5c=["MIIB"]),
    "key with x5u": jwk(x5u="https://thief.example"),
    "key with an unknown member": jwk(made="up"),
    "key for encryption": jwk(use="enc"),
    "key for signing only": jwk(key_ops=["sign"]),
    "key for another algorithm": jwk(alg="ES384"),
    # the header
    "alg none": with_none("none"),
    "alg None": with_none("None"),
    "no typ": header(typ=None),
    "typ JWT": header(typ="JWT"),
    "typ of our access tokens": header(typ="at+jwt"),
    "typ in capitals": header(typ="DPOP+JWT"),
    "kid": header(kid="one"),
    "jku": header(jku="https://thief.example/keys"),
    "x5u": header(x5u="https://thief.example/cert"),
    "x5c": header(x5c=["MIIB"]),
    "zip": header(zip="DEF"),
    "cty": header(cty="JWT"),
    "header is no JSON": raw(0, "{"),
    "header is a list": raw(0, "[]"),
    "payload not signed": raw(1, "{}"),
    # the claims
    "other method": claim(htm="GET"),
    "method in lower case": claim(htm="post"),
    "no method": claim(htm=None),
    "other address": claim(htu="https://thief.example/v1/sessions/refresh"),
    "other path": lambda d: d.proof("/v1/sessions"),
    "address is a list": claim(htu=[f"{ISSUER}/v1/sessions/refresh"]),
    "no address": claim(htu=None),
    "no time": claim(iat=None),
    "time is a text": claim(iat="1562262616"),
    "time in fractions": claim(iat=1562262616.5),
    "time in milliseconds": claim(iat=1_562_262_616_000),
    "negative time": claim(iat=-1),
    "no jti": claim(jti=None),
    "empty jti": claim(jti=""),
    "jti is a number": claim(jti=5),
    "long jti": claim(jti="j" * 257),
    "access token's hash instead of a jti": claim(jti=None, ath="fUHyO2r2Z3DZ53EsNrWBb0xWXoa"),
    "no nonce": claim(nonce=None),
    "empty nonce": claim(nonce=""),
    "nonce is a number": claim(nonce=5),
    "made-up nonce": claim(nonce="bWFkZS11cC1ub25jZQ"),
    "longer nonce": lambda d: d.proof(nonce=d.nonce + "AAAA"),
    "shorter nonce": lambda d: d.proof(nonce=d.nonce[:-4]),
    "later nonce": lambda d: d.proof(nonce="_" + d.nonce[1:]),
    "claims are a list": lambda d: sign(d.header(), [], d.key),
    "claims twice": lambda d: sign(d.header(), b'{"htm":"POST","htm":"POST"}', d.key),
    "claims are no JSON": lambda d: sign(d.header(), b"POST", d.key),
    # the form
    "empty": lambda _: "",
    "one part": lambda _: "proof",
    "two parts": lambda d: d.proof().rpartition(".")[0],
    "four parts": lambda d: d.proof() + ".AAAA",
    "no signature": part(2, lambda _: ""),
    "changed signature": part(2, lambda s: ("B" if s[0] == "A" else "A") + s[1:]),
    "padded signature": part(2, lambda s: s + "=="),
    "signature of another proof": lambda d: part(2, lambda _: d.proof().split(".")[2])(d),
    "DER signature": part(2, lambda _: b64(bytes.fromhex("3006020101020101"))),
    "spaces inside": lambda d: d.proof().replace(".", " . "),
    "scheme before it": lambda d: "DPoP " + d.proof(),
    "quoted": lambda d: f'"{d.proof()}"',
    "oversize": claim(made_up="x" * 2048),
    "two headers": lambda d: f"{d.proof()}\n{d.proof()}",
    "two proofs in one header": lambda d: f"{d.proof()}, {d.proof()}",
}


async def bound(app: RunningApp) -> tuple[DeviceKey, dict[str, Any]]:
    device = DeviceKey(ISSUER, nonce=app.services.proofs.new_nonce())
    response = await app.try_log_in(app.ticket(), None, device.proof("/v1/sessions"))
    return device, app.tokens(response, 201)


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_proof_is_refused_and_the_session_lives(
    shared_app: RunningApp, name: str
) -> None:
    device, tokens = await bound(shared_app)
    proofs = FORGERIES[name](device).split("\n")
    refused = await shared_app.try_refresh(tokens["refresh_token"], None, *proofs)
    told = refused.json()
    assert (refused.status_code, told["code"]) == (400, "proof_invalid")
    assert told["session_alive"] is True
    response = await shared_app.try_refresh(tokens["refresh_token"], None, device.proof())
    assert (response.status_code, response.json()["outcome"]) == (200, "rotated")


async def test_a_forged_proof_starts_no_login(shared_app: RunningApp) -> None:
    device = DeviceKey(ISSUER, nonce=shared_app.services.proofs.new_nonce())
    before, ticket = shared_app.sandbox.state.exchanges, shared_app.ticket()
    for name in FORGERIES.keys() - {"other path"}:  # that is the path of a login
        proofs = FORGERIES[name](device).split("\n")
        response = await shared_app.try_log_in(ticket, None, *proofs)
        assert response.json()["code"] == "proof_invalid"
    assert shared_app.sandbox.state.exchanges == before
    assert (await shared_app.try_log_in(ticket)).status_code == 201


@pytest.mark.parametrize(
    "extra", [{"alg": "ES256"}, {"use": "sig"}, {"key_ops": ["verify"]}, {"ext": True}]
)
async def test_members_that_exporters_of_keys_add_are_accepted(
    shared_app: RunningApp, extra: dict[str, Any]
) -> None:
    device, tokens = await bound(shared_app)
    proof = device.sign(device.header(jwk=device.public() | extra), device.claims())
    response = await shared_app.try_refresh(tokens["refresh_token"], None, proof)
    assert response.status_code == 200
