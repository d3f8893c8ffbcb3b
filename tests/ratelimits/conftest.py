"""A clock that tests move, the recorded events, and a count of admitted requests."""

from dataclasses import dataclass

import pytest

from app.errors import RateLimited
from app.sessions.ports import RateLimit
from tests.support.fakes import RecordedEvents

ADDRESS = "192.0.2.7"


@dataclass
class Timer:
    """Monotonic seconds that a test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def events() -> RecordedEvents:
    return RecordedEvents()


async def admitted(limit: RateLimit, attempts: int, name: str = ADDRESS) -> int:
    """How many of these attempts, one after another, are within the limit."""
    count = 0
    for _ in range(attempts):
        try:
            await limit(name)
        except RateLimited:
            continue
        count += 1
    return count
