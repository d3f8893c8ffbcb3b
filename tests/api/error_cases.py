"""The table of errors, with a request that causes each row."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Literal

import httpx

from tests.api import endings as e
from tests.api import error_scenarios as p


@dataclass(frozen=True, eq=False)
class Case:
    """One row of the table of errors. A member that is None is absent from the response."""

    code: str
    status: int
    client_action: str
    scenario: p.Scenario
    _: KW_ONLY
    session_alive: bool | Literal["unknown"] | None = None
    retry_after: int | range | None = None
    reason: str | None = None
    replaced_by: str | None = None
    until: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join(filter(None, [str(self.status), self.code, self.reason]))


@dataclass(frozen=True)
class Outcome:
    """The response, and the secrets of the app that sent it."""

    response: httpx.Response
    secrets: frozenset[str]


@dataclass(frozen=True)
class AllOutcomes:
    """The outcome of every case, and the log of all."""

    outcomes: Mapping[Case, Outcome]
    log: str


def unavailable(scenario: p.Scenario, retry_after: int = 2) -> Case:
    return Case("authing_unavailable", 503, "retry_after", scenario, retry_after=retry_after)


def bad_answer(scenario: p.Scenario) -> Case:
    return Case("authing_bad_answer", 502, "retry", scenario)


def ended(status: int, scenario: p.Scenario, reason: str, **more: Any) -> Case:
    return Case(
        "session_ended",
        status,
        "relaunch_wechat",
        scenario,
        session_alive=False,
        reason=reason,
        **more,
    )


refresh_of_ended = partial(ended, 400)
access_to_ended = partial(ended, 401)


def store_down(scenario: p.Scenario) -> Case:
    return Case(
        "store_unavailable",
        503,
        "retry_after",
        scenario,
        session_alive="unknown",
        retry_after=range(1, 4),
    )


def rate_limited(scenario: p.Scenario, setting: str) -> Case:
    return Case(
        "rate_limited",
        429,
        "retry_after",
        scenario,
        session_alive="unknown",
        retry_after=61,  # the whole minute, and then a moment
        settings={setting: "1/minute"},
    )


def access(code: str, client_action: str, scenario: p.Scenario) -> Case:
    return Case(code, 401, client_action, scenario, session_alive="unknown")


BINDING = {"session_device_binding": "required"}
ONE_SESSION: dict[str, Any] = {"settings": {"session_max_per_user": 1}}
CASES = (
    Case("malformed_request", 400, "none", p.login_with_body(b"{")),
    Case("malformed_request", 400, "none", p.ticket_in_the_query),
    Case("malformed_request", 400, "none", p.access_token_in_the_query),
    Case("malformed_request", 400, "none", e.end_several_without_a_scope),
    Case("login_cancelled", 400, "none", p.login_with(ext_msg="code=400&message=用户取消授权")),
    Case("ext_msg_unsupported", 400, "none", p.login_with(ext_msg='{"code":"made-up"}')),
    Case("ticket_rejected", 400, "relaunch_wechat", p.login_with_an_unknown_ticket),
    Case("ticket_rejected", 400, "relaunch_wechat", p.login_with_an_old_ticket),
    Case("ticket_used", 400, "relaunch_wechat", p.login_with_a_used_ticket),
    Case("ticket_used", 400, "relaunch_wechat", p.login_again_after_a_refresh),
    Case(
        "refresh_token_invalid",
        400,
        "relaunch_wechat",
        p.refresh_with_a_made_up_token,
        session_alive=False,
    ),
    Case("proof_required", 400, "retry", p.log_in, session_alive=True, settings=BINDING),
    Case("proof_invalid", 400, "retry", p.login_with_a_made_up_proof, session_alive=True),
    refresh_of_ended(p.refresh_after_logout, "logged_out"),
    refresh_of_ended(p.refresh_after_two_weeks, "expired"),
    refresh_of_ended(p.refresh_with_a_spent_token, "refresh_reused"),
    *(refresh_of_ended(e.refresh_after(end), reason) for reason, end in e.ENDINGS.items()),
    refresh_of_ended(
        e.refresh_after(e.replace_by("android")), "replaced", replaced_by="android", **ONE_SESSION
    ),
    refresh_of_ended(e.refresh_after(e.replace_by(None)), "replaced", **ONE_SESSION),
    access("access_token_missing", "none", p.get("/v1/me")),
    Case("service_key_invalid", 401, "none", e.backend_without_a_key),
    Case("service_key_invalid", 401, "none", e.backend_with_the_wrong_key),
    Case("service_key_invalid", 401, "none", e.backend_with_an_access_token),
    access("access_token_missing", "none", p.get("/v1/me", Authorization="Basic bWFkZTp1cA==")),
    access("access_token_invalid", "refresh", p.me_with_a_made_up_token),
    access("access_token_invalid", "refresh", p.me_with_a_forged_token),
    access("access_token_invalid", "refresh", p.me_with_two_tokens),
    access("access_token_expired", "refresh", p.me_after_ten_minutes),
    access_to_ended(p.me_after_logout, "logged_out"),
    access_to_ended(p.current_after_theft, "refresh_reused"),
    *(access_to_ended(e.list_after(end), reason) for reason, end in e.ENDINGS.items()),
    access_to_ended(
        e.list_after(e.replace_by("android")), "replaced", replaced_by="android", **ONE_SESSION
    ),
    access_to_ended(e.list_after(e.replace_by(None)), "replaced", **ONE_SESSION),
    Case("account_blocked", 403, "contact_support", p.login_of("blocked")),
    Case("account_blocked", 403, "contact_support", p.login_of("deleted")),
    Case("user_banned", 403, "contact_support", e.login_of_the_banned()),
    Case(
        "user_banned",
        403,
        "contact_support",
        e.login_of_the_banned("2027-01-01T08:00:00+08:00"),
        until="2027-01-01T00:00:00+00:00",
    ),
    Case("not_found", 404, "none", p.get("/v1/nothing")),
    Case("not_found", 404, "none", e.revoke_the_session_of_another),
    Case("not_found", 404, "none", e.show_a_ban_that_is_none),
    Case("login_in_progress", 409, "retry_after", p.login_beside_another(10), retry_after=2),
    Case("login_in_progress", 409, "retry_after", p.login_beside_another(1), retry_after=1),
    Case("method_not_allowed", 405, "none", p.get("/v1/sessions/refresh")),
    rate_limited(p.login_after_another, "rate_limit_login"),
    rate_limited(p.refresh_after_another, "rate_limit_refresh"),
    Case("body_too_large", 413, "none", p.login_with_body(b" " * 8193)),
    Case("body_too_large", 413, "none", p.login_with_endless_body),
    Case("uri_too_long", 414, "none", p.get("/v1/launch?" + "x" * 2048)),
    Case("unsupported_media_type", 415, "none", p.login_with_a_form),
    Case("header_too_large", 431, "none", p.get("/v1/launch", Cookie="x" * 16384)),
    Case("invalid_request", 422, "none", p.login_with(ticket="two words")),
    Case("invalid_request", 422, "none", p.login_with_an_odd_key),
    Case("invalid_request", 422, "none", e.end_an_odd_scope),
    Case("invalid_request", 422, "none", e.ban_for_an_odd_reason),
    Case("idempotency_key_mismatch", 422, "none", p.login_with_the_key_of_another_ticket),
    Case("internal_error", 500, "retry", p.login_with_a_bug_of_ours, session_alive="unknown"),
    bad_answer(p.login_when_authing_has("html")),
    bad_answer(p.login_when_authing_has("redirect")),
    bad_answer(p.login_when_authing_has("truncated")),
    Case("authing_token_invalid", 502, "contact_support", p.login_when_authing_has("bad_token")),
    Case("authing_untrusted", 502, "contact_support", p.login_without_tls_to_believe),
    unavailable(p.login_when_authing_has("drop")),
    unavailable(p.login_when_authing_has("accept_then_drop")),
    unavailable(p.login_when_authing_has("http_500")),
    unavailable(p.login_when_authing_has("http_503"), retry_after=7),
    unavailable(p.login_when_authing_has("rate_limited"), retry_after=7),
    Case(
        "authing_timeout",
        503,
        "retry_after",
        p.login_when_authing_has("slow"),
        retry_after=2,
        settings={"authing_timeout": timedelta(milliseconds=50)},
    ),
    Case("authing_overloaded", 503, "retry_after", p.login_in_a_crowd, retry_after=2),
    Case(
        "authing_misconfigured",
        503,
        "contact_support",
        p.login_with_the_wrong_pool_secret,
        retry_after=2,
    ),
    store_down(p.login_without_store),
    store_down(p.refresh_without_store),
    *(store_down(scenario) for scenario in p.EVERYTHING_ELSE_WITHOUT_STORE),
)
