"""`explain` prints the history beside a running service, and every failure is one line."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from app.api.problems import Language
from app.api.schemas import EXPLANATIONS
from app.main import system_clock
from app.sessions.models import End, EndReason
from app.sessions.ports import SessionLimits, Stores
from app.stores.sqlite import open_sqlite_store
from tests.commands.conftest import Shell
from tests.stores.builders import (
    ABSOLUTE,
    SUBJECT,
    UNLIMITED,
    ban_of,
    keep,
    lease_of,
    make_session,
    rotation_of,
)
from tests.stores.redis.opening import opened
from tests.support.valkey.servers import Server

SESSION = "-session-that-looks-op"
EXPLANATION = EXPLANATIONS["logged_out"]


def times() -> dict[str, Any]:
    """A session that begins now."""
    now = system_clock()
    began: dict[str, Any] = dict.fromkeys(("created_at", "last_used_at"), now)
    return began | dict.fromkeys(("expires_at", "absolute_expires_at"), now + ABSOLUTE)


async def log_in_and_out(store: Stores) -> None:
    now = system_clock()
    session = make_session(SESSION, device_type="ios", **times())
    await store.tickets.create_session(lease_of(at=now), session, UNLIMITED, "1.2")
    await store.sessions.end(SESSION, SUBJECT, End(EndReason.LOGGED_OUT, now))


def assert_explained(shell: Shell) -> None:
    for name in (SUBJECT, SESSION):
        told = shell("explain", name)
        assert (told.code, told.err) == (0, "")
        head, ended, *explanation, first = told.lines
        assert head.split() == ["time", "(UTC)", "session", "device", "event", "details"]
        assert ended.split()[2:] == [
            *(SESSION, "ios", "1.2", "ended", "logged_out,", "by", "this_device,"),
            *("refreshes:", "0"),
        ]
        assert " ".join(map(str.strip, explanation)) == EXPLANATION["en"]
        assert first.endswith("opened")


def test_a_history_is_printed_beside_a_running_service_and_after_it(
    folder: Path, shell: Shell
) -> None:
    with open_sqlite_store(folder / "sessions.db") as store:
        asyncio.run(log_in_and_out(store))
        assert_explained(shell)
    assert_explained(shell)


async def test_a_history_in_redis_is_printed(
    shell: Shell, valkey: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(valkey.url) as store:
        await log_in_and_out(store)
    monkeypatch.setenv("STORE_URL", valkey.url)
    await asyncio.to_thread(assert_explained, shell)


@pytest.mark.parametrize(("locale", "language"), [("zh_CN.UTF-8", "zh"), ("C", "en"), ("", "en")])
def test_json_is_what_the_api_returns_in_the_language_of_the_locale(
    folder: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch, locale: str, language: Language
) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LANG", locale)
    with open_sqlite_store(folder / "sessions.db") as store:
        asyncio.run(log_in_and_out(store))
    ended, opened_event = json.loads(shell("explain", "--json", SUBJECT).out)["events"]
    assert ended["explanation"] == EXPLANATION[language]
    assert opened_event["event"] == "opened"


def test_equal_events_and_the_newcomer_are_in_the_details(folder: Path, shell: Shell) -> None:
    async def replay_and_replace(store: Stores) -> None:
        await keep(store, make_session(**times()))
        for _ in range(3):
            await store.sessions.rotate(rotation_of(0, at=system_clock()))
        one = SessionLimits(max_per_user=1, one_per_device_type=False)
        await keep(store, make_session("session-b", device_type="ios", **times()), one)
        await store.bans.put(ban_of(at=system_clock()))
        await keep(store, make_session("session-c", subject="another", **times()))
        await store.sessions.rotate(rotation_of(0, session_id="session-c", at=system_clock()))

    with open_sqlite_store(folder / "sessions.db") as store:
        asyncio.run(replay_and_replace(store))
    assert shell("explain", "another").lines[1].endswith("refreshed        1 times")
    text = " ".join(shell("explain", SUBJECT).out.split())
    assert "ended replaced, by limit, max_per_user, refreshes: 1" in text
    assert ["banned"] in [line.split()[2:] for line in shell("explain", SUBJECT).lines]
    assert "refresh_replayed 2 times, since" in text


@pytest.mark.parametrize(
    ("settings", "code", "line"),
    [
        ({}, 1, "nothing is known of this user or session"),
        ({"STORE_URL": "sqlite:///none.db"}, 2, "STORE_URL: none.db cannot be read"),
        ({"STORE_URL": "redis://127.0.0.1:1"}, 2, "STORE_URL: cannot be read (ConnectionError)"),
        ({"SESSION_ISSUER": ""}, 2, "SESSION_ISSUER: is required"),
    ],
)
def test_a_failure_is_one_line_and_a_code(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], code: int, line: str
) -> None:
    with open_sqlite_store(Path("sessions.db")):
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        told = shell("explain", "nobody")
    assert (told.code, told.out) == (code, "")
    assert told.err.startswith(f"ticketgate: {line}")
    assert told.err.count("\n") == 1
