"""Instants as rows have them: epoch seconds."""

from datetime import UTC, datetime


def epoch(instant: datetime) -> int:
    """Seconds since 1970."""
    return int(instant.timestamp())


def instant(epoch: int) -> datetime:
    """The aware instant."""
    return datetime.fromtimestamp(epoch, UTC)
