"""The log: one JSON object a line, with a closed set of fields and no data of others."""

import io
import json
import logging
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from app.events import EventName
from app.telemetry import logs
from app.telemetry.logs import LoggedEvents
from tests.telemetry.conftest import Entries

CANARY = "c4nary-0f1e2d3c4b5a6978"
log = LoggedEvents().record


def raised(error: BaseException, *, cause: BaseException | None = None) -> BaseException:
    """The error with a traceback, from a frame that has a secret among its locals."""
    hidden_local = CANARY + "-local"
    try:
        assert hidden_local
        if cause is not None:
            raise error from cause
        raise error
    except type(error) as caught:
        return caught


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError(CANARY)

    __repr__ = __str__


# --- our own events ---


def test_an_event_is_one_object_with_its_time_level_and_fields(entries: Entries) -> None:
    logs.configure("debug", "json")
    log("request", method="GET", route="/livez", status=200, duration_ms=3)
    (entry,) = entries()
    time = datetime.fromisoformat(entry.pop("time"))
    assert abs(datetime.now(UTC) - time) < timedelta(minutes=1)
    assert entry == {
        "level": "info",
        "event": "request",
        "method": "GET",
        "route": "/livez",
        "status": 200,
        "duration_ms": 3,
    }


@pytest.mark.parametrize("field", ["ticket", "phone", "path", "message", "msg", "Status"])
def test_a_field_that_is_not_in_the_schema_cannot_be_logged(entries: Entries, field: str) -> None:
    logs.configure("debug", "json")
    with pytest.raises(ValueError, match=field) as refused:
        log("request", **{field: CANARY})  # type: ignore[arg-type]  # a bug, on purpose
    assert CANARY not in str(refused.value)
    assert entries() == []


ODD_TEXTS = {
    "newline": "a\nb",
    "carriage return": "a\r\nb",
    "control characters": "\0\x07\x1b[31m\x7f\x85",
    "line separators": "a\N{LINE SEPARATOR}b\N{PARAGRAPH SEPARATOR}c",
    "quotes": '"}\n{"event": "forged"}',
    "backslash": "\\n",
    "emoji": "\N{PANDA FACE}",
    "lone surrogate": "\ud83d",
    "long": "x" * 100_000,
}


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_any_field_value_stays_in_one_line(capsys: pytest.CaptureFixture[str], text: str) -> None:
    logs.configure("info", "json")
    log("request", reason=text)
    out = capsys.readouterr().out
    assert out.endswith("}\n")
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out)["reason"] == text


@pytest.mark.parametrize(
    ("event", "level"),
    [("session_rotated", "debug"), ("store_failed", "warning"), ("housekeeping_failed", "error")],
)
def test_trouble_is_a_warning_a_bug_an_error_and_part_of_a_request_debug(
    entries: Entries, event: EventName, level: str
) -> None:
    logs.configure("debug", "json")
    log(event)
    assert [entry["level"] for entry in entries()] == [level]


@pytest.mark.parametrize(
    "failure", [BrokenPipeError(), BlockingIOError(), OSError(28, "disk"), ValueError("closed")]
)
def test_a_line_that_cannot_be_written_is_lost_without_an_error(
    capsys: pytest.CaptureFixture[str], failure: Exception
) -> None:
    class Broken(io.StringIO):
        def flush(self) -> None:
            raise failure

    with redirect_stdout(Broken()):
        logs.configure("info", "json")
    log("serving", port=8000)
    logging.getLogger("some.library").warning("%s", CANARY)
    assert capsys.readouterr() == ("", "")


# --- other libraries ---


@pytest.mark.parametrize("name", ["some.library", "httpx", "uvicorn.error", "aiohttp.client"])
def test_a_record_of_a_library_keeps_its_template_and_loses_its_arguments(
    entries: Entries, name: str
) -> None:
    logs.configure("debug", "json")
    logging.getLogger(name).warning("HTTP Request: %s %s", "GET", f"https://a.test/?t={CANARY}")
    (entry,) = entries()
    assert entry["event"] == "library"
    assert entry["level"] == "warning"
    assert entry["logger"] == name
    assert entry["template"] == "HTTP Request: %s %s"
    assert entry["at"].startswith("test_logs.py:")
    assert CANARY not in str(entry)


