"""What both kinds of store agree on about time: instants are stored as epoch seconds."""

from datetime import UTC, datetime, timedelta

TOMBSTONE_TTL = timedelta(days=7)
"""How long an ended or expired session still tells why it is over (promise 5)."""


def epoch(instant: datetime) -> int:
    """Seconds since 1970."""
    return int(instant.timestamp())


def instant(seconds: bytes | int) -> datetime:
    """The aware instant."""
    return datetime.fromtimestamp(int(seconds), UTC)
