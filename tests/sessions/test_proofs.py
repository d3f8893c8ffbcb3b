"""What makes a proof good for a request; tests/api/test_forged_proofs.py has forgeries."""

from datetime import timedelta

import pytest

from app.jose.key_ring import KeyRing
from app.sessions.models import GivenProof, Proof
from app.sessions.proofs import ProofVerifier, SentProof
from tests.sessions.builders import ec_jwk, make_ring, oct_jwk
from tests.support.fakes import FakeClock, FakeKeys
from tests.support.proofs import DeviceKey

# RFC 9449 section 4.1, figure 2. It has no nonce.
EXAMPLE = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUk"
    "lDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUw"
    "Q2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6I"
    "mh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A"
    "0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
SERVER = "https://server.example.com"


def verifier(
    issuer: str, ring: KeyRing | None = None, clock: FakeClock | None = None
) -> ProofVerifier:
    return ProofVerifier(FakeKeys(ring or make_ring()), issuer, "optional", clock or FakeClock())


def read(
    proofs: ProofVerifier, device: DeviceKey, path: str = "/v1/sessions", **claims: str
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


@pytest.mark.parametrize(
    "htu",
    [
        *("", "/v1/sessions", "https://a.example", "https://a.example/v1/sessions/", "a.example"),
        *("http://a.example/v1/sessions", "https://a.example:8443/v1/sessions"),
        *("https://a.example:0/v1/sessions", "https://a.example:x/v1/sessions"),
        *("https://b.example/v1/sessions", "https://a.example.b.example/v1/sessions"),
        *("https://user@a.example/v1/sessions", "https://a.example@b.example/v1/sessions"),
        *("https://a.example/V1/sessions", "https://a.example//v1/sessions"),
        *("https://a.exam\nple/v1/sessions", " https://a.example/v1/sessions", "https://[a/v1"),
        "https://a.example/v1/sessions/refresh",
    ],
)
def test_another_address_is_invalid(htu: str) -> None:
    proofs = verifier("https://a.example")
    assert read(proofs, DeviceKey("", nonce=proofs.new_nonce()), htu=htu) == "invalid"


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
