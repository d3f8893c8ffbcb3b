"""Logs: one JSON object a line, with a closed set of fields.

Events are names with labelled ids and numbers; no text is made from data. A record of a library
keeps its template without the arguments, which may hold a URL or a header. An exception is logged
by its types and its places in the code, because texts and frame locals may hold secrets.
"""

import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TextIO

from pydantic_core import to_json
from typing_extensions import override

from app.events import CONTEXT, LEVELS, EventName, Events

_FIELDS = frozenset(
    (
        *("request_id", "method", "route", "status", "duration_ms", "code"),
        *("session_id", "user", "trace_id", "reason", "kind", "outcome", "authing_code"),
        *("count", "version", "port", "setting", "nearest"),
    )
)
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# Libraries that log requests below this level, or events that we log ourselves.
_WARNINGS_ONLY = ("httpx", "httpcore", "aiohttp", "asyncio", "uvicorn", "urllib3")


class LoggedEvents(Events):
    """Writes one line for each event. A record of `logging` would cost more than the line."""

    @override
    def record(
        self, event: EventName, *, error: Exception | None = None, **fields: str | int
    ) -> None:
        if not _FIELDS.issuperset(fields):
            raise ValueError(f"not a log field: {sorted(fields.keys() - _FIELDS)}")
        level = LEVELS[event] if error is None else "error"
        root = logging.getLogger()
        if _LEVELS[level] < root.level:
            return
        parts: dict[str, Any] = {"time": _time(time.time()), "level": level, "event": event}
        parts.update(CONTEXT.get({}), **fields)
        if error is not None:
            parts["exception"] = list(_chain(error))
        for handler in root.handlers:
            if isinstance(handler, _Lines):
                handler.write(parts)


def configure(level: str, form: Literal["json", "console"]) -> None:
    """Send our events and every logger of the process to stdout in one form."""
    root = logging.getLogger()
    root.handlers[:] = [_Lines(sys.stdout, _as_json if form == "json" else _as_text)]
    root.setLevel(_LEVELS[level])
    for name in _WARNINGS_ONLY:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Lines(logging.Handler):
    """Writes lines to a stream. A line that cannot be written is lost, and no request fails."""

    def __init__(self, stream: TextIO, render: Callable[[dict[str, Any]], str]) -> None:
        super().__init__()
        self._stream = stream
        self._render = render
        self._lock = threading.RLock()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.write(dict(_parts(record)))

    def write(self, parts: dict[str, Any]) -> None:
        line = self._render(parts) + "\n"
        with self._lock:
            try:
                self._stream.write(line)
                self._stream.flush()
            except (OSError, ValueError):  # ValueError: the stream is closed
                return


def _parts(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    """The parts of a library's record."""
    yield "time", _time(record.created)
    yield "level", record.levelname.lower()
    yield "event", "library"
    yield "logger", record.name
    yield "at", f"{record.filename}:{record.lineno}"
    if record.args and isinstance(record.msg, str):
        yield "template", record.msg
    if record.exc_info and record.exc_info[1]:
        yield "exception", list(_chain(record.exc_info[1]))


def _time(epoch: float) -> str:
    seconds, milliseconds = divmod(int(epoch * 1000), 1000)
    return f"{_second(seconds)}.{milliseconds:03}+00:00"


@lru_cache(maxsize=1)  # the lines of one second share it
def _second(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat()[:19]


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
    try:
        # The encoder writes DEL as it is.
        return to_json(parts, ensure_ascii=True).decode().replace("\x7f", "\\u007f")
    except ValueError:  # half a surrogate pair, in the name of a setting for example
        return json.dumps(parts)


def _as_text(parts: dict[str, Any]) -> str:
    time, level, event = parts.pop("time"), parts.pop("level"), parts.pop("event")
    line = " ".join([time[11:19], f"{level:7}", event, *(f"{k}={v}" for k, v in parts.items())])
    # Escaped, so that it is one line and cannot control the terminal.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
