"""The recorded exchanges."""

import logging
from collections.abc import Callable

import pytest


@pytest.fixture
def outcomes(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Returns the outcomes of all exchanges so far."""
    caplog.set_level(logging.INFO, "ticketgate")
    return lambda: [
        record.__dict__["outcome"] for record in caplog.records if record.msg == "exchange"
    ]
