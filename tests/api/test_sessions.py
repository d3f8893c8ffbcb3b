"""`/v1/sessions`: the user sees where they are signed in, and ends what they like."""

from typing import Any

import pytest

from tests.support.running_app import RunningApp


def ids(sessions: list[dict[str, Any]]) -> list[str]:
    return [session["id"] for session in sessions]


async def listed(world: RunningApp, tokens: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await world.get("/v1/sessions", tokens)
    assert answer.status_code == 200
    sessions: list[dict[str, Any]] = answer.json()
    return sessions


async def fate(world: RunningApp, tokens: dict[str, Any]) -> str:
    """What both tokens say has become of their session."""
    bearer = (await world.get("/v1/sessions/current", tokens)).json().get("reason", "alive")
    answer = (await world.try_refresh(tokens["refresh_token"])).json()
    assert answer.get("reason", "alive") == bearer
    return str(bearer)


# --- the list ---


async def test_the_list_has_the_sessions_of_the_user_oldest_first(world: RunningApp) -> None:
    phone = await world.log_in(device={"type": "ios", "name": "小满的 iPhone"})
    world.clock.advance(seconds=60)
    tablet = await world.log_in(device={"type": "android"})
    world.clock.advance(seconds=60)
    nameless = await world.log_in()
    await world.log_in("chen")
    world.clock.advance(seconds=60)
    tablet = await world.refresh(tablet["refresh_token"])
    assert await listed(world, tablet) == [
        {**phone["session"], "last_used_at": phone["server_time"], "current": False},
        {**tablet["session"], "last_used_at": tablet["server_time"], "current": True},
        {**nameless["session"], "last_used_at": nameless["server_time"], "current": False},
    ]


async def test_sessions_of_the_same_second_keep_their_order(world: RunningApp) -> None:
    logins = [await world.log_in() for _ in range(8)]
    assert ids(await listed(world, logins[0])) == [tokens["session"]["id"] for tokens in logins]


async def test_a_session_that_is_over_is_not_listed(world: RunningApp) -> None:
    old = await world.log_in()
    world.clock.advance(days=13)
    ended, living = await world.log_in(), await world.log_in()
    await world.log_out(ended)
    assert ids(await listed(world, living)) == ids([old["session"], living["session"]])
    world.clock.advance(days=1)
    living = await world.refresh(living["refresh_token"])
    assert ids(await listed(world, living)) == [living["session"]["id"]]


# --- ending one ---


async def test_one_session_is_revoked_and_no_other(world: RunningApp) -> None:
    mine, lost = await world.log_in(), await world.log_in()
    for _ in range(2):
        answer = await world.delete(f"/v1/sessions/{lost['session']['id']}", mine)
        assert (answer.status_code, answer.content) == (204, b"")
    assert await fate(world, lost) == "revoked"
    assert await fate(world, mine) == "alive"


async def test_ones_own_session_may_be_ended_by_its_id(world: RunningApp) -> None:
    mine = await world.log_in()
    path = f"/v1/sessions/{mine['session']['id']}"
    assert (await world.delete(path, mine)).status_code == 204
    assert await fate(world, mine) == "revoked"


async def test_the_first_name_of_an_ending_stays(world: RunningApp) -> None:
    mine, other = await world.log_in(), await world.log_in()
    await world.log_out(other)
    path = f"/v1/sessions/{other['session']['id']}"
    assert (await world.delete(path, mine)).status_code == 204
    assert await fate(world, other) == "logged_out"


async def test_a_session_of_another_user_does_not_exist(world: RunningApp) -> None:
    mine, theirs = await world.log_in("lin"), await world.log_in("chen")
    path = f"/v1/sessions/{theirs['session']['id']}"
    other = await world.delete(path, mine)
    none = await world.delete("/v1/sessions/none", mine)
    assert (other.status_code, none.status_code) == (404, 404)
    own = {"request_id", "instance"}
    assert {k: v for k, v in other.json().items() if k not in own} == {
        k: v for k, v in none.json().items() if k not in own
    }
    assert await fate(world, theirs) == "alive"


@pytest.mark.parametrize(
    "name", ["none", "%00", "%ff", "a%20b", "..%2e", "' OR 1=1 --", "票", "x" * 1500]
)
async def test_a_session_that_never_was_is_not_found(world: RunningApp, name: str) -> None:
    answer = await world.delete(f"/v1/sessions/{name}", await world.log_in())
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


# --- ending several ---


async def test_the_others_are_ended_and_this_one_stays(world: RunningApp) -> None:
    mine, one, two = [await world.log_in() for _ in range(3)]
    theirs = await world.log_in("chen")
    for _ in range(2):
        answer = await world.delete("/v1/sessions?scope=others", mine)
        assert (answer.status_code, answer.content) == (204, b"")
    assert [await fate(world, tokens) for tokens in (one, two)] == ["revoked", "revoked"]
    assert [await fate(world, tokens) for tokens in (mine, theirs)] == ["alive", "alive"]


async def test_all_are_ended(world: RunningApp) -> None:
    logins = [await world.log_in() for _ in range(3)]
    theirs = await world.log_in("chen")
    assert (await world.delete("/v1/sessions?scope=all", logins[1])).status_code == 204
    assert [await fate(world, tokens) for tokens in logins] == ["revoked"] * 3
    assert await fate(world, theirs) == "alive"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "malformed_request"),
        ("?", 400, "malformed_request"),
        ("?Scope=all", 400, "malformed_request"),
        ("?scope", 422, "invalid_request"),
        ("?scope=", 422, "invalid_request"),
        ("?scope=ALL", 422, "invalid_request"),
        ("?scope=current", 422, "invalid_request"),
    ],
)
async def test_what_does_not_say_which_ends_nothing(
    world: RunningApp, query: str, status: int, code: str
) -> None:
    mine, other = await world.log_in(), await world.log_in()
    answer = await world.delete(f"/v1/sessions{query}", mine)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    if status == 422:
        assert [e["pointer"] for e in answer.json()["errors"]] == ["query/scope"]
    assert await fate(world, other) == "alive"


