"""The public keys of Ticketgate, kept for as long as Cache-Control allows."""

import json
import logging
import re
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
_COOLDOWN = 10.0
"""Seconds between two attempts after a failure, and between two because of an unknown kid."""


class JwksUnavailable(Exception):
    """No key set was ever fetched. Answer 503, not 401: the token was not judged."""


class JwksCache(Generic[Key]):
    """Finds a key by its kid. Safe for threads. A fetch that fails keeps the old keys.

    Only keys of the one algorithm are used: a token cannot choose another one.
    """

    def __init__(self, url: str, algorithm: str, read_key: Callable[[dict[str, Any]], Key]) -> None:
        self._url, self._algorithm, self._read_key = url, algorithm, read_key
        self._keys: dict[str, Key] = {}
        self._stale_at = self._unknown_after = float("-inf")
        self._lock = threading.Lock()

    def find(self, kid: object) -> Key | None:
        """Return the key, or None if Ticketgate does not publish it."""
        if self._is_stale():
            with self._lock:
                if self._is_stale():
                    self._fetch()
        if self._may_be_new(kid):
            with self._lock:  # others with the same new kid wait here
                if self._may_be_new(kid):
                    self._fetch()
                    self._unknown_after = time.monotonic() + _COOLDOWN
        if not self._keys:
            raise JwksUnavailable
        return self._keys.get(str(kid))

    def _is_stale(self) -> bool:
        return time.monotonic() >= self._stale_at

    def _may_be_new(self, kid: object) -> bool:
        return str(kid) not in self._keys and time.monotonic() >= self._unknown_after

    def _fetch(self) -> None:
        self._stale_at = time.monotonic() + _COOLDOWN  # meanwhile others use the old keys
        try:
            with urllib.request.urlopen(self._url, timeout=2) as response:
                keys = json.load(response)["keys"]
                max_age = re.search(r"max-age=(\d+)", response.headers.get("Cache-Control", ""))
            usable = [jwk for jwk in keys if jwk.get("alg") == self._algorithm]
            self._keys = {jwk["kid"]: self._read_key(jwk) for jwk in usable} or self._keys
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logging.warning("the JWKS cannot be fetched: %r", error)
        else:
            self._stale_at = time.monotonic() + (int(max_age[1]) if max_age else _COOLDOWN)
