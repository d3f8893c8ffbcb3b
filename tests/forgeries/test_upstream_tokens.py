"""Forged tokens of Authing: none verifies. tests/authing/test_verifier.py has their claims."""

import pytest

from app.errors import AuthingTokenInvalid
from tests.authing.builders import EPOCH, SECRET, USER_ID, hs256_verifier, legacy_claims
from tests.forgeries.any_jws import ANY_JWS
from tests.forgeries.forge import Forge, Forgeries, sign_with
from tests.sessions.builders import ACCESS_TOKENS, NOW, b64, make_ring, make_session

OWN_SECRET = b"made-up-secret-of-the-attacker-0123"
FORGE = Forge(
    header={"alg": "HS256", "typ": "JWT"},
    claims=legacy_claims(iat=EPOCH),
    sign=sign_with("HS256", SECRET.encode()),
    own_jwk={"kty": "oct", "k": b64(OWN_SECRET)},
    own_sign=sign_with("HS256", OWN_SECRET),
)
OUR_TOKEN, _ = ACCESS_TOKENS.issue(make_ring(), make_session(), NOW)
FORGERIES: Forgeries[Forge] = {**ANY_JWS, "an-access-token-of-ours": lambda _: OUR_TOKEN}


async def test_the_token_under_these_forgeries_is_genuine() -> None:
    assert (await hs256_verifier().verify(FORGE.token())).user_id == USER_ID


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_token_of_authing_is_refused(name: str, outside_calls: list[str]) -> None:
    with pytest.raises(AuthingTokenInvalid):
        await hs256_verifier().verify(FORGERIES[name](FORGE))
    assert outside_calls == []
