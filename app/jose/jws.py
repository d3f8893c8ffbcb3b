"""Signing and strict reading of a compact JWS (RFC 7515), for our tokens and for Authing's.

PyJWT does the cryptography. This module adds what PyJWT leaves open: the exact form, header members
that choose a key or rules, duplicate keys, and times that are not whole seconds (RFC 8725). Callers
compare times with their own clock, so PyJWT's time checks are not used.
"""

import hmac
import json
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import jwt

from app.jose.strict_json import StrictJsonError, loads

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_MAX_LENGTH = 16 * 1024
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z: a later one is in milliseconds
_JWS = jwt.PyJWS()
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_TO_URL, _FROM_URL = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_+/", b"+/..")


class InvalidJws(Exception):
    """The token is not accepted. Holds no reason, so that an attacker learns nothing from it."""


def sign(header: str, claims: Mapping[str, Any], key: Any, algorithm: str) -> str:
    """Return the compact JWS of the claims. `header` is a `segment` that names the algorithm."""
    signed = f"{header}.{segment(claims)}"
    signature = _JWS.get_algorithm_by_name(algorithm).sign(signed.encode(), key)
    return f"{signed}.{base64url_encode(signature)}"


def segment(members: Mapping[str, Any]) -> str:
    """Encode a JSON object as one part of a JWS."""
    return base64url_encode(_ENCODER.encode(members).encode())


class UnverifiedJws(NamedTuple):
    """The parts of a compact JWS. Nothing is genuine before its `verified_…` is called."""

    header: Mapping[str, Any]
    signed: bytes
    payload: bytes
    signature: bytes

    def verified_payload(self, key: Any, algorithm: str) -> bytes:
        """Check the signature with the one algorithm of the key; return the bytes that it signs."""
        alg = self.header["alg"]
        if alg != algorithm and (alg, algorithm) != ("Ed25519", "EdDSA"):  # RFC 9864 section 2.2
            raise InvalidJws
        # Not PyJWT's own `decode`: it reads each character of the three parts in Python.
        try:
            if algorithm == "HS256":
                mac = hmac.digest(_shared_secret(key), self.signed, "sha256")
                genuine = hmac.compare_digest(mac, self.signature)
            else:
                library = _JWS.get_algorithm_by_name(algorithm)
                genuine = library.verify(self.signed, library.prepare_key(key), self.signature)
        except (jwt.PyJWTError, ValueError) as error:
            raise InvalidJws from error
        if not genuine:
            raise InvalidJws
        return self.payload

    def verified_claims(self, key: Any, algorithm: str) -> Mapping[str, Any]:
        """Check the signature like `verified_payload`; return the claims, in strict JSON."""
        return _object(self.verified_payload(key, algorithm))


def read(token: str, *, allowed: frozenset[str]) -> UnverifiedJws:
    """Split three base64url parts and decode the JOSE header. The signature is not checked.

    `allowed` lists all header members that may occur: with `jwk`, `jku`, `x5u` or `crit` an
    attacker could choose the key or the rules.
    """
    if len(token) > _MAX_LENGTH or not _COMPACT.fullmatch(token):
        raise InvalidJws
    encoded_header, encoded_payload, encoded_signature = token.split(".")
    try:
        header = _header(encoded_header)
        payload, signature = base64url_decode(encoded_payload), base64url_decode(encoded_signature)
    except ValueError:
        raise InvalidJws from None
    if not allowed >= header.keys() or not isinstance(header.get("alg"), str):
        raise InvalidJws
    signed = f"{encoded_header}.{encoded_payload}".encode()
    return UnverifiedJws(header, signed, payload, signature)


@lru_cache(maxsize=8)
def _header(encoded: str) -> Mapping[str, Any]:
    """Decode a JOSE header. The tokens of one key have the same."""
    return MappingProxyType(_object(base64url_decode(encoded)))


@lru_cache(maxsize=8)
def _shared_secret(key: str | bytes) -> bytes:
    """Return the key of an HMAC, unless it has the form of a public key, which is no secret."""
    prepared: bytes = _JWS.get_algorithm_by_name("HS256").prepare_key(key)
    return prepared


def base64url_encode(data: bytes) -> str:
    """Encode as base64url without padding (RFC 7515 section 2)."""
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL).decode()


def base64url_decode(text: str) -> bytes:
    """Decode what `base64url_encode` would write; ValueError for anything else.

    Python ignores characters outside the alphabet and stray bits at the end, so that one value
    would have several encodings.
    """
    standard = text.encode().translate(_FROM_URL)
    data = a2b_base64(standard + b"==")
    if b2a_base64(data, newline=False).rstrip(b"=") != standard:
        raise ValueError
    return data


def instant(claims: Mapping[str, Any], name: str) -> datetime:
    """Read a required NumericDate (RFC 7519 section 2) in whole seconds, not in milliseconds."""
    value = claims.get(name)
    if type(value) is not int or not 0 <= value <= _LAST_SECOND:
        raise InvalidJws
    return datetime.fromtimestamp(value, UTC)


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        value = loads(data)
    except StrictJsonError:
        raise InvalidJws from None
    if not isinstance(value, dict):
        raise InvalidJws
    return value