async def test_who_has_no_token_is_not_told_what_is_wrong_beyond_that(world: RunningApp) -> None:
    for query in ("", "?scope=mine"):
        answer = await world.phone.delete(f"/v1/sessions{query}")
        assert (answer.status_code, answer.json()["code"]) == (401, "access_token_missing")


# --- limits ---


async def test_a_login_beyond_the_limit_replaces_the_oldest(limited_world: RunningApp) -> None:
    world = limited_world
    oldest, middle = await world.log_in(), await world.log_in()
    newest = await world.log_in(device={"type": "harmony"})
    answer = (await world.get("/v1/me", oldest)).json()
    assert (answer["reason"], answer["replaced_by"]) == ("replaced", "harmony")
    assert ids(await listed(world, newest)) == ids([middle["session"], newest["session"]])


async def test_a_second_phone_of_a_type_replaces_the_first(one_per_type_world: RunningApp) -> None:
    world = one_per_type_world
    first = await world.log_in(device={"type": "ios", "id": "first"})
    tablet, nameless = await world.log_in(device={"type": "android"}), await world.log_in()
    second = await world.log_in(device={"type": "ios", "id": "second"})
    assert (await world.try_refresh(first["refresh_token"])).json()["replaced_by"] == "ios"
    living = [tablet["session"], nameless["session"], second["session"]]
    assert ids(await listed(world, second)) == ids(living)


async def test_a_login_that_is_repeated_replaces_nobody(limited_world: RunningApp) -> None:
    world = limited_world
    other, ticket = await world.log_in(), world.ticket()
    answers = [await world.try_log_in(ticket, "the-key-of-this-login") for _ in range(3)]
    tokens = world.tokens(answers[-1], 201)
    assert ids(await listed(world, tokens)) == ids([other["session"], tokens["session"]])
