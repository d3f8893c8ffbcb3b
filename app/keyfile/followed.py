"""The key file, followed while the service runs."""

import errno
from pathlib import Path
from typing import Literal

from app.events import Events
from app.jose.jwk import InvalidKey
from app.jose.key_ring import KeyRing
from app.keyfile import created, modified, read_content, refusals


class KeyFile:
    """A `KeySource` that follows a file. A broken new file keeps the keys that work.

    A file without any of the secret keys in force counts as broken: it would end all sessions.
    """

    def __init__(self, path: Path, events: Events) -> None:
        """Load the keys, or raise StartupError. Reloads and failed ones are events."""
        self._path = path
        self._events = events
        self._failure = ""
        with refusals(path):
            self._content = read_content(path)
            self._ring = KeyRing.from_jwk_set(self._content)
            self._modified = modified(path)

    @property
    def ring(self) -> KeyRing:
        """The current keys."""
        return self._ring

    @property
    def state(self) -> Literal["ok", "reload_failed"]:
        """`reload_failed` while the file is broken."""
        return "reload_failed" if self._failure else "ok"

    @property
    def created(self) -> dict[tuple[str, ...], float]:
        """When each key was made, in epoch seconds, by its kid, use and state."""
        return created(self._content, self._modified)

    def follow(self) -> None:
        """Load the file again if it has changed since the last call."""
        before, self._failure = self._failure, ""
        try:
            content = read_content(self._path)
            if content != self._content:
                self._ring, self._modified = self._successor(content), modified(self._path)
        except InvalidKey as error:
            self._failure = error.reason
        except OSError as error:
            self._failure = errno.errorcode.get(error.errno or 0, "unreadable")
        else:
            if before or content != self._content:
                self._events.record("keys_reloaded")
            self._content = content
        if self._failure not in ("", before):
            self._events.record("keys_reload_failed", reason=self._failure)

    def _successor(self, content: bytes) -> KeyRing:
        ring, kids = KeyRing.from_jwk_set(content), {key.kid for key in self._ring.secret_keys}
        if kids.isdisjoint(key.kid for key in ring.secret_keys):
            raise InvalidKey("the file has none of the secret keys in force", "other_secret_keys")
        return ring
