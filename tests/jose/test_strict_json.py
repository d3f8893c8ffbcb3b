"""A document that allows two readings is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jose.strict_json import StrictJsonError, loads
from tests.support.json_documents import DIFFERS, NO, STRICTER, YES

SECRET = "secret-in-the-document"


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


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**53 + 2, 10**22, 2**1023])
def test_a_whole_number_that_a_double_holds_is_read_exactly(number: int) -> None:
    value = loads(str(number).encode())
    assert value == number
    assert type(value) is int


NOT_DOUBLES = [
    *(str(number) for number in (2**53 + 1, -(2**53) - 1, 10**23, 2**1024)),
    *("1" + "0" * 399, "1" + "0" * 400, "9" * 5000, "-" + "9" * 5000, "9" * 5000 + ".0"),
    *("1e400", "-1e400", "1.5e309"),
]


@pytest.mark.parametrize(
    "value", [*NOT_DOUBLES, '"\\udfff"', '{"a": 1, "a": 2}'], ids=lambda text: text[:20]
)
def test_a_value_that_readers_disagree_about_is_refused_at_any_depth(value: str) -> None:
    for document in (value, f'{{"a": [{{"b": {value}}}]}}'):
        with pytest.raises(StrictJsonError):
            loads(document.encode())


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize(
    ("levels", "limit"), [(8, {}), (0, {"max_depth": 0}), (2, {"max_depth": 2})]
)
def test_one_level_more_than_the_limit_is_refused(
    opening: str, closing: str, levels: int, limit: dict[str, Any]
) -> None:
    assert loads((opening * levels + "1" + closing * levels).encode(), **limit)
    with pytest.raises(StrictJsonError):
        loads((opening * (levels + 1) + "1" + closing * (levels + 1)).encode(), **limit)


# --- the refusal ---


@pytest.mark.parametrize(
    "document",
    [
        *(f'{{"{SECRET}": 1, "{SECRET}": 2}}', f'{{"a": "{SECRET}"', f'["{SECRET}\\ud800"]'),
        *(f'["{SECRET}", {value}]' for value in ("NaN", "1e400", "[[[[[[[[]]]]]]]]")),
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
