"""Whether a write has reached a replica before it is acknowledged (WAIT).

Redis replicates after it has answered, so a master that dies takes its last writes along. What
must not be lost is awaited on one replica for a moment, if there are any. Whether there are any is
asked now and then, along with a write that is under way anyway.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

_WAIT = ("WAIT", 1, 100)
"""One replica, within so many milliseconds."""
_LOOK = ("INFO", "replication")
_LOOK_SECONDS = 5.0
Question: TypeAlias = tuple[str | int, ...]


class Replicas:
    """The replicas of one master, as far as known."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._looked_at = float("-inf")

    def learn(self, info: Mapping[str, Any]) -> None:
        """Take note of what the master tells of itself (INFO)."""
        self._count, self._looked_at = info["connected_slaves"], time.monotonic()

    def questions(self) -> Sequence[Question]:
        """The commands to send right behind a write, on its connection."""
        due = time.monotonic() - self._looked_at > _LOOK_SECONDS
        return ([_WAIT] if self._count != 0 else []) + ([_LOOK] if due else [])

    def confirmed(self, replies: Mapping[Question, Any]) -> bool:
        """Whether the write is where it should be, by the replies to the questions."""
        if isinstance(told := replies.get(_LOOK), Mapping):
            self.learn(told)
        return not self._count or replies.get(_WAIT, 1) == 1
