"""The table of errors, with a request that causes each row.

docs/api.md gives the status and the client action of each code.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import httpx

from tests.api import error_scenarios as s
from tests.support.running_app import RunningApp, running_app


def documented_rows() -> list[tuple[int, str, str]]:
    """Read the table of docs/api.md between its markers: status, code, client action."""
    page = Path(__file__).parents[2].joinpath("docs", "api.md").read_text("utf-8")
    table, end, _ = page.partition("<!-- errors -->")[2].partition("<!-- /errors -->")
    assert end, "docs/api.md has no table of errors between its two markers"
    _head, _rule, *lines = table.strip().splitlines()
    cells = [[cell.strip().strip("`") for cell in line.strip("| ").split("|")] for line in lines]
    return [(int(status), code, action) for status, code, action, *_ in cells]


ROWS = documented_rows()
BINDING = {"session_device_binding": "required"}
ONE_SESSION = {"session_max_per_user": 1}
ANOTHER_SECRET = partial(
    RunningApp.switch_authing, user_pool_secret="another-pool-secret-0123456789abcdef"
)
HURRY = {"authing_timeout": timedelta(milliseconds=50)}
SESSION_ALIVE: Mapping[str, bool | Literal["unknown"]] = {
    **dict.fromkeys(("proof_required", "proof_invalid"), True),
    **dict.fromkeys(("refresh_token_invalid", "session_ended"), False),
    **dict.fromkeys(("rate_limited", "store_unavailable", "internal_error"), "unknown"),
    **dict.fromkeys((code for _, code, _ in ROWS if code.startswith("access_token")), "unknown"),
}


@dataclass(frozen=True, eq=False)
class Case:
    """One row of the table of errors. A member that is None is absent from the response.

    `status` is needed if the page has several for the code.
    """

    code: str
    scenario: s.Scenario
    status: int = 0
    _: KW_ONLY
    retry_after: int | range | None = None
    reason: str | None = None
    replaced_by: str | None = None
    until: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    client_action: str = field(init=False)

    def __post_init__(self) -> None:
        (row,) = (r for r in ROWS if r[1] == self.code and self.status in {0, r[0]})
        object.__setattr__(self, "status", row[0])
        object.__setattr__(self, "client_action", row[2])

    @property
    def session_alive(self) -> bool | str | None:
        return SESSION_ALIVE.get(self.code)

    def __str__(self) -> str:
        return "-".join(filter(None, [str(self.status), self.code, self.reason]))


@dataclass(frozen=True)
class Outcome:
    response: httpx.Response
    secrets: frozenset[str]


@dataclass(frozen=True)
class AllOutcomes:
    outcomes: Mapping[Case, Outcome]
    log: str


async def outcomes_in(folder: Path) -> dict[Case, Outcome]:
    """Run each case once, in an application of its own."""

    async def run(number: int, case: Case) -> Outcome:
        async with running_app(folder / str(number), **case.settings) as app:
            return Outcome(await case.scenario(app), frozenset(app.secrets))

    outcomes = await asyncio.gather(*(run(*numbered) for numbered in enumerate(CASES)))
    return dict(zip(CASES, outcomes, strict=True))


def after(change: s.Change, reason: str, **more: Any) -> tuple[Case, Case]:
    """A refresh and a list after this end of the session."""
    listing = s.ask_after(change, "GET", "/v1/sessions")
    return (
        Case("session_ended", s.refresh_after(change), 400, reason=reason, **more),
        Case("session_ended", listing, 401, reason=reason, **more),
    )


def store_down(scenario: s.Scenario) -> Case:
    return Case("store_unavailable", scenario, retry_after=range(1, 4))


def rate_limited(scenario: s.Scenario, setting: str) -> Case:
    # The whole minute, and then a moment.
    return Case("rate_limited", scenario, retry_after=61, settings={setting: "1/minute"})


def unavailable(fault: str, retry_after: int) -> Case:
    return Case("authing_unavailable", s.login_when_authing_has(fault), retry_after=retry_after)


CASES = (
    Case("malformed_request", s.login_with_body(b"{")),
    Case("malformed_request", s.ticket_in_the_query),
    Case("malformed_request", s.access_token_in_the_query),
    Case("login_cancelled", s.login_with(ext_msg="code=400&message=用户取消授权")),
    Case("ext_msg_unsupported", s.login_with(ext_msg='{"code":"made-up"}')),
    Case("ticket_rejected", s.login_with_an_unknown_ticket),
    Case("ticket_used", s.login_with_a_used_ticket),
    Case("refresh_token_invalid", s.refresh_with_a_made_up_token),
    Case("proof_required", s.log_in, settings=BINDING),
    Case("proof_invalid", s.login_with_a_made_up_proof),
    *after(s.log_out, "logged_out"),
    *after(s.log_in_with_android, "replaced", replaced_by="android", settings=ONE_SESSION),
    Case("session_ended", s.refresh_after(s.wait(days=14)), 400, reason="expired"),
    Case("service_key_invalid", s.get("/internal/v1/users/somebody/sessions")),
    Case("service_key_invalid", s.backend_with_the_wrong_key),
    Case("access_token_missing", s.get("/v1/me")),
    Case("access_token_invalid", s.me_with_a_made_up_token),
    Case("access_token_expired", s.ask_after(s.wait(minutes=10), "GET", "/v1/me")),
    Case("account_blocked", s.login_of("blocked")),
    Case("user_banned", s.login_of_the_banned()),
    Case(
        "user_banned",
        s.login_of_the_banned("2027-01-01T08:00:00+08:00"),
        until="2027-01-01T00:00:00+00:00",
    ),
    Case("not_found", s.get("/v1/nothing")),
    Case("not_found", s.backend_about_a_stranger),
    Case("login_in_progress", s.login_beside_another, retry_after=2),
    Case("method_not_allowed", s.get("/v1/sessions/refresh")),
    rate_limited(s.login_after_another, "rate_limit_login"),
    rate_limited(s.refresh_after_another, "rate_limit_refresh"),
    Case("body_too_large", s.login_with_body(b" " * 8193)),
    Case("uri_too_long", s.get("/v1/launch?" + "x" * 2048)),
    Case("unsupported_media_type", s.login_with_a_form),
    Case("header_too_large", s.get("/v1/launch", Cookie="x" * 16384)),
    Case("invalid_request", s.login_with(ticket="two words")),
    Case("invalid_request", s.login_with_an_odd_key),
    Case("idempotency_key_mismatch", s.login_with_the_key_of_another_ticket),
    Case("internal_error", s.login_with_a_bug_of_ours),
    Case("authing_bad_answer", s.login_when_authing_has("html")),
    Case("authing_token_invalid", s.login_when_authing_has("bad_token")),
    Case("authing_untrusted", s.login_when(s.untrusted)),
    unavailable("drop", retry_after=2),
    unavailable("http_503", retry_after=7),
    Case("authing_timeout", s.login_when_authing_has("slow"), retry_after=2, settings=HURRY),
    Case("authing_overloaded", s.login_in_a_crowd, retry_after=2),
    Case("authing_misconfigured", s.login_when(ANOTHER_SECRET), retry_after=2),
    store_down(s.login_when(RunningApp.break_store)),
    store_down(s.refresh_after(s.break_store)),
    *(
        store_down(s.ask_after(s.break_store, method, path))
        for path, methods in {
            "/v1/me": ("GET", "DELETE"),
            "/v1/sessions": ("GET",),
            "/v1/sessions?scope=all": ("DELETE",),
            "/v1/sessions/current": ("DELETE",),
            "/v1/sessions/somebodys": ("DELETE",),
            "/internal/v1/revocations": ("GET",),
            "/internal/v1/users/somebody/sessions": ("GET", "DELETE"),
            "/internal/v1/users/somebody/ban": ("GET", "PUT", "DELETE"),
        }.items()
        for method in methods
    ),
)
