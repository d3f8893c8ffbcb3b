"""The log of a test, and the loggers of the process restored after it."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from app.telemetry import logs


@contextmanager
def logging_left_as_found() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    try:
        yield
    finally:
        # pytest's own handlers are of another class, and come and go with its phases.
        root.handlers[:] = [h for h in root.handlers if not isinstance(h, logs._Lines)]
        root.setLevel(level)
        for logger in logging.root.manager.loggerDict.values():
            if isinstance(logger, logging.Logger):
                logger.setLevel(logging.NOTSET)


@contextmanager
def logging_as_in_production() -> Iterator[io.StringIO]:
    """Log as JSON, to the place that is given, and everything."""
    with logging_left_as_found():
        with redirect_stdout(io.StringIO()) as output:
            logs.configure("debug", "json")
        yield output


def entries_of(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]
