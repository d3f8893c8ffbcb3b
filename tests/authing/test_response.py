"""One response of Authing: its status and form, the time to wait, and its JSON."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from app.authing.response import AMBIGUOUS, decisive, loads, request
from app.authing.transport import Response
from app.errors import AuthingBadAnswer, AuthingError, AuthingUnavailable
from tests.authing.builders import NOW, Canned, canned

URL = "https://authing.example"


async def outcome_of(transport: Canned) -> tuple[type[AuthingError], str, int]:
    with pytest.raises(AuthingError) as trouble:
        await request(transport, "GET", URL)
    assert transport.targets == [f"GET {URL}"]  # nothing is sent twice, and no redirect followed
    return type(trouble.value), trouble.value.outcome, trouble.value.retry_after


@pytest.mark.parametrize("status", [200, 201])
async def test_a_document_is_read_with_its_status_and_the_time_to_wait(status: int) -> None:
    reply = await request(canned({"a": 1}, status=status, retry_after="7"), "GET", URL)
    assert (reply.status, reply.document, reply.retry_after) == (status, {"a": 1}, 7)


@pytest.mark.parametrize("body", [b"{}", b'{"code": 200}', b"<html>", b""])
@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        *((s, AuthingUnavailable, "http_5xx") for s in (500, 501, 502, 503, 504, 520, 599)),
        *((s, AuthingBadAnswer, "redirect") for s in (300, 301, 302, 303, 304, 307, 308, 399)),
        (429, AuthingUnavailable, "rate_limited"),
    ],
)
async def test_some_statuses_decide_without_the_body(
    status: int, error: type[AuthingError], outcome: str, body: bytes
) -> None:
    moved = {"content_type": "text/html", "location": f"{URL}/elsewhere"}
    assert await outcome_of(canned(body, status=status, **moved)) == (error, outcome, 2)


def in_http(instant: datetime) -> str:
    return format_datetime(instant.replace(microsecond=0), usegmt=True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 2),
        *(("3", 3), ("0", 1), ("60", 60), ("61", 60), ("1000000000", 60), ("9" * 5000, 60)),
        *((text, 2) for text in ("-5", "1.5", "soon", "", "\N{ARABIC-INDIC DIGIT THREE}")),
        ("Sun, 99 Nov 2026 12:00:00 GMT", 2),
        (in_http(NOW + timedelta(seconds=10)), 10),
        (in_http(NOW - timedelta(seconds=10)), 1),
        (in_http(NOW + timedelta(days=10)), 60),
    ],
)
@pytest.mark.parametrize(("status", "outcome"), [(429, "rate_limited"), (503, "http_5xx")])
async def test_retry_after_of_429_and_503_is_clamped(
    status: int, outcome: str, header: str | None, seconds: int
) -> None:
    transport = canned(b"", status=status, retry_after=header, date=in_http(NOW))
    assert await outcome_of(transport) == (AuthingUnavailable, outcome, seconds)


async def test_a_date_to_retry_after_needs_no_date_of_the_response() -> None:
    tomorrow = in_http(datetime.now(UTC) + timedelta(days=1))
    transport = canned(b"", status=503, retry_after=tomorrow)
    assert await outcome_of(transport) == (AuthingUnavailable, "http_5xx", 60)


BAD_FORMS: dict[str, list[Canned]] = {
    "bad_json": [canned(body) for body in (b"", b"[" * 30_000, b"{'code': 200}", b"{\xff}")],
    "bad_content_type": [
        *(canned({}, content_type=t) for t in (None, "text/html", "text/plain; charset=utf-8")),
        *(canned({}, content_type=t) for t in ("application/jsonp", "json", "", "a/b/c+json")),
    ],
    "bad_encoding": [
        canned({}, content_encoding=name) for name in ("gzip", "br", "x-unknown", "identity, gzip")
    ],
    "too_large": [canned(b'"' + b"x" * 262_143 + b'"')],
}


@pytest.mark.parametrize(
    ("outcome", "transport"), [(name, each) for name in BAD_FORMS for each in BAD_FORMS[name]]
)
async def test_success_in_another_form_is_a_bad_answer(outcome: str, transport: Canned) -> None:
    assert await outcome_of(transport) == (AuthingBadAnswer, outcome, 2)


@pytest.mark.parametrize("status", [202, 206, 400, 401, 403, 404, 451, 499, 600, 999])
@pytest.mark.parametrize("form", [forms[0] for forms in BAD_FORMS.values()])
async def test_an_error_page_has_no_document(form: Canned, status: int) -> None:
    assert isinstance(form.said, Response)
    reply = await request(Canned(replace(form.said, status=status)), "GET", URL)
    assert (reply.status, reply.document, reply.members) == (status, None, {})


@pytest.mark.parametrize(
    "transport",
    [
        *(canned({}, content_type=t) for t in ("application/json", "Application/JSON;charset=x")),
        *(canned({}, content_type=f"application/{t}+json ; a=b") for t in ("problem", "vnd.v2")),
        canned({}, content_encoding=" Identity"),
        canned(b'{"a": "' + b"x" * 262_135 + b'"}'),  # 256 KiB
    ],
)
async def test_every_form_of_json_up_to_256_kib_is_read(transport: Canned) -> None:
    assert isinstance((await request(transport, "GET", URL)).document, dict)


# --- values on which JSON readers disagree ---


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
