"""Authing's JSON: unread values never fail it, and a deciding one that is ambiguous is refused."""

from typing import Any

import pytest

from app.authing.response import AMBIGUOUS, decisive, loads
from app.errors import AuthingBadAnswer


@pytest.mark.parametrize(
    "value",
    [
        '"ab\\ud83d"',
        '"\\udc3c\\ud83d"',
        "1234567890123456800",
        "1e400",
        "9" * 5000,
        "-Infinity",
        '{"a": 1, "a": 2}',
        '{"\\ud83d": 1}',
        '"a\nb\x00"',
        "[" * 60 + "]" * 60,
    ],
)
@pytest.mark.parametrize("place", ['{"x": %s, "y": 1}', '{"x": [{"z": %s}], "y": 1}'])
def test_any_unread_value_leaves_its_neighbours(place: str, value: str) -> None:
    assert loads((place % value).encode())["y"] == 1


@pytest.mark.parametrize(
    "value", ["9007199254740993", "-1e400", "NaN", '1, "x": 1', '1, "\\u0078": 2']
)
def test_a_value_that_readers_disagree_about_is_ambiguous(value: str) -> None:
    document = loads(f'{{"x": {value}, "y": 1}}')
    assert document["x"] is AMBIGUOUS
    assert (decisive(document, "y"), decisive(document, "z")) == (1, None)
    with pytest.raises(AuthingBadAnswer) as refusal:
        decisive(document, "x")
    assert refusal.value.outcome == "bad_json"


@pytest.mark.parametrize("document", ["\ufeff[1]", "\ufeff[1]".encode()])
def test_a_byte_order_mark_is_skipped(document: Any) -> None:
    assert loads(document) == [1]


def test_a_document_may_hold_more_objects_than_levels() -> None:
    assert loads('[{"a": 1}' + ', {"a": 1}' * 99 + "]") == [{"a": 1}] * 100


@pytest.mark.parametrize(
    "document", [b"\xff", b'"\xff"', "\ufeff\ufeff[]", "[" * 65 + "]" * 65, "[" * 30_000]
)
def test_a_document_that_is_not_json_is_refused(document: Any) -> None:
    with pytest.raises(AuthingBadAnswer) as refusal:
        loads(document)
    assert refusal.value.outcome == "bad_json"
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
