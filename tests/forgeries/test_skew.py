"""Clock skew: each time limit of a token changes at its exact second.

Our access token ends without leeway and may be issued 30 s ahead; Authing's token has 30 s of
leeway on both sides.
"""

import pytest

from app.errors import AccessTokenExpired, AccessTokenInvalid, AuthingTokenInvalid
from tests.authing.builders import EPOCH, hs256_verifier, legacy_claims, sign_token
from tests.forgeries.forge import make_forge
from tests.sessions.builders import ACCESS_TOKENS, NOW

OFFSETS = sorted({*range(-120, 121, 5), -31, -29, -1, 1, 29, 31})
POINTS = {f"{name}{by:+d}": (name, by) for name in ("exp", "nbf", "iat") for by in OFFSETS}
ACCESS_FORGE = make_forge()


def times(claim: str, offset: int) -> dict[str, int]:
    """One time is this many seconds from now; the others are valid."""
    return {"iat": EPOCH - 130, "exp": EPOCH + 300, claim: EPOCH + offset}


def is_within(claim: str, offset: int, *, leeway_after: int) -> bool:
    """Return whether a token is valid whose end, or beginning, is this many seconds from now."""
    return offset > -leeway_after if claim == "exp" else offset <= 30


@pytest.mark.parametrize(("claim", "offset"), POINTS.values(), ids=POINTS)
def test_an_access_token_changes_at_the_second(claim: str, offset: int) -> None:
    token = ACCESS_FORGE.token(claims=times(claim, offset))
    if is_within(claim, offset, leeway_after=0):
        ACCESS_TOKENS.verify(ACCESS_FORGE.ring, token, NOW)
        return
    with pytest.raises(AccessTokenExpired if claim == "exp" else AccessTokenInvalid):
        ACCESS_TOKENS.verify(ACCESS_FORGE.ring, token, NOW)


@pytest.mark.parametrize(("claim", "offset"), POINTS.values(), ids=POINTS)
async def test_authings_token_changes_at_the_second(claim: str, offset: int) -> None:
    token = sign_token(legacy_claims(**times(claim, offset)))
    # The clock of these tests is a quarter of a second past EPOCH, which no whole offset meets.
    if is_within(claim, offset, leeway_after=30):
        await hs256_verifier().verify(token)
        return
    with pytest.raises(AuthingTokenInvalid):
        await hs256_verifier().verify(token)
