"""Restores the loggers of the process after a test."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logging_left_as_found() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    try:
        yield
    finally:
        # pytest's own handlers are of another class, and come and go with its phases.
        root.handlers[:] = [h for h in root.handlers if type(h) is not logging.StreamHandler]
        root.setLevel(level)
        for logger in logging.root.manager.loggerDict.values():
            if isinstance(logger, logging.Logger):
                logger.setLevel(logging.NOTSET)
