"""The log lines of a test, parsed."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.logging_state import logging_left_as_found

Entries = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    with logging_left_as_found():
        yield


@pytest.fixture
def entries(capsys: pytest.CaptureFixture[str]) -> Entries:
    """Returns the log lines since the last call, each as an object."""

    def read() -> list[dict[str, Any]]:
        written = capsys.readouterr()
        assert written.err == ""
        found = [json.loads(line) for line in written.out.splitlines()]
        assert all(isinstance(entry, dict) for entry in found)
        return found

    return read
