"""Logs: one JSON object a line, with a closed set of fields.

Events are names with labelled ids and numbers; no text is made from data. A record of a library
keeps its template without the arguments, which may hold a URL or a header. An exception is logged
by its types and its places in the code, because texts and frame locals may hold secrets.
"""

import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from typing_extensions import override

from app.events import LEVELS, EventName, Events

_LOGGER = logging.getLogger("ticketgate")
_FIELDS = (
    "request_id",
    "method",
    "route",
    "status",
    "duration_ms",
    "code",
    "session_id",
    "reason",
    "kind",
    "outcome",
    "authing_code",
    "count",
    "version",
    "port",
    "setting",
    "nearest",
)
# Libraries that log requests below this level, or events that we log ourselves.
_WARNINGS_ONLY = ("httpx", "httpcore", "aiohttp", "asyncio", "uvicorn")


class LoggedEvents(Events):
    """Writes one line for each event."""

    @override
    def record(
        self, event: EventName, *, error: Exception | None = None, **fields: str | int
    ) -> None:
        unknown = fields.keys() - set(_FIELDS)
        if unknown:
            raise ValueError(f"not a log field: {sorted(unknown)}")
        level = "error" if error is not None else LEVELS.get(event, "info")
        _LOGGER.log(
            logging.getLevelNamesMapping()[level.upper()], event, extra=fields, exc_info=error
        )


def configure(level: str, form: Literal["json", "console"]) -> None:
    """Send every logger of the process to stdout in one form."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Formatter(_as_json if form == "json" else _as_text))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _WARNINGS_ONLY:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Formatter(logging.Formatter):
    def __init__(self, render: Callable[[dict[str, Any]], str]) -> None:
        super().__init__()
        self._render = render

    @override
    def format(self, record: logging.LogRecord) -> str:
        return self._render(dict(_parts(record)))


def _parts(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    yield "time", datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    yield "level", record.levelname.lower()
    if record.name == _LOGGER.name:
        yield "event", record.msg
        for name in _FIELDS:
            if name in record.__dict__:
                yield name, record.__dict__[name]
    else:
        yield "event", "library"
        yield "logger", record.name
        yield "at", f"{record.filename}:{record.lineno}"
        if record.args and isinstance(record.msg, str):
            yield "template", record.msg
    if record.exc_info and record.exc_info[1]:
        yield "exception", list(_chain(record.exc_info[1]))


def _chain(error: BaseException) -> Iterator[dict[str, Any]]:
    seen: list[BaseException] = []  # a chain may lead back to itself
    current: BaseException | None = error
    while current is not None and current not in seen:
        frames = traceback.extract_tb(current.__traceback__)
        places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        yield {"type": type(current).__qualname__, "at": places}
        seen.append(current)
        current = current.__cause__ or current.__context__


def _as_json(parts: dict[str, Any]) -> str:
    return json.dumps(parts, ensure_ascii=True)


def _as_text(parts: dict[str, Any]) -> str:
    time, level, event = parts.pop("time"), parts.pop("level"), parts.pop("event")
    line = " ".join([time[11:19], f"{level:7}", event, *(f"{k}={v}" for k, v in parts.items())])
    # Escaped, so that it is one line and cannot control the terminal.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
