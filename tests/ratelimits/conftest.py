"""A limiter whose time stands still until it is moved, and what it has recorded."""

from dataclasses import dataclass, field

import pytest


@dataclass
class Timer:
    """Seconds that pass when told."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Record:
    """Keeps what is recorded."""

    events: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __call__(self, event: str, *, error: Exception | None = None) -> None:
        self.events.append(event)
        if error is not None:
            self.errors.append(type(error).__name__)


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def record() -> Record:
    return Record()
