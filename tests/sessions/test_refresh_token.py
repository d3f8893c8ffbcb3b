"""Refresh tokens: computed, never stored, and accepted in exactly one form.

tests/forgeries/test_byte_edits.py edits one at random.
"""

import itertools
import string

import pytest

from app.errors import RefreshTokenInvalid
from app.sessions.tokens import (
    RefreshClaims,
    issue_refresh_token,
    new_session_id,
    verify_refresh_token,
)
from tests.sessions.builders import SESSION_ID, ec_jwk, make_ring, oct_jwk

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
RING = make_ring(ec_jwk(), oct_jwk(bytes(range(32))))
TOKEN = issue_refresh_token(RING.current_secret_key, SESSION_ID, 3)
FIXED = "rt_c2Vzc2lvbi1pZC0xNi1ieQAAAAOilzKZyqI06Pg8yrC_LeI5ekxX1-F5hQSLY-V7np4y3g"


def is_refused(token: str) -> bool:
    try:
        verify_refresh_token(RING, token)
    except RefreshTokenInvalid:
        return True
    return False


# --- written ---


@pytest.mark.parametrize("generation", [0, 1, 255, 256, 2**32 - 1])
def test_every_generation_has_its_token(generation: int) -> None:
    session_id = new_session_id()
    token = issue_refresh_token(RING.current_secret_key, session_id, generation)
    assert verify_refresh_token(RING, token) == RefreshClaims(session_id, generation)


def test_the_same_session_generation_and_key_give_the_same_text_in_any_process() -> None:
    after_restart = make_ring(ec_jwk(), oct_jwk(bytes(range(32)))).current_secret_key
    assert issue_refresh_token(after_restart, SESSION_ID, 3) == TOKEN
    # Fixed for ever: another spelling would end every session.
    assert TOKEN == FIXED


def test_another_session_generation_or_key_gives_another_text() -> None:
    keys = RING.current_secret_key, make_ring().current_secret_key
    ids = SESSION_ID, new_session_id()
    texts = {issue_refresh_token(*given) for given in itertools.product(keys, ids, (3, 4))}
    assert len(texts) == 8


def test_a_token_is_known_by_its_beginning_and_fits_a_header_or_a_column() -> None:
    assert TOKEN.startswith("rt_")
    assert set(TOKEN[3:]) <= set(ALPHABET)
    assert len(TOKEN) == 73


def test_session_ids_are_not_repeated() -> None:
    ids = {new_session_id() for _ in range(1000)}
    assert (len(ids), {*map(len, ids)}) == (1000, {22})


# --- keys ---


def test_a_token_is_accepted_while_its_key_is_in_the_ring_in_any_place() -> None:
    old, new, signing = oct_jwk(bytes(range(32))), oct_jwk(), ec_jwk()
    for ring in (make_ring(signing, old, new), make_ring(signing, new, old)):
        assert verify_refresh_token(ring, TOKEN) == RefreshClaims(SESSION_ID, 3)
    with pytest.raises(RefreshTokenInvalid):
        verify_refresh_token(make_ring(signing, new), TOKEN)


# --- forged ---


def test_a_token_with_any_one_character_changed_is_refused() -> None:
    for position, genuine in enumerate(TOKEN):
        for other in set(ALPHABET + "=+/. \né") - {genuine}:
            assert is_refused(TOKEN[:position] + other + TOKEN[position + 1 :])


def test_a_token_with_any_one_character_more_or_less_is_refused() -> None:
    for position in range(len(TOKEN)):
        assert is_refused(TOKEN[:position] + TOKEN[position + 1 :])
        assert is_refused(TOKEN[:position] + "A" + TOKEN[position:])


def test_the_other_spellings_of_the_same_bytes_are_refused() -> None:
    # 52 bytes leave four unused bits in the last character: 16 spellings, one of them ours.
    stem, last = TOKEN[:-1], ALPHABET.index(TOKEN[-1])
    assert last % 16 == 0
    spellings = [stem + ALPHABET[last + unused] for unused in range(16)]
    assert [is_refused(spelling) for spelling in spellings] == [False] + [True] * 15


@pytest.mark.parametrize(
    "token",
    [
        *("", "rt_", "rt_" + "A" * 70, "rt_" + "A" * 8192, "eyJhbGciOiJub25lIn0.e30."),
        *("RT_" + TOKEN[3:], TOKEN[3:], TOKEN + "\n", " " + TOKEN, TOKEN + "==", TOKEN + TOKEN),
        *(TOKEN.replace("A", "\uff21"), "rt_" + "é" * 70, "rt_" + "\ud800" * 70, TOKEN + "\x00"),
    ],
    ids=lambda token: ascii(token[:24]),
)
def test_another_string_than_a_refresh_token_is_refused(token: str) -> None:
    assert is_refused(token)
