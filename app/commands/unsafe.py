"""Settings that work and are not safe. `serve` logs each at start, and `check` prints it."""

import re
import stat
from pathlib import Path

from app.config import ENV_FILE, Settings
from app.store_url import RedisUrl, StoreUrl

_LOOPBACK = re.compile(r"(?i)localhost|127(\.[0-9]+){3}|::1")

ADVICE = {
    "readable": "every user of this machine can read it; run chmod o=",
    "writable": "other users can change it; run chmod go-w",
    "plaintext": "tokens of sessions cross the network without TLS; use rediss:// or rediss+sentinel://",
}


def unsafe_settings(settings: Settings) -> dict[str, str]:
    """Return each unsafe setting, or `.env`, with one word of ADVICE."""
    found = {
        "SESSION_KEYS_FILE": _exposure(settings.session_keys_file),
        ENV_FILE.name: _exposure(ENV_FILE),
        "STORE_URL": "plaintext" if _is_plaintext(settings.store_url) else "",
    }
    return {name: reason for name, reason in found.items() if reason}


def _exposure(path: Path) -> str:
    mode = path.stat().st_mode if path.exists() else 0
    if mode & stat.S_IROTH:
        return "readable"
    return "writable" if mode & (stat.S_IWGRP | stat.S_IWOTH) else ""


def _is_plaintext(url: StoreUrl) -> bool:
    return (
        isinstance(url, RedisUrl)
        and not url.tls
        and not all(_LOOPBACK.fullmatch(host) for host, _ in url.hosts)
    )
