"""Counts of one process, in bounded memory.

Written by hand because the memory storage of `limits` looks through all its keys on every hit
(8 ms with 50,000 of them) and has no bound.
"""

from collections.abc import Callable

MAX_NAMES = 100_000
"""So many names fit into one window: 12 MB. There are two windows to a limit."""


class LocalCounts:
    """A sliding window counter: at most `amount` of a name in any `seconds`, nearly.

    It keeps the counts of the current window and of the one before, which weigh by how much of
    that window is still within the last `seconds`. When more names come than fit, the current
    window ends early: old counts then weigh less than they should, but memory stays bounded. Who
    commands that many addresses would not have been stopped by a limit per address.
    """

    def __init__(self, amount: int, seconds: int, clock: Callable[[], float]) -> None:
        self._amount = amount
        self._seconds = seconds
        self._clock = clock
        self._began = clock()
        self._current: dict[bytes, int] = {}
        self._before: dict[bytes, int] = {}

    def count(self, name: bytes) -> float | None:
        """Count one and return None, or return the seconds until one more is possible."""
        self._turn_windows()
        left = 1 - (self._clock() - self._began) / self._seconds
        before, current = self._before.get(name, 0), self._current.get(name, 0)
        room = self._amount - current
        if before * left < room:
            self._add(name, current + 1)
            return None
        # Either the old count fades until it fits beside the current one, or, when the current
        # one alone is the limit, this window has to become the old one.
        return (left - room / before if room else left) * self._seconds

    def _add(self, name: bytes, count: int) -> None:
        if len(self._current) >= MAX_NAMES and name not in self._current:
            self._begin_window(self._clock())
        self._current[name] = count

    def _turn_windows(self) -> None:
        passed = (self._clock() - self._began) // self._seconds
        if passed >= 1:
            self._begin_window(self._began + passed * self._seconds)
        if passed > 1:
            self._before = {}

    def _begin_window(self, at: float) -> None:
        self._before, self._current = self._current, {}
        self._began = at
