"""Counts of one process, in bounded memory.

The memory storage of the `limits` library is not used: it has no bound, and scans all its keys on
every hit (8 ms with 50,000 keys).
"""

from collections.abc import Callable

MAX_NAMES = 100_000
"""Names in one window: 12 MB. A limit has two windows."""


class MemoryCounter:
    """A sliding window counter: about `amount` requests of one name in any `seconds`.

    It keeps the counts of the current window and of the previous one, which count in proportion to
    how much of that window lies within the last `seconds`. When more names come than fit, the
    current window ends early: old counts then weigh less than they should, but memory stays
    bounded. A client with that many addresses would not be stopped by a limit per address anyway.
    """

    def __init__(self, amount: int, seconds: int, clock: Callable[[], float]) -> None:
        self._amount = amount
        self._seconds = seconds
        self._clock = clock
        self._started_at = clock()
        self._current: dict[bytes, int] = {}
        self._previous: dict[bytes, int] = {}

    def count(self, name: bytes) -> float | None:
        """Count one and return None, or return the seconds until one more is possible."""
        self._turn_windows()
        weight = 1 - (self._clock() - self._started_at) / self._seconds
        previous, current = self._previous.get(name, 0), self._current.get(name, 0)
        room = self._amount - current
        if previous * weight < room:
            self._add(name, current + 1)
            return None
        # Either the previous count fades until it fits beside the current one; or the current one
        # alone is at the limit, and its window must become the previous one first.
        return (weight - room / previous if room else weight) * self._seconds

    def _add(self, name: bytes, count: int) -> None:
        if len(self._current) >= MAX_NAMES and name not in self._current:
            self._start_window(self._clock())
        self._current[name] = count

    def _turn_windows(self) -> None:
        passed = (self._clock() - self._started_at) // self._seconds
        if passed >= 1:
            self._start_window(self._started_at + passed * self._seconds)
        if passed > 1:
            self._previous = {}

    def _start_window(self, at: float) -> None:
        self._previous, self._current = self._current, {}
        self._started_at = at
