"""The server's clock, by which a script refuses a command that arrives late.

A command that was given up may still reach the server: from a buffer on the way, after a pause. By
then its caller has been answered, and others have acted. So each command carries the times between
which it may run, in the one clock that all commands of all instances share. The last of these times
comes before the caller is answered. The clocks of the instances do not matter.

A command that fails before its time-out (a connection that is cut twice) may still run until then.
That is sooner than the `Retry-After` of the 503.
"""

import time

TIMER_ERROR = 0.1
"""Seconds by which a time-out may come early: uvloop's timers do."""


class ServerClock:
    """Estimates the server's clock from its replies; the estimate is late by the shortest way back.

    The quickest reply told most. A stale command shows that a clock has jumped: then all is new.
    """

    def __init__(self) -> None:
        self._offset: float | None = None

    def learn(self, server_now: int, *, anew: bool = False) -> None:
        """Note the time of the server (epoch milliseconds) in a reply that has just come."""
        offset = server_now - 1000 * time.monotonic()
        self._offset = offset if anew or self._offset is None else max(self._offset, offset)

    def window(self, deadline: float) -> str:
        """The present and the last time of the server (epoch milliseconds) for a command sent now.

        `deadline` is on `time.monotonic()`. Before the first reply no time fits, so that the server
        refuses the command and tells its time. TimeoutError if the deadline is too near.
        """
        now, last = time.monotonic(), deadline - TIMER_ERROR
        if now >= last:
            raise TimeoutError
        if self._offset is None:
            return "0 0"
        return f"{1000 * now + self._offset:.0f} {1000 * last + self._offset:.0f}"
