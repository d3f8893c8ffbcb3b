"""Genuine tokens, edited at random: only the unchanged token is accepted.

A few hundred edits of each token in `make test`; `make forgeries` makes 100,000 of each.
"""

import base64
import os
from collections.abc import Sequence
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import AccessTokenInvalid, AuthingTokenInvalid, RefreshTokenInvalid
from app.sessions.refresh_tokens import issue_refresh_token, verify_refresh_token
from tests.authing.builders import hs256_verifier, sign_token
from tests.sessions.builders import ACCESS_TOKENS, NOW, SESSION_ID, b64, make_ring, make_session

Edit: TypeAlias = tuple[float, int, bytes]

edited_at_random = settings(
    max_examples=int(os.environ.get("FORGERIES", "300")), deadline=None, print_blob=True
)
RING = make_ring()
ACCESS_TOKEN, _ = ACCESS_TOKENS.issue(RING, make_session(), NOW)
REFRESH_TOKEN = issue_refresh_token(RING.current_secret_key, SESSION_ID, 3)
AUTHING_TOKEN = sign_token()
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


def access_token_is_refused(token: str) -> bool:
    try:
        ACCESS_TOKENS.verify(RING, token, NOW)
    except AccessTokenInvalid:
        return True
    return False


def refresh_token_is_refused(token: str) -> bool:
    try:
        verify_refresh_token(RING, token)
    except RefreshTokenInvalid:
        return True
    return False


async def authing_token_is_refused(token: str) -> bool:
    try:
        await VERIFIER.verify(token)
    except AuthingTokenInvalid:
        return True
    return False


async def test_the_tokens_that_are_edited_are_genuine() -> None:
    assert not access_token_is_refused(ACCESS_TOKEN)
    assert not refresh_token_is_refused(REFRESH_TOKEN)
    assert not await authing_token_is_refused(AUTHING_TOKEN)


@edited_at_random
@given(EDITS)
def test_an_edited_access_token_is_refused(edits: list[Edit]) -> None:
    token = text_of(edited(ACCESS_TOKEN.encode(), edits))
    assert access_token_is_refused(token) or token == ACCESS_TOKEN


@edited_at_random
@given(st.integers(0, 2), EDITS)
def test_an_access_token_with_other_content_is_refused(part: int, edits: list[Edit]) -> None:
    token = inside(ACCESS_TOKEN, part, edits)
    assert access_token_is_refused(token) or token == ACCESS_TOKEN


@edited_at_random
@given(EDITS)
def test_an_edited_refresh_token_is_refused(edits: list[Edit]) -> None:
    token = text_of(edited(REFRESH_TOKEN.encode(), edits))
    assert refresh_token_is_refused(token) or token == REFRESH_TOKEN


@edited_at_random
@given(EDITS)
async def test_an_edited_token_of_authing_is_refused(edits: list[Edit]) -> None:
    token = text_of(edited(AUTHING_TOKEN.encode(), edits))
    assert await authing_token_is_refused(token) or token == AUTHING_TOKEN


@edited_at_random
@given(st.integers(0, 2), EDITS)
async def test_a_token_of_authing_with_other_content_is_refused(
    part: int, edits: list[Edit]
) -> None:
    token = inside(AUTHING_TOKEN, part, edits)
    assert await authing_token_is_refused(token) or token == AUTHING_TOKEN
