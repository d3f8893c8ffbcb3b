"""Secrets that roll over while the service runs: their files are read again and again."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Literal

from app.errors import StartupError
from app.events import Events


class SecretFiles:
    """The values of each secret, by the name of its setting.

    A file that breaks keeps the old values. A secret that the environment or `.env` sets is not
    followed: there the value in force is not that of a file.
    """

    def __init__(
        self,
        values: Mapping[str, Sequence[str]],
        read: Callable[[str], Sequence[str]],
        events: Events,
    ) -> None:
        """`read` returns the values in the file of a setting, or raises StartupError."""
        self._values = dict(values)
        self._read = read
        self._events = events
        self._broken: set[str] = set()
        self._followed: list[str] = []
        for name in values:
            with suppress(StartupError):
                if read(name) == values[name]:
                    self._followed.append(name)

    @property
    def state(self) -> Literal["ok", "reload_failed"]:
        """`reload_failed` while a file is broken."""
        return "reload_failed" if self._broken else "ok"

    def of(self, name: str) -> Callable[[], Sequence[str]]:
        """Return a function that returns the values in force."""
        return lambda: self._values[name]

    def follow(self) -> None:
        """Read the files again. A change and the first failure of a file are events."""
        for name in self._followed:
            try:
                values = self._read(name)
            except StartupError:
                if name not in self._broken:
                    self._events.record("secret_reload_failed", setting=name.upper())
                self._broken.add(name)
                continue
            self._broken.discard(name)
            if values != self._values[name]:
                self._values[name] = values
                self._events.record("secret_reloaded", setting=name.upper())
