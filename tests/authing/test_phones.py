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


UNCERTAIN: dict[str, dict[Any, list[str]]] = {
    "not in the mainland without a code": {
        None: ["12125550100", "3125550100", "61234567", "85261234567", "02125550100", "23800138000"]
    },
    "no mainland mobile": {
        86: ["12125550100"],
        None: ["+8612125550100", "1380013800", "138001380001"],
        "86": ["138001380001"],
    },
    "a code that is none": {
        code: ["13800138000"]
        for code in ("CN", "999", "852", "886", "0", 0, -86, 86.0, ("86",), "86, 852")
    },
    "a code that is a truth value": {True: ["13800138000"]},
    "no possible number": {
        "1": ["5550100"],
        None: [
            *("+0123456789", "+12", "0000138", "+1234567890123456", "+999123456789"),
            "+86+13800138000",
        ],
        "+852": ["12345678901234"],
        "49": ["4915112345678"],  # with and without the code both numbers exist
    },
    "no number": {
        None: ["", "+", "00", "13800138000,13900139000", "١٣٨٠٠١٣٨٠٠٠"],
        "86": ["-", "no number", "9" * 5000],
    },
    "masked": {
        "86": ["138****8000"],
        None: ["138xxxx8000", "+86138XXXX8000", "138＊＊＊＊8000", "138••••8000"],  # noqa: RUF001
    },
}


@pytest.mark.parametrize("why", UNCERTAIN)
def test_an_uncertain_number_is_absent(why: str) -> None:
    for code, numbers in UNCERTAIN[why].items():
        assert [(code, raw) for raw in numbers if e164(raw, code) is not None] == []
