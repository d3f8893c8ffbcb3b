"""The recorded exchanges."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.logging_state import entries_of, logging_as_in_production


@pytest.fixture
def exchanges() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Returns the log lines of all exchanges so far."""
    with logging_as_in_production() as output:
        yield lambda: [line for line in entries_of(output) if line["event"] == "exchange"]


@pytest.fixture
def outcomes(exchanges: Callable[[], list[dict[str, Any]]]) -> Callable[[], list[str]]:
    """Returns the outcomes of all exchanges so far."""
    return lambda: [line["outcome"] for line in exchanges()]
