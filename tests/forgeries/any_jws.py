"""Forgeries of any JWS, ours or Authing's: signatures, header members, other forms."""

import hmac
import itertools
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.forgeries.forge import Forge, Forgeries, Sign, as_json, constant, sign_with
from tests.sessions.builders import b64

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


# --- unsigned, or signed badly ---


def _none(algorithm: str, by: Sign | None) -> Callable[[Forge], str]:
    return lambda forge: forge.token(header={"alg": algorithm}, by=by)


def _by(change: Callable[[bytes], bytes]) -> Callable[[Forge], str]:
    """A token whose genuine signature was changed."""

    return lambda forge: forge.token(by=lambda message: change(forge.sign(message)))


def flipped(position: int) -> Callable[[bytes], bytes]:
    def flip(signature: bytes) -> bytes:
        changed = bytearray(signature)
        changed[position] ^= 1
        return bytes(changed)

    return flip


def mac(secret: bytes, bits: int) -> Sign:
    return lambda message: hmac.digest(secret, message, f"sha{bits}")


def own_key(algorithm: str, make: Callable[[], Any]) -> Callable[[Forge], str]:
    """A token of another algorithm, signed with a key that the attacker has made."""
    return lambda forge: forge.token(header={"alg": algorithm}, by=sign_with(algorithm, make()))


def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


# --- a header that chooses the key or the rules ---


def _own_key(member: Callable[[Forge], dict[str, Any]]) -> Callable[[Forge], str]:
    return lambda forge: forge.token(header=member(forge), by=forge.own_sign)


def _header(**members: Any) -> Callable[[Forge], str]:
    return lambda forge: forge.token(header=members)


# --- another form ---


def _flattened(forge: Forge) -> str:
    header, payload, signature = forge.token().split(".")
    return json.dumps({"protected": header, "payload": payload, "signature": signature})


def _general(forge: Forge) -> str:
    header, payload, signature = forge.token().split(".")
    signatures = [{"protected": header, "signature": signature}]
    return json.dumps({"payload": payload, "signatures": signatures})


def _encrypted(key: bytes, content: bytes, **header: Any) -> str:
    parts = (json.dumps(header).encode(), key, bytes(12), content, bytes(16))
    return ".".join(map(b64, parts))


def _bomb(_: Forge) -> str:
    packer = zlib.compressobj(9, wbits=-15)
    content = packer.compress(bytes(10_000_000)) + packer.flush()
    return _encrypted(b"", content, alg="dir", enc="A256GCM", zip="DEF")


def _pbes2(forge: Forge) -> str:
    rounds = {"p2s": "c2FsdA", "p2c": 1_000_000_000}
    header = {"alg": "PBES2-HS256+A128KW", "enc": "A128CBC-HS256", **rounds}
    return _encrypted(bytes(24), as_json(forge.claims), **header)


def respelled(token: str, part: int) -> str:
    """Another encoding of the same bytes: the last character of a part has unused bits."""
    parts = token.split(".")
    stem, last = parts[part][:-1], parts[part][-1]
    assert len(parts[part]) % 4 != 0
    parts[part] = stem + _ALPHABET[_ALPHABET.index(last) + 1]
    return ".".join(parts)


def _twice(members: Mapping[str, Any], name: str) -> bytes:
    """A JSON object in which one member occurs twice, with the same value."""
    return as_json(members)[:-1] + b", " + as_json({name: members[name]})[1:]


def _plain_alphabet(forge: Forge) -> str:
    tokens = (forge.token(claims={"pad": "x" * length}) for length in itertools.count())
    token = next(token for token in tokens if "-" in token and "_" in token)
    return token.replace("-", "+").replace("_", "/")


ANY_JWS: Forgeries[Forge] = {
    **{
        f"alg-{algorithm}-{form}": _none(algorithm, by)
        for algorithm in ("none", "None", "NONE", "nOnE", "noNE")
        for form, by in (("unsigned", constant(b"")), ("signature-kept", None))
    },
    "signature-null": _by(lambda _: b""),
    "signature-stripped": lambda forge: forge.token().rpartition(".")[0],
    "signature-truncated": _by(lambda signature: signature[:-1]),
    "signature-first-bit": _by(flipped(0)),
    "signature-middle-bit": _by(flipped(16)),
    "signature-last-bit": _by(flipped(-1)),
    "hmac-blank-key": lambda forge: forge.token(header={"alg": "HS256"}, by=mac(b"", 256)),
    "own-rs256-key": own_key("RS256", _rsa_key),
    "header-jwk": _own_key(lambda forge: {"jwk": dict(forge.own_jwk)}),
    "header-jku": _own_key(lambda _: {"jku": "https://evil.test/jwks.json"}),
    "header-x5u": _own_key(lambda _: {"x5u": "https://evil.test/certificate.pem"}),
    "header-x5c": _own_key(lambda _: {"x5c": ["MIIB"]}),
    "crit-unknown": _header(crit=["made-up"], **{"made-up": True}),
    "crit-empty": _header(crit=[]),
    "crit-not-a-list": _header(crit="exp"),
    "crit-b64-false": _header(crit=["b64"], b64=False),
    "jws-json-flattened": _flattened,
    "jws-json-general": _general,
    "jwe-dir": lambda forge: _encrypted(b"", as_json(forge.claims), alg="dir", enc="A256GCM"),
    "jwe-pbes2-a-billion-rounds": _pbes2,
    "jwe-zip-bomb": _bomb,
    "nested": lambda forge: forge.token(claims=forge.token().encode()),
    "whitespace": lambda forge: forge.token().replace(".", ". ", 1),
    "padding": lambda forge: forge.token() + "==",
    "plain-base64": _plain_alphabet,
    "unused-bits": lambda forge: respelled(forge.token(), 2),
    "fullwidth-dot": lambda forge: forge.token().replace(".", "\uff0e"),
    "member-of-the-header-twice": lambda forge: forge.token(header=_twice(forge.header, "alg")),
    "garbage": lambda _: "garbage",
    "8-kib-of-noise": lambda _: "A" * 8192,
    "8-kib-in-three-parts": lambda _: ".".join(["A" * 2728] * 3),
}
