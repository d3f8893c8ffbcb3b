"""`explain`: what happened to a user's sessions, or to one session, and why each ended.

It only reads the store, so it works beside a running service.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from textwrap import fill

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
_WIDTH = 100


def run(name: str, *, as_json: bool) -> int:
    """Print the history of the session or the user of this name, newest first.

    The locale chooses the language of the explanations. Return 0, or 1 if nothing is known of the
    name. Raise StartupError if the settings are wrong or the store cannot be read.
    """
    settings = load_settings(Settings, env_file=ENV_FILE, secrets_dir=SECRETS_DIR)
    try:
        told = asyncio.run(_read(settings, name))
    except NotFound:
        print("ticketgate: nothing is known of this user or session", file=sys.stderr)  # noqa: T201  # the output
        return _UNKNOWN
    except StoreUnavailable as error:
        reason = type(error.__cause__).__name__
        raise StartupError(f"STORE_URL: the store cannot be read now ({reason})") from error
    language = preferred_language(_locale())
    text = json.dumps(history_out(told, language), ensure_ascii=False, indent=2)
    print(text if as_json else "\n".join(_lines(told, language)))  # noqa: T201  # the output
    return 0


def _locale() -> str:
    """The first of these variables that is set decides (POSIX)."""
    return next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")


async def _read(settings: Settings, name: str) -> Sequence[Happening]:
    async with open_history(store_address(settings), LoggedEvents()) as store:
        history = HistoryService(store, system_clock, settings.events_ttl)
        try:
            return await history.of_session(name)
        except NotFound:
            return await history.of_user(name)


def _lines(told: Sequence[Happening], language: Language) -> Iterator[str]:
    yield _COLUMNS.format("time (UTC)", "session", "device", "event", "details")
    for each in told:
        session = each.session
        device = (session.device_type, session.app_version) if session else ()
        yield _COLUMNS.format(
            f"{each.at:%Y-%m-%d %H:%M:%S}",
            session.id if session else "",
            " ".join(filter(None, device)),
            each.event,
            _details(each),
        ).rstrip()
        if each.event == "ended":
            yield fill(
                explanation(each, language),
                _WIDTH,
                initial_indent=" " * 4,
                subsequent_indent=" " * 4,
            )


def _details(each: Happening) -> str:
    parts = [*filter(None, (each.reason, f"by {each.by}" if each.by else "", each.kind))]
    if each.session and each.event == "ended":
        parts.append(f"refreshes: {each.session.refreshes}")
        parts += [f"replaced by {each.session.replaced_by}"] if each.session.replaced_by else []
    if each.event == "refreshed" or each.count > 1:
        parts.append(
            f"{each.count} times"
            + (f" since {each.first_at:%Y-%m-%d %H:%M:%S}" if each.first_at else "")
        )
    return ", ".join(parts)
