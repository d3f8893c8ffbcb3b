"""The strict reading of a JWS, below our own tokens and Authing's."""

import hmac
import json
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from app.jose import jws
from tests.sessions.builders import EPOCH, b64

SECRET = "made-up-shared-secret-of-32-bytes"
ALLOWED = frozenset({"alg", "typ"})
HEADER = {"alg": "HS256", "typ": "JWT"}
CLAIMS = {"iat": EPOCH, "data": {"id": "user"}}


def sign(claims: object = CLAIMS) -> str:
    return jwt.PyJWS().encode(json.dumps(claims).encode(), SECRET, "HS256")


def with_header(header: object) -> str:
    return f"{b64(json.dumps(header).encode())}.{b64(b'{}')}.{b64(b'signature')}"


def test_the_unverified_header_of_a_compact_token_is_read() -> None:
    assert jws.read(with_header(HEADER), allowed=ALLOWED).header == HEADER
    assert jws.read(with_header({"alg": "none"}), allowed=ALLOWED).header == {"alg": "none"}


@pytest.mark.parametrize(
    "token",
    [
        *("", "..", "a.b", "a.b.c.d", " a.b.c", "a.b.c\n", "A" * 20_000),
        *map(with_header, ({}, {"typ": "JWT"}, {"alg": None}, {"alg": ["HS256"]}, [HEADER])),
        *(f"{b64(text)}.e30.bWFj" for text in (b"\xff", b'{"alg": "HS256", "alg": "HS256"}')),
    ],
)
def test_a_token_of_another_form_or_without_an_algorithm_is_refused(token: str) -> None:
    with pytest.raises(jws.InvalidJws):
        jws.read(token, allowed=ALLOWED)


@pytest.mark.parametrize("name", ["kid", "jwk", "jku", "x5u", "crit", "b64", "Alg"])
def test_header_members_that_are_not_allowed_are_refused(name: str) -> None:
    token = with_header({**HEADER, name: "anything"})
    with pytest.raises(jws.InvalidJws):
        jws.read(token, allowed=ALLOWED)
    assert jws.read(token, allowed=ALLOWED | {name}).header[name] == "anything"


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "payload", "signature"])
def test_each_part_has_one_encoding(part: int) -> None:
    # After one byte over a multiple of three, the last character has bits that count for nothing.
    parts = [b64(text) for text in (b'{"alg":"HS256"}  '[:16], b"{}  ", b"sign")]
    assert jws.read(".".join(parts), allowed=ALLOWED).header == {"alg": "HS256"}
    parts[part] = parts[part][:-1] + chr(ord(parts[part][-1]) + 1)
    with pytest.raises(jws.InvalidJws):
        jws.read(".".join(parts), allowed=ALLOWED)


def test_the_claims_of_a_signed_token_are_read() -> None:
    assert jws.read(sign(), allowed=ALLOWED).verified_claims(SECRET, "HS256") == CLAIMS


@pytest.mark.parametrize(
    ("secret", "algorithm"),
    [("another-made-up-secret-of-32-bytes", "HS256"), (SECRET, "HS512"), (SECRET, "none")],
)
def test_another_key_or_algorithm_does_not_verify(secret: str, algorithm: str) -> None:
    with pytest.raises(jws.InvalidJws):
        jws.read(sign(), allowed=ALLOWED).verified_claims(secret, algorithm)


@pytest.mark.parametrize(
    "key", [b"-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n", b'{"kty": "RSA"}']
)
def test_a_public_key_is_no_shared_secret(key: bytes) -> None:
    signed = b64(b'{"alg":"HS256"}') + "." + b64(b"{}")
    mac = hmac.digest(key, signed.encode(), "sha256")
    with pytest.raises(jws.InvalidJws):
        jws.read(f"{signed}.{b64(mac)}", allowed=ALLOWED).verified_claims(key, "HS256")


@pytest.mark.parametrize("claims", [[CLAIMS], "claims", 7, None])
def test_signed_claims_that_are_not_an_object_are_refused(claims: object) -> None:
    with pytest.raises(jws.InvalidJws):
        jws.read(sign(claims), allowed=ALLOWED).verified_claims(SECRET, "HS256")


@pytest.mark.parametrize(
    ("value", "date"),
    [(0, "1970-01-01"), (EPOCH, "2026-11-22T12:00"), (253_402_300_799, "9999-12-31T23:59:59")],
)
def test_a_whole_number_of_seconds_is_an_instant_in_utc(value: int, date: str) -> None:
    instant = jws.instant({"iat": value}, "iat")
    assert instant == datetime.fromisoformat(date).replace(tzinfo=UTC)
    assert instant.tzinfo is UTC


NOT_AN_INSTANT: list[Any] = [None, "1", 1.0, True, -1, 253_402_300_800, EPOCH * 1000, []]


@pytest.mark.parametrize("value", NOT_AN_INSTANT, ids=str)
def test_a_time_that_is_not_whole_seconds_is_refused(value: object) -> None:
    with pytest.raises(jws.InvalidJws):
        jws.instant({"iat": value}, "iat")
    with pytest.raises(jws.InvalidJws):
        jws.instant({"exp": EPOCH}, "iat")


def test_a_refusal_holds_no_part_of_the_token() -> None:
    with pytest.raises(jws.InvalidJws) as caught:
        jws.read(sign(), allowed=ALLOWED).verified_claims(
            "another-made-up-secret-of-32-bytes", "HS256"
        )
    assert (str(caught.value), caught.value.args) == ("", ())
