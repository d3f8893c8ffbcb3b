"""`/internal/v1/…/history`: support learns why a user was logged out, and nothing personal.

`tests/stores/contract/test_history.py` shows what each store keeps.
"""

import re
from datetime import timedelta
from typing import Any, TypeAlias, get_args

import httpx
import pytest

from app.api.schemas import EXPLANATIONS
from app.sessions.models import EndReason
from app.sessions.outcomes import ReuseKind
from tests.stores.user_journey import DEVICE, everything_that_happens_to
from tests.support.leaks import found
from tests.support.running_app import SERVICE, RunningApp

Tokens: TypeAlias = dict[str, Any]
IOS = {**DEVICE, "app_version": "1.2 (3)"}


async def ask(app: RunningApp, path: str, language: str = "en") -> httpx.Response:
    headers = {**SERVICE, "Accept-Language": language}
    return await app.phone.get(f"/internal/v1/{path}/history", headers=headers)


async def of_user(app: RunningApp, tokens: Tokens) -> list[dict[str, Any]]:
    response = await ask(app, f"users/{tokens['user']['sub']}")
    assert response.status_code == 200, response.text
    events: list[dict[str, Any]] = response.json()["events"]
    return events


async def of_session(app: RunningApp, tokens: Tokens, language: str = "en") -> dict[str, Any]:
    response = await ask(app, f"sessions/{tokens['session']['id']}", language)
    newest: dict[str, Any] = response.json()["events"][0]
    return newest


async def test_the_story_of_a_session_is_told_newest_first(app: RunningApp) -> None:
    began = app.clock.epoch
    tokens = await app.log_in(device=IOS)
    session_id, device = tokens["session"]["id"], {"type": "ios", "app_version": "1.2 (3)"}
    app.clock.advance(seconds=60)
    for _ in range(3):
        await app.refresh(tokens["refresh_token"])
    about = {"session_id": session_id, "device": device}
    opened = {"event": "opened", "at": began, **about}
    replayed = {"event": "refresh_replayed", "at": began + 60, **about, "count": 2}
    assert await of_user(app, tokens) == [
        {**replayed, "first_at": began + 60},
        {"event": "refreshed", "at": began + 60, **about, "count": 1},
        opened,
    ]
    app.clock.advance(seconds=60)
    await app.backend("DELETE", tokens["user"]["sub"], "sessions")
    assert await of_user(app, tokens) == [
        {
            "event": "ended",
            "at": began + 120,
            **about,
            "reason": "kicked",
            "by": "service",
            "refreshes": 1,
            "explanation": EXPLANATIONS["kicked"]["en"],
        },
        {**replayed, "first_at": began + 60},
        opened,
    ]


@pytest.mark.parametrize(
    ("by", "path"),
    [("this_device", "/v1/sessions/{}"), ("other_device", "/v1/sessions?scope=others")],
)
async def test_a_revoked_session_tells_which_device_asked(
    app: RunningApp, by: str, path: str
) -> None:
    tokens, other = await app.log_in(), await app.log_in()
    asking = tokens if by == "this_device" else other
    await app.delete(path.format(tokens["session"]["id"]), asking)
    told = await of_session(app, tokens)
    assert (told["event"], told["reason"], told["by"]) == ("ended", "revoked", by)
    assert told["ended_by"] == asking["session"]["id"]


async def test_a_token_revokes_its_session_as_this_device(app: RunningApp) -> None:
    tokens = await app.log_in()
    await app.phone.post("/oauth2/revoke", data={"token": tokens["refresh_token"]})
    assert (await of_session(app, tokens))["by"] == "this_device"


async def test_accept_language_chooses_the_language_of_an_explanation(app: RunningApp) -> None:
    tokens = await app.log_in()
    await app.log_out(tokens)
    assert "signed out" in (await of_session(app, tokens, "en"))["explanation"]
    assert "退出" in (await of_session(app, tokens, "zh-CN"))["explanation"]
    response = await ask(app, f"users/{tokens['user']['sub']}", "zh")
    assert response.headers["Content-Language"] == "zh"
    assert "Accept-Language" in response.headers["Vary"]


def test_each_way_to_end_has_an_explanation_in_plain_sentences() -> None:
    kinds: dict[str, tuple[str, ...]] = {
        "replaced": ("max_per_user", "one_per_device_type"),
        "expired": ("idle", "absolute"),
    }
    kinds |= {"refresh_reused": tuple(set(get_args(ReuseKind)) - {"recent_previous"})}
    kinds |= {"revoked": ("other_device",)}
    plain = set(EndReason) - {EndReason.EXPIRED, EndReason.ERASED}  # erased: nothing is told
    assert set(EXPLANATIONS) == plain | {
        f"{reason}.{kind}" for reason, each in kinds.items() for kind in each
    }
    for texts in EXPLANATIONS.values():
        assert set(texts) == {"en", "zh"}
        assert max(len(part.split()) for part in re.split(r"[.;:] ", texts["en"])) <= 20
        assert texts["zh"].endswith("。")


async def test_the_history_of_all_that_can_happen_names_nobody(app: RunningApp) -> None:
    tokens = await everything_that_happens_to(app, "lin")
    response = await ask(app, f"users/{tokens['user']['sub']}")
    kinds = {(each["event"], each.get("reason")) for each in response.json()["events"]}
    once = ("banned", "ban_lifted", "opened", "refreshed", "refresh_reused", "session_bound")
    often = ("proof_refused", "login_replayed", "rolled_forward", "refresh_replayed")
    ended = {("ended", "logged_out"), ("ended", "refresh_reused")}
    assert kinds == {(event, None) for event in (*once, *often)} | ended
    personal = dict(enumerate([*app.secrets, DEVICE["id"], DEVICE["name"]]))
    assert found({str(n): text for n, text in personal.items()}, response.text) == set()


@pytest.mark.parametrize("version", ["13800138000", "v138-0013-8000 138001380", "张三", "x" * 9])
async def test_a_version_that_may_be_personal_is_not_told(app: RunningApp, version: str) -> None:
    tokens = await app.log_in(device={"app_version": version})
    assert "device" not in (await of_session(app, tokens))


@pytest.mark.parametrize("app", [{"session_max_per_user": 1}], indirect=True)
async def test_an_unknown_or_erased_user_and_session_are_404(app: RunningApp) -> None:
    older, tokens = await app.log_in(), await app.log_in()
    subject = tokens["user"]["sub"]
    assert (await of_session(app, older))["reason"] == "replaced"
    await app.delete("/v1/me", tokens)
    for path in (
        *("users/nobody", "sessions/nothing", f"users/{subject}"),
        *(f"sessions/{each['session']['id']}" for each in (older, tokens)),
    ):
        response = await ask(app, path)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("app", [{"events_ttl": timedelta(seconds=60)}], indirect=True)
async def test_events_ttl_is_how_long_after_its_end_a_session_is_told(app: RunningApp) -> None:
    ended, active = await app.log_in(), await app.log_in()
    await app.log_out(ended)
    app.clock.advance(seconds=59)
    assert (await of_session(app, ended))["event"] == "ended"
    app.clock.advance(seconds=1)
    assert (await ask(app, f"sessions/{ended['session']['id']}")).status_code == 404
    assert {each["session_id"] for each in await of_user(app, active)} == {active["session"]["id"]}
