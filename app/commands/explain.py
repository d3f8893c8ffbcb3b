"""`explain`: what happened to a user's sessions, or to one session, and why each ended.

It only reads the store, so it works beside a running service.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from textwrap import fill, indent

from app.api.problems import preferred_language
from app.api.schemas import history_out
from app.config import ENV_FILE, SECRETS_DIR, Settings, load_settings
from app.errors import NotFound, StartupError, StoreUnavailable
from app.main import system_clock
from app.sessions.history import HistoryEvent, HistoryService
from app.sessions.models import instant
from app.stores import open_history
from app.telemetry.logs import LoggedEvents

_UNKNOWN = 1
_DETAILS = {
    "reason": "{}",
    "by": "by {}",
    "kind": "{}",
    "refreshes": "refreshes: {}",
    "count": "{} times",
}
_COLUMNS = "{:20} {:22} {:16} {:16} {}"
_WIDTH = 96
_TIME = "%Y-%m-%d %H:%M:%S"


def run(name: str, *, as_json: bool) -> int:
    """Print the history of the session or user of this name; return 0, or 1 if it is unknown."""
    settings = load_settings(Settings, env_file=ENV_FILE, secrets_dir=SECRETS_DIR)
    try:
        told = asyncio.run(_read(settings, name))
    except NotFound:
        print("ticketgate: nothing is known of this user or session", file=sys.stderr)
        return _UNKNOWN
    # The first of these variables that is set decides (POSIX).
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    history = history_out(told, preferred_language(locale))
    text = json.dumps(history, ensure_ascii=False, indent=2)
    print(text if as_json else "\n".join(_lines(history["events"])))
    return 0


async def _read(settings: Settings, name: str) -> Sequence[HistoryEvent]:
    async with open_history(settings.store_address, LoggedEvents()) as store:
        history = HistoryService(store, system_clock, settings.events_ttl)
        try:
            with suppress(NotFound):
                return await history.of_session(name)
            return await history.of_user(name)
        except StoreUnavailable as error:
            reason = type(error.__cause__).__name__
            raise StartupError(f"STORE_URL: cannot be read ({reason})") from error


def _lines(told: Sequence[HistoryEvent]) -> Iterator[str]:
    yield _COLUMNS.format("time (UTC)", "session", "device", "event", "details")
    for each in told:
        device = each.get("device", {})
        phone = f"{device.get('type', '')} {device.get('app_version', '')}".strip()
        where = _time(each["at"]), each.get("session_id", ""), phone, each["event"]
        yield _COLUMNS.format(*where, ", ".join(_details(each))).rstrip()
        if "explanation" in each:
            yield indent(fill(each["explanation"], _WIDTH), " " * 4)


def _details(each: HistoryEvent) -> Iterator[str]:
    members: Mapping[str, object] = each
    yield from (form.format(members[name]) for name, form in _DETAILS.items() if name in members)
    if "first_at" in each:
        yield f"since {_time(each['first_at'])}"


def _time(seconds: int) -> str:
    return f"{instant(seconds):{_TIME}}"
