"""Settings that work and are not safe. `serve` logs each at start, and `check` prints it."""

import stat
from ipaddress import ip_address
from pathlib import Path

from app.config import ENV_FILE, Settings
from app.store_url import RedisUrl

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
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    if mode & stat.S_IROTH:
        return "readable"
    return "writable" if mode & (stat.S_IWGRP | stat.S_IWOTH) else ""


def _is_plaintext(url: object) -> bool:
    return isinstance(url, RedisUrl) and not (url.tls or all(_is_loopback(h) for h, _ in url.hosts))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
