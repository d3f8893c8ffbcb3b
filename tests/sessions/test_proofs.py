"""What makes a proof good for a request (RFC 9449 section 4.3), and forged ones.

tests/stores/contract/test_proofs.py has what makes it good for a session.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from app.jose.key_ring import KeyRing
from app.sessions.models import GivenProof, Proof
from app.sessions.proofs import ProofVerifier, SentProof
from tests.sessions.builders import b64, ec_jwk, make_ring, oct_jwk
from tests.support.fakes import FakeClock, FakeKeys
from tests.support.proofs import REFRESH, DeviceKey, sign

# RFC 9449 section 4.1, figure 2. It has no nonce.
EXAMPLE = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUk"
    "lDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUw"
    "Q2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6I"
    "mh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A"
    "0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
HOST = "server.example.com"
SERVER = f"https://{HOST}"


def verifier(
    issuer: str, ring: KeyRing | None = None, clock: FakeClock | None = None
) -> ProofVerifier:
    return ProofVerifier(FakeKeys(ring or make_ring()), issuer, "optional", clock or FakeClock())


def read(
    proofs: ProofVerifier, device: DeviceKey, path: str = "/v1/sessions", **claims: object
) -> GivenProof:
    return proofs.read(SentProof([device.proof(path, **claims)], "POST", path))


def test_the_example_of_rfc_9449_lacks_only_our_nonce() -> None:
    proof = verifier(SERVER).read(SentProof([EXAMPLE], "POST", "/token"))
    # Its thumbprint is that of section 6.1.
    assert proof == Proof("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "")
    for method, path in (("GET", "/token"), ("POST", "/other")):
        assert verifier(SERVER).read(SentProof([EXAMPLE], method, path)) == "invalid"


@pytest.mark.parametrize(
    ("issuer", "htu"),
    [
        ("https://a.example", "https://a.example/v1/sessions"),
        ("https://a.example", "HTTPS://A.Example:443/v1/sessions"),
        ("https://a.example", "https://a.example/v1/sessions?query#fragment"),
        ("https://a.example", "https://a.example/v1/s%65ssions"),
        ("https://a.example:8443/login", "https://a.example:8443/login/v1/sessions"),
        ("https://a.example/a%2Db", "https://a.example/a-b/v1/sessions"),
        ("http://[::1]:8000", "http://[::1]:8000/v1/sessions"),
        ("http://127.0.0.1", "http://127.0.0.1:80/v1/sessions"),
    ],
)
def test_spellings_of_one_address_are_the_same(issuer: str, htu: str) -> None:
    proofs = verifier(issuer)
    assert isinstance(read(proofs, DeviceKey(issuer, nonce=proofs.new_nonce()), htu=htu), Proof)


def test_every_instance_with_the_key_accepts_a_nonce_also_after_a_change_of_keys() -> None:
    signing, old, new = ec_jwk(), oct_jwk(), oct_jwk()
    clock = FakeClock()
    nonce = verifier(SERVER, make_ring(signing, old), clock).new_nonce()
    device = DeviceKey(SERVER, nonce=nonce)
    rolled, foreign = make_ring(signing, new, old), make_ring(signing, new)
    assert read(verifier(SERVER, rolled, clock), device).id  # type: ignore[union-attr]
    assert read(verifier(SERVER, foreign, clock), device) == Proof(device.thumbprint, "")


@pytest.mark.parametrize(
    ("seconds", "good"), [(-61, False), (-60, True), (0, True), (600, True), (601, False)]
)
def test_a_nonce_lives_for_ten_minutes_and_clocks_may_differ_by_one(
    seconds: int,
    good: bool,  # noqa: FBT001  # a column of the table
) -> None:
    clock = FakeClock()
    proofs = verifier(SERVER, clock=clock)
    device = DeviceKey(SERVER, nonce=proofs.new_nonce())
    clock.advance(timedelta(seconds=seconds))
    proof = read(proofs, device)
    assert isinstance(proof, Proof)
    assert bool(proof.id) == good


def test_ids_are_in_the_order_of_their_nonces() -> None:
    clock = FakeClock()
    proofs = verifier(SERVER, clock=clock)
    ids = []
    for _ in range(5):
        proof = read(proofs, DeviceKey(SERVER, nonce=proofs.new_nonce()))
        assert isinstance(proof, Proof)
        ids.append(proof.id)
        clock.advance(timedelta(seconds=1))
    assert ids == sorted(ids)
    assert {len(each) for each in ids} == {32}


# --- forged ---

PROOFS = verifier(SERVER)
DEVICE = DeviceKey(SERVER, nonce=PROOFS.new_nonce())
OTHER = DeviceKey(SERVER, nonce=DEVICE.nonce)
HEADER, CLAIMS, SIGNATURE = DEVICE.proof().split(".")
P384 = ECKey.generate_key("P-384")
# Keys of a kind that is not allowed, each with its algorithm.
FOREIGN_KEYS: dict[str, Any] = {
    "HS256": OctKey.import_key(b"s" * 32),
    "RS256": RSAKey.generate_key(2048),
    "PS256": RSAKey.generate_key(2048),
    "ES384": P384,
    "ES256K": ECKey.generate_key("secp256k1"),
    "EdDSA": OKPKey.generate_key("Ed448"),
}
WRONG_CLAIMS: dict[str, list[Any]] = {
    "htm": ["GET", "post", None],
    "htu": [
        *(None, [SERVER + REFRESH], "", REFRESH, HOST, SERVER, f"{SERVER}{REFRESH}/", "https://[/"),
        *(f"{SERVER}/v1/sessions", f"{SERVER}{REFRESH.upper()}", f"{SERVER}/{REFRESH}"),
        *(
            f"http://{HOST}{REFRESH}",
            f" {SERVER}{REFRESH}",
            f"https://server.\nexample.com{REFRESH}",
        ),
        *(f"{SERVER}{port}{REFRESH}" for port in (":8443", ":0", ":x")),
        *(f"https://{host}{REFRESH}" for host in ("b.example", f"{HOST}.b.example")),
        *(f"https://{host}{REFRESH}" for host in (f"user@{HOST}", f"{HOST}@b.example")),
    ],
    "iat": [None, "1562262616", 1562262616.5, 1_562_262_616_000, -1],
    "jti": [None, "", 5, "j" * 257],
    "made_up": ["x" * 2048],
}
WRONG_HEADERS: dict[str, list[Any]] = {
    "jwk": [None, "EC", [], {}, {"keys": [DEVICE.public()]}, OTHER.public()],
    "typ": [None, "JWT", "at+jwt", "DPOP+JWT"],
    "kid": ["one"],
    "jku": ["https://thief.example/keys"],
    "x5u": ["https://thief.example/cert"],
    "x5c": [["MIIB"]],
    "zip": ["DEF"],
    "cty": ["JWT"],
}
WRONG_KEY_MEMBERS: dict[str, list[Any]] = {
    "kty": [None, "OKP", "ec"],
    "crv": [None, "P-521"],
    "x": [None, 5, b64(b"\x01" * 32), b64(b"\x01" * 31), DEVICE.public()["x"] + "="],
    "y": [None],
    "d": ["AAAA"],
    "k": ["c2VjcmV0"],
    "kid": ["one"],
    "x5c": [["MIIB"]],
    "x5u": ["https://thief.example"],
    "made": ["up"],
    "use": ["enc"],
    "key_ops": [["sign"]],
    "alg": ["ES384"],
}


def with_key(jwk: dict[str, Any]) -> str:
    members = {name: value for name, value in jwk.items() if value is not None}
    return DEVICE.sign(DEVICE.header(jwk=members), DEVICE.claims())


def by_foreign_key(alg: str, key: Any) -> str:
    public = key.as_dict(private=key.key_type == "oct")
    return sign({"typ": "dpop+jwt", "alg": alg, "jwk": public}, DEVICE.claims(), key)


def by_public_key_as_secret() -> str:
    """The classic confusion of algorithms: HS256 under the bytes of the public key."""
    secret = OctKey.import_key(json.dumps(DEVICE.public()).encode())
    return sign(DEVICE.header(alg="HS256"), DEVICE.claims(), secret)


def each(table: dict[str, list[Any]]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, values in table.items() for value in values)


FORGERIES: dict[str, list[str]] = {
    "claim": [DEVICE.proof(**{name: value}) for name, value in each(WRONG_CLAIMS)],
    "claims": [
        sign(DEVICE.header(), claims, DEVICE.key)
        for claims in (b"[]", b"POST", b'{"htm":"POST","htm":"POST"}')
    ],
    "header": [
        DEVICE.sign(DEVICE.header(**{name: value}), DEVICE.claims())
        for name, value in each(WRONG_HEADERS)
    ],
    "key member": [
        with_key(DEVICE.public() | {name: value}) for name, value in each(WRONG_KEY_MEMBERS)
    ],
    "key": [
        *(by_foreign_key(alg, key) for alg, key in FOREIGN_KEYS.items()),
        *(with_key(key) for key in (DEVICE.key.as_dict(private=True), P384.as_dict(private=False))),
        with_key(DEVICE.public() | {"x": b64(bytes(32)), "y": b64(bytes(32))}),
        sign(DEVICE.header(), DEVICE.claims(), OTHER.key),
        by_public_key_as_secret(),
    ],
    "no algorithm": [
        f"{b64(json.dumps(DEVICE.header(alg=alg)).encode())}.{CLAIMS}." for alg in ("none", "None")
    ],
    "parts": [
        *("", "proof", f"{HEADER}.{CLAIMS}", f"{HEADER}.{CLAIMS}.{SIGNATURE}.AAAA"),
        *(f"{b64(header)}.{CLAIMS}.{SIGNATURE}" for header in (b"{", b"[]")),
        f"{HEADER}.{b64(b'{}')}.{SIGNATURE}",
        f"{HEADER} . {CLAIMS} . {SIGNATURE}",
        *(f"DPoP {DEVICE.proof()}", f'"{DEVICE.proof()}"', f"{DEVICE.proof()}, {DEVICE.proof()}"),
    ],
    "signature": [
        *(f"{HEADER}.{CLAIMS}.", f"{HEADER}.{CLAIMS}.{SIGNATURE}=="),
        f"{HEADER}.{CLAIMS}.{'B' if SIGNATURE[0] == 'A' else 'A'}{SIGNATURE[1:]}",
        f"{HEADER}.{CLAIMS}.{DEVICE.proof().split('.')[2]}",  # of another proof
        f"{HEADER}.{CLAIMS}.{b64(bytes.fromhex('3006020101020101'))}",  # in DER
    ],
}


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(proof, id=f"{kind} {number}")
        for kind, proofs in FORGERIES.items()
        for number, proof in enumerate(proofs)
    ],
)
def test_a_forged_proof_is_invalid(forged: str) -> None:
    assert PROOFS.read(SentProof([forged], "POST", REFRESH)) == "invalid"


def test_two_proofs_are_invalid() -> None:
    assert PROOFS.read(SentProof([DEVICE.proof(), DEVICE.proof()], "POST", REFRESH)) == "invalid"


def test_a_nonce_that_is_not_ours_is_none() -> None:
    later, longer, shorter = "_" + DEVICE.nonce[1:], DEVICE.nonce + "AAAA", DEVICE.nonce[:-4]
    for nonce in (None, "", 5, "bWFkZS11cC1ub25jZQ", later, longer, shorter):
        assert read(PROOFS, DEVICE, nonce=nonce) == Proof(DEVICE.thumbprint, "")


# --- good ---


@pytest.mark.parametrize(
    "extra", [{}, {"alg": "ES256"}, {"use": "sig"}, {"key_ops": ["verify"]}, {"ext": True}]
)
def test_members_that_exporters_of_keys_add_are_accepted(extra: dict[str, Any]) -> None:
    proof = DEVICE.sign(DEVICE.header(jwk=DEVICE.public() | extra), DEVICE.claims())
    assert PROOFS.read(SentProof([proof], "POST", REFRESH)).thumbprint == DEVICE.thumbprint  # type: ignore[union-attr]


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_an_ed25519_key_has_two_names_of_its_algorithm(alg: str) -> None:
    device = DeviceKey(SERVER, OKPKey.generate_key("Ed25519"), nonce=DEVICE.nonce)
    proof = device.sign(device.header(alg=alg), device.claims())
    assert PROOFS.read(SentProof([proof], "POST", REFRESH)).thumbprint == device.thumbprint  # type: ignore[union-attr]
