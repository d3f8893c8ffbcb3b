"""Genuine tokens, edited at random: only the unchanged token is accepted.

A few hundred edits of each token in `make test`; `make forgeries` makes 100,000 of each.
"""

import base64
import inspect
import os
from collections.abc import Callable, Sequence
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import AccessTokenInvalid, AuthingTokenInvalid, RefreshTokenInvalid
from app.sessions.tokens import issue_refresh_token, verify_refresh_token
from tests.authing.builders import hs256_verifier, sign_token
from tests.sessions.builders import ACCESS_TOKENS, NOW, SESSION_ID, b64, make_ring, make_session

Edit: TypeAlias = tuple[float, int, bytes]

edited_at_random = settings(
    max_examples=int(os.environ.get("FORGERIES", "300")), deadline=None, print_blob=True
)
RING = make_ring()
VERIFIER = hs256_verifier()

# The place (as a share of the length), the number of removed bytes, and the inserted bytes.
FAMILIAR = st.sampled_from(b'ABCXYZabcxyz0189-_.=+/{}[]":, \n').map(lambda byte: bytes([byte]))
EDIT = st.tuples(st.floats(0, 1), st.integers(0, 3), st.one_of(FAMILIAR, st.binary(max_size=4)))
EDITS = st.lists(EDIT, min_size=1, max_size=3)


def edited(data: bytes, edits: Sequence[Edit]) -> bytes:
    for where, dropped, put in edits:
        start = round(where * len(data))
        data = data[:start] + put + data[start + dropped :]
    return data


def text_of(data: bytes) -> str:
    """Each byte as a character, as in a header."""
    return data.decode("latin-1")


def inside(token: str, part: int, edits: Sequence[Edit]) -> str:
    """Edit the content of a part and encode it again."""
    parts = token.split(".")
    content = base64.urlsafe_b64decode(parts[part] + "==")
    parts[part] = b64(edited(content, edits))
    return ".".join(parts)


Verify: TypeAlias = Callable[[str], object]
ACCESS = ACCESS_TOKENS.issue(RING, make_session(), NOW)[0]
REFRESH = issue_refresh_token(RING.current_secret_key, SESSION_ID, 3)
OURS = pytest.param(ACCESS, lambda token: ACCESS_TOKENS.verify(RING, token, NOW), id="access")
AUTHINGS = pytest.param(sign_token(), VERIFIER.verify, id="authing")
OPAQUE = pytest.param(REFRESH, lambda token: verify_refresh_token(RING, token), id="refresh")
jws = pytest.mark.parametrize(("token", "verify"), [OURS, AUTHINGS])
any_token = pytest.mark.parametrize(("token", "verify"), [OURS, AUTHINGS, OPAQUE])


async def is_refused(token: str, verify: Verify) -> bool:
    try:
        verified = verify(token)
        if inspect.isawaitable(verified):
            await verified
    except (AccessTokenInvalid, AuthingTokenInvalid, RefreshTokenInvalid):
        return True
    return False


@any_token
async def test_the_token_that_is_edited_is_genuine(token: str, verify: Verify) -> None:
    assert not await is_refused(token, verify)


@any_token
@edited_at_random
@given(edits=EDITS)
async def test_an_edited_token_is_refused(token: str, verify: Verify, edits: list[Edit]) -> None:
    other = text_of(edited(token.encode(), edits))
    assert other == token or await is_refused(other, verify)


@jws
@edited_at_random
@given(part=st.integers(0, 2), edits=EDITS)
async def test_a_token_with_other_content_is_refused(
    token: str, verify: Verify, part: int, edits: list[Edit]
) -> None:
    other = inside(token, part, edits)
    assert other == token or await is_refused(other, verify)
