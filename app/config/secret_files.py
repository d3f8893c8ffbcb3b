"""Secrets that roll over while the service runs: their files are read again and again."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

from app.config.field_types import type_of
from app.errors import StartupError
from app.events import Events

# Bytes. The event loop reads these files again and again, and must not wait for a pipe either.
_MAX_SECRET_FILE = 64 * 1024
_NAMES = (
    "authing_user_pool_secret",
    "authing_token_secrets",
    "authing_webhook_secret",
    "service_api_keys",
)


def read_secret_file(folder: Path, name: str) -> str:
    """Read the file of a setting; "" if it is empty or missing, and a StartupError if not text."""
    path = folder / name.upper()
    if not os.path.lexists(path):
        return ""
    with suppress(OSError, UnicodeDecodeError):
        if path.is_file() and path.stat().st_size <= _MAX_SECRET_FILE:
            return path.read_text("utf-8-sig").strip()
    raise StartupError(f"{name.upper()}: {path} cannot be read as a text file")


class SecretFiles:
    """The values of each secret that may change, by the name of its setting.

    A file that breaks keeps the old values. A secret that the environment or `.env` sets is not
    followed: there the value in force is not that of a file.
    """

    def __init__(self, settings: BaseSettings, events: Events, folder: Path) -> None:
        self._events = events
        self._folder = folder
        self._types = {name: type_of(type(settings), name) for name in _NAMES}
        self._values = {name: _plain(getattr(settings, name)) for name in _NAMES}
        self._broken = {
            name: False
            for name, values in self._values.items()
            if values and self._read(name) == values
        }
        """Whether each file that is followed is broken."""

    @property
    def state(self) -> Literal["ok", "reload_failed"]:
        """`reload_failed` while a file is broken."""
        return "reload_failed" if any(self._broken.values()) else "ok"

    def of(self, name: str) -> Callable[[], Sequence[str]]:
        """Return a function that returns the values in force."""
        return lambda: self._values[name]

    def follow(self) -> None:
        """Read the files again. A change and the first failure of a file are events."""
        for name, was_broken in self._broken.items():
            values = self._read(name)
            self._broken[name] = not values
            if values and values != self._values[name]:
                self._values[name] = values
                self._events.record("secret_reloaded", setting=name.upper())
            elif not values and not was_broken:
                self._events.record("secret_reload_failed", setting=name.upper())

    def _read(self, name: str) -> Sequence[str]:
        """Return the values in a file; none if it is missing or broken."""
        try:
            text = read_secret_file(self._folder, name)
            return _plain(self._types[name].validate_python(text))
        except (StartupError, ValidationError):
            return ()


def _plain(values: Iterable[SecretStr]) -> Sequence[str]:
    return tuple(value.get_secret_value() for value in values)