HABITS: dict[str, Callable[[logging.Logger], None]] = {
    "arguments by name": lambda to: to.warning("%(url)s", {"url": CANARY}),
    "a text that is already made": lambda to: to.warning(f"HTTP Request: {CANARY}"),  # as some do
    "an object instead of a text": lambda to: to.error(OSError(CANARY)),
    "an object with arguments": lambda to: to.error(OSError(CANARY), "argument"),
    "arguments that do not fit": lambda to: to.warning("%s %s", CANARY),  # a bug
    "fields of its own": lambda to: to.warning("text", extra={"route": CANARY, "url": CANARY}),
    "an argument that cannot be shown": lambda to: to.warning("%s", Unprintable()),
    "a stack": lambda to: to.warning("%s", CANARY, stack_info=True),
}


@pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS)
def test_no_habit_of_a_library_gets_its_data_into_the_log(
    entries: Entries, habit: Callable[[logging.Logger], None]
) -> None:
    logs.configure("debug", "json")
    habit(logging.getLogger("some.library"))
    (entry,) = entries()
    assert entry["event"] == "library"
    assert CANARY not in str(entry)


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "aiohttp.access", "uvicorn.access"])
def test_libraries_that_tell_of_every_request_are_silent_at_debug(
    entries: Entries, name: str
) -> None:
    logs.configure("debug", "json")
    logging.getLogger(name).info("HTTP Request: %s", CANARY)
    logging.getLogger(name).debug("headers: %s", CANARY)
    assert entries() == []


# --- exceptions ---


def test_an_exception_is_logged_by_type_and_place_only(entries: Entries) -> None:
    logs.configure("debug", "json")
    error = raised(ValueError(CANARY), cause=raised(KeyError(CANARY)))
    log("request", error=error)  # type: ignore[arg-type]  # it is an Exception
    (entry,) = entries()
    assert entry["level"] == "error"
    assert [told["type"] for told in entry["exception"]] == ["ValueError", "KeyError"]
    for told in entry["exception"]:
        (place,) = told["at"]
        assert place.startswith(__file__ + ":")
        assert place.endswith(" raised")
    assert CANARY not in str(entry)


def test_the_suppressed_context_of_an_exception_is_logged_too(entries: Entries) -> None:
    logs.configure("debug", "json")

    def fail() -> None:
        try:
            int(CANARY)
        except ValueError:
            raise KeyError(CANARY) from None

    try:
        fail()
    except KeyError as error:
        log("request", error=error)
    (entry,) = entries()
    assert [told["type"] for told in entry["exception"]] == ["KeyError", "ValueError"]
    assert CANARY not in str(entry)


@pytest.mark.parametrize("raises", [True, False])
def test_an_exception_of_a_library_is_logged_the_same_way(
    entries: Entries, *, raises: bool
) -> None:
    logs.configure("debug", "json")
    error = raised(Unprintable(CANARY))
    info = (type(error), error, error.__traceback__) if raises else (None, None, None)
    logging.getLogger("some.library").error("failed for %s", CANARY, exc_info=info)
    (entry,) = entries()
    assert [told["type"] for told in entry.get("exception", [])] == ["Unprintable"] * raises
    assert CANARY not in str(entry)


def test_an_exception_that_is_its_own_cause_is_logged_once() -> None:
    error = ValueError()
    error.__cause__ = error
    told = list(islice(logs._chain(error), 10))  # bounded, or a failure would fill the memory
    assert [part["type"] for part in told] == ["ValueError"]


# --- levels and forms ---


def test_an_event_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("error", "json")
    log("request", status=200)
    log("request", status=500, error=ValueError())
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["status"] == 500


def test_turning_the_log_on_twice_writes_each_event_once(entries: Entries) -> None:
    logs.configure("info", "json")
    logs.configure("info", "json")
    log("serving", port=8000)
    assert len(entries()) == 1


def test_an_event_on_a_console_is_one_readable_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "console")
    log("request", method="GET", status=200)
    logging.getLogger("some.library").error("first\nsecond %s\r\x1b[2J", CANARY)
    first, second, end = capsys.readouterr().out.split("\n")
    assert len(first.partition(" ")[0]) == len("12:00:00")
    assert first.partition(" ")[2] == "info    request method=GET status=200"
    assert second.isprintable()
    assert CANARY not in second
    assert end == ""
