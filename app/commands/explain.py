"""`explain`: what happened to a user's sessions, or to one session, and why each ended.

It only reads the store, so it works beside a running service.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from textwrap import fill, indent

from app.api.history import explanation, history_out
from app.api.problems import Language, preferred_language
from app.config import ENV_FILE, SECRETS_DIR, Settings, load_settings
from app.errors import NotFound, StartupError, StoreUnavailable
from app.main import store_address, system_clock
from app.sessions.history import Happening, HistoryService
from app.stores import open_history
from app.telemetry.logs import LoggedEvents

_UNKNOWN = 1
_COLUMNS = "{:20} {:22} {:16} {:16} {}"
_WIDTH = 96
_TIME = "%Y-%m-%d %H:%M:%S"


def run(name: str, *, as_json: bool) -> int:
    """Print the history of the session or the user of this name, newest first.

    The locale chooses the language of the explanations. Return 0, or 1 if nothing is known of the
    name. Raise StartupError if the settings are wrong or the store cannot be read.
    """
    settings = load_settings(Settings, env_file=ENV_FILE, secrets_dir=SECRETS_DIR)
    try:
        told = asyncio.run(_read(settings, name))
    except NotFound:
        print("ticketgate: nothing is known of this user or session", file=sys.stderr)
        return _UNKNOWN
    # The first of these variables that is set decides (POSIX).
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    language = preferred_language(locale)
    text = json.dumps(history_out(told, language), ensure_ascii=False, indent=2)
    print(text if as_json else "\n".join(_lines(told, language)))
    return 0


async def _read(settings: Settings, name: str) -> Sequence[Happening]:
    async with open_history(store_address(settings), LoggedEvents()) as store:
        history = HistoryService(store, system_clock, settings.events_ttl)
        try:
            with suppress(NotFound):
                return await history.of_session(name)
            return await history.of_user(name)
        except StoreUnavailable as error:
            reason = type(error.__cause__).__name__
            raise StartupError(f"STORE_URL: cannot be read ({reason})") from error


def _lines(told: Sequence[Happening], language: Language) -> Iterator[str]:
    yield _COLUMNS.format("time (UTC)", "session", "device", "event", "details")
    for each in told:
        session = each.session
        device = f"{session.device_type} {session.app_version}".strip() if session else ""
        where = f"{each.at:{_TIME}}", session.id if session else "", device, each.event
        yield _COLUMNS.format(*where, ", ".join(filter(None, _details(each)))).rstrip()
        if each.reason:
            yield indent(fill(explanation(each, language), _WIDTH), " " * 4)


def _details(each: Happening) -> Iterator[str | None]:
    yield from (each.reason, each.by and f"by {each.by}", each.kind)
    if each.reason and each.session:
        yield f"refreshes: {each.session.refreshes}"
    if each.event == "refreshed" or each.count > 1:
        yield f"{each.count} times"
    if each.first_at and each.count > 1:
        yield f"since {each.first_at:{_TIME}}"
