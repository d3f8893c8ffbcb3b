"""Phone numbers are right or absent: backends join accounts by them."""

from typing import Any

import pytest

from app.authing.profile import e164

MAINLAND = "+8613800138000"
HONG_KONG = "+85261234567"


@pytest.mark.parametrize("code", [86, "86", "+86", "0086", " 86 ", "+ 86", "＋86", None, "", " "])  # noqa: RUF001
@pytest.mark.parametrize(
    "raw", ["13800138000", "8613800138000", "013800138000", "0086 138 0013 8000"]
)
def test_a_mainland_mobile_is_read_with_every_spelling_of_its_code(raw: str, code: Any) -> None:
    assert e164(raw, code) == MAINLAND


@pytest.mark.parametrize("prefix", ["13", "14", "15", "16", "17", "18", "19"])
def test_a_mainland_mobile_begins_with_13_to_19(prefix: str) -> None:
    assert e164(f"{prefix}123456789") == f"+86{prefix}123456789"


@pytest.mark.parametrize(
    ("raw", "code", "number"),
    [
        # the number's own prefix wins
        (MAINLAND, "+1", MAINLAND),
        ("0085261234567", 86, HONG_KONG),
        ("+852 6123 4567", None, HONG_KONG),
        ("0013125550100", None, "+13125550100"),
        ("+4407911123456", None, "+447911123456"),
        ("+86 10 8888 8888", None, "+861088888888"),
        # the code is put in front, once
        ("61234567", "852", HONG_KONG),
        ("85261234567", "852", HONG_KONG),
        ("85261234567", 852, HONG_KONG),
        ("(312) 555.0100", "1", "+13125550100"),
        ("13125550100", "001", "+13125550100"),
        ("07911123456", "+44", "+447911123456"),
        ("447911123456", "44", "+447911123456"),
        ("89161234567", "7", "+79161234567"),
        ("6591234567", "65", "+6591234567"),
        ("0912345678", "886", "+886912345678"),
        ("01088888888", "86", "+861088888888"),
        # other characters
        ("138 0013\u20118000", "", MAINLAND),
        ("\u00a0138\u30000013\u20138000\ufeff", None, MAINLAND),
        ("\u202a+8613800138000\u202c", None, MAINLAND),
        ("１３８００１３８０００", None, MAINLAND),  # noqa: RUF001
        ("（＋８６）１３８００１３８０００", None, MAINLAND),  # noqa: RUF001
    ],
)
def test_a_number_is_right(raw: str, code: Any, number: str) -> None:
    assert e164(raw, code) == number


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        # not in the mainland without a code
        ("12125550100", None),
        ("3125550100", None),
        ("61234567", None),
        ("85261234567", None),
        ("02125550100", None),
        ("23800138000", None),
        # no mainland mobile
        ("12125550100", 86),
        ("+8612125550100", None),
        ("1380013800", None),
        ("138001380001", None),
        ("138001380001", "86"),
        # a code that is none
        ("13800138000", "CN"),
        ("13800138000", "999"),
        ("13800138000", "852"),
        ("13800138000", "886"),
        ("13800138000", "0"),
        ("13800138000", 0),
        ("13800138000", -86),
        ("13800138000", True),
        ("13800138000", 86.0),
        ("13800138000", ["86"]),
        ("13800138000", "86, 852"),
        # no possible number
        ("5550100", "1"),
        ("+0123456789", None),
        ("+12", None),
        ("0000138", None),
        ("+1234567890123456", None),
        ("12345678901234", "+852"),
        ("+999123456789", None),
        ("+86+13800138000", None),
        ("4915112345678", "49"),  # with and without the code both numbers exist
        # no number
        ("", None),
        ("+", None),
        ("00", None),
        ("-", "86"),
        ("no number", "86"),
        ("13800138000,13900139000", None),
        ("١٣٨٠٠١٣٨٠٠٠", None),
        ("9" * 5000, "86"),
        # masked
        ("138****8000", "86"),
        ("138xxxx8000", None),
        ("+86138XXXX8000", None),
        ("138＊＊＊＊8000", None),  # noqa: RUF001
        ("138••••8000", None),
    ],
)
def test_an_uncertain_number_is_absent(raw: str, code: Any) -> None:
    assert e164(raw, code) is None
