"""A clock that tests move, and the recorded events."""

from dataclasses import dataclass, field

import pytest

from app.events import EventName, Events


@dataclass
class Timer:
    """Monotonic seconds that a test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Recorded(Events):
    """Keeps the names of events, and the types of the errors that caused them."""

    names: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def record(
        self, event: EventName, *, error: Exception | None = None, **fields: str | int
    ) -> None:
        self.names.append(event)
        if error is not None:
            self.errors.append(type(error).__name__)


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def events() -> Recorded:
    return Recorded()
