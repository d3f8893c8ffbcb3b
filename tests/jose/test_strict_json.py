"""A document that allows two readings is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jose.strict_json import JsonValue, StrictJsonError, loads
from tests.support.json_documents import DIFFERS, NO, STRICTER, YES

SECRET = "secret-in-the-document"


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (b'{"a": [1, -2.5, true, false, null, "x"]}', {"a": [1, -2.5, True, False, None, "x"]}),
        (b' \t\r\n"alone" \t\r\n', "alone"),
        (b"0", 0),
        (b"-0", 0),
        (b"1e2", 100.0),
        (b"1e-400", 0.0),
        (b'"\\ud83d\\ude00"', "😀"),
        ('"小明"'.encode(), "小明"),
        (b'{"a": {"a": 1}}', {"a": {"a": 1}}),
        (b'{"a": 1, "A": 2, "": 3}', {"a": 1, "A": 2, "": 3}),
        (b"[]", []),
        (b"{}", {}),
    ],
)
def test_json_values_are_read(document: bytes, value: JsonValue) -> None:
    assert loads(document) == value


def accepted(document: bytes) -> bool:
    try:
        loads(document)
    except StrictJsonError:
        return False
    return True


def test_every_document_that_is_not_json_is_refused() -> None:
    assert [name for name, document in NO.items() if accepted(document)] == []


def test_every_document_that_is_json_is_read_as_python_does() -> None:
    assert [name for name, data in YES.items() if loads(data) != json.loads(data)] == []


def test_every_document_that_parsers_may_read_in_two_ways_is_refused() -> None:
    assert [name for name, data in (STRICTER | DIFFERS).items() if accepted(data)] == []


def test_the_table_is_as_large_as_the_suites_that_it_stands_for() -> None:
    assert (len(NO), len(YES) + len(STRICTER) + len(DIFFERS)) == (315, 158)


# --- encodings ---


@pytest.mark.parametrize(
    "document", [b'{"a": [{"b": ["\\udfff"]}]}', b'[{"b": {"a": 1, "a": 2}}]'], ids=["half", "key"]
)
def test_the_rules_hold_at_any_depth(document: bytes) -> None:
    with pytest.raises(StrictJsonError):
        loads(document)


# --- numbers ---


@pytest.mark.parametrize(
    "number", [2**53, -(2**53), 2**53 + 2, 10**22, 2**1023], ids=lambda number: f"{number:.3e}"
)
def test_a_whole_number_that_a_double_holds_is_read_exactly(number: int) -> None:
    value = loads(str(number).encode())
    assert value == number
    assert type(value) is int


@pytest.mark.parametrize(
    "number",
    [
        str(2**53 + 1),
        str(-(2**53) - 1),
        str(10**23),
        str(2**1024),
        "1" + "0" * 399,
        "1" + "0" * 400,
        "9" * 5000,
        "-" + "9" * 5000,
        "1e400",
        "-1e400",
        "1.5e309",
        "9" * 5000 + ".0",
    ],
    ids=lambda number: f"{number[:18]}({len(number)})",
)
def test_a_number_that_a_double_cannot_hold_is_refused(number: str) -> None:
    with pytest.raises(StrictJsonError):
        loads(number.encode())
    with pytest.raises(StrictJsonError):
        loads(f'{{"a": [{number}]}}'.encode())


# --- depth ---


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_eight_levels_are_read_and_nine_are_not(opening: str, closing: str) -> None:
    core = "1"
    loads((opening * 8 + core + closing * 8).encode())
    with pytest.raises(StrictJsonError):
        loads((opening * 9 + core + closing * 9).encode())


def test_the_caller_may_set_another_depth() -> None:
    assert loads(b"1", max_depth=0) == 1
    assert loads(nested(2), max_depth=2) == [[]]
    with pytest.raises(StrictJsonError):
        loads(nested(2), max_depth=1)


# --- the refusal ---


@pytest.mark.parametrize(
    "document",
    [
        f'{{"{SECRET}": 1, "{SECRET}": 2}}',
        f'{{"a": "{SECRET}"',
        f'["{SECRET}", NaN]',
        f'["{SECRET}", 1e400]',
        f'["{SECRET}\\ud800"]',
        f'["{SECRET}", [[[[[[[[]]]]]]]]]',
    ],
)
def test_a_refusal_holds_no_part_of_the_document(document: str) -> None:
    with pytest.raises(StrictJsonError) as caught:
        loads(document.encode())
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


# --- in general ---

TEXTS = st.text(alphabet='a/"\\\n\x00\x7f\u2028é小😀')
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
VALUES = st.recursive(
    st.none() | st.booleans() | TEXTS | NUMBERS,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXTS, part, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.booleans())
def test_written_json_is_read_back(value: Any, ascii_only: bool) -> None:  # noqa: FBT001
    assert loads(json.dumps(value, ensure_ascii=ascii_only).encode(), max_depth=20) == value
