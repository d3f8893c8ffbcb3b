"""The control API over HTTP."""

import json
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from app.sandbox import NO_FAULT, Fault, Sandbox
from app.sandbox.state import Switches
from tests.sandbox.conftest import Exchange

DEFAULTS = asdict(Switches())


async def test_an_empty_body_issues_a_ticket(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    given = (await http.post("/sandbox/tickets")).json()
    ext_msg = f"code=200&message=授权成功&ticket={given['ticket']}"
    pool = sandbox.state.options.user_pool_id
    rest = {"ext_msg": ext_msg, "expires_in": 120, "user_pool_id": pool}
    assert given == {"ticket": given["ticket"], **rest}
    assert parse_qs(ext_msg)["ticket"] == [given["ticket"]]
    assert sandbox.state.tickets[given["ticket"]].persona == "lin"


async def test_a_cancelled_consent_gives_a_message_without_a_ticket(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    given = (await http.post("/sandbox/tickets", json={"approve": False})).json()
    pool = sandbox.state.options.user_pool_id
    assert given == {"ext_msg": "code=400&message=用户取消授权", "user_pool_id": pool}
    assert sandbox.state.tickets_issued == 0


async def test_the_switches_can_be_read_and_changed_one_by_one(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    assert (await http.get("/sandbox/settings")).json() == DEFAULTS
    changes = {"shape": "nested", "need_secret": False, "ticket_ttl": 1}
    turned = await http.patch("/sandbox/settings", json=changes)
    assert turned.json() == {**DEFAULTS, **changes}
    assert sandbox.state.options.shape == "nested"
    assert (await http.patch("/sandbox/settings", json={})).json() == turned.json()


async def test_a_fault_can_be_set_read_and_cleared(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    fault = {"kind": "slow", "times": 2, "seconds": 0.5, "of": "management"}
    assert (await http.put("/sandbox/fault", json=fault)).json() == fault
    assert sandbox.state.fault == Fault("slow", times=2, seconds=0.5, of="management")
    assert (await http.get("/sandbox/fault")).json() == fault
    assert (await http.delete("/sandbox/fault")).json()["kind"] == "none"
    assert sandbox.state.fault == NO_FAULT


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://authing.test"}, 403),
        ({"Origin": "https://other.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://authing.test"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://authing.test"}, 200),
        ({}, 200),
    ],
)
async def test_a_page_of_another_site_cannot_steer_the_sandbox(
    sandbox: Sandbox, http: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    faulted = await http.put("/sandbox/fault", json={"kind": "html"}, headers=headers)
    ticket = await http.post("/sandbox/tickets", headers=headers)
    assert (faulted.status_code, ticket.status_code) == (status, status)
    assert sandbox.state.tickets_issued == (status == 200)


async def test_the_stats_hold_counts_and_no_secret(
    sandbox: Sandbox, http: httpx.AsyncClient, exchange: Exchange
) -> None:
    ticket = (await http.post("/sandbox/tickets")).json()["ticket"]
    await exchange(ticket)
    await exchange(ticket)
    stats = await http.get("/sandbox/stats")
    counts = {"tickets_issued": 1, "exchanges": 2, "logins": 1, "jwks_reads": 0, "users_read": 0}
    assert stats.json() == counts
    assert ticket not in stats.text
    settings = await http.get("/sandbox/settings")
    assert sandbox.state.options.user_pool_secret not in stats.text + settings.text


@pytest.mark.parametrize(
    ("request_line", "body", "member"),
    [
        *(("POST tickets", {"persona": name}, "persona") for name in ("Lin Xiao", "x" * 33, "")),
        ("POST tickets", {"get_phone": "yes"}, "get_phone"),
        ("POST tickets", {"who": "lin"}, "who"),
        ("PATCH settings", {"shape": "round"}, "shape"),
        ("PATCH settings", {"refusal_status": 500}, "refusal_status"),
        ("PATCH settings", {"ticket_ttl": 86_401}, "ticket_ttl"),
        ("PATCH settings", {"user_pool_secret": "x"}, "user_pool_secret"),
        ("PUT status", {}, "status"),
        ("PUT fault", {}, "kind"),
        ("PUT fault", {"kind": ["slow"]}, "kind"),
        ("PUT fault", {"kind": "slow", "of": "pages"}, "of"),
        *(("PUT fault", {"kind": "slow", "times": times}, "times") for times in (0, True, 1.5)),
        *(
            ("PUT fault", {"kind": "slow", "seconds": seconds}, "seconds")
            for seconds in (-1, 601, "1", float("nan"))
        ),
    ],
)
async def test_an_unknown_value_is_refused_by_name_and_changes_nothing(
    sandbox: Sandbox, http: httpx.AsyncClient, request_line: str, body: dict[str, Any], member: str
) -> None:
    method, path = request_line.split()
    before = sandbox.state.options
    response = await http.request(method, f"/sandbox/{path}", content=json.dumps(body))
    assert response.status_code == 422
    assert response.json()["error"].startswith(f"{member}: ")
    assert sandbox.state.options is before
    assert (sandbox.state.fault, sandbox.state.statuses) == (NO_FAULT, {})
    assert sandbox.state.tickets_issued == 0


@pytest.mark.parametrize("body", [b"{", b"[]", b"7", b"\xff", b"[" * 100_000, b"9" * 10_000])
@pytest.mark.parametrize("request_line", ["PUT fault", "PATCH settings"])
async def test_a_body_that_is_not_a_json_object_is_refused(
    http: httpx.AsyncClient, request_line: str, body: bytes
) -> None:
    method, path = request_line.split()
    response = await http.request(method, f"/sandbox/{path}", content=body)
    assert response.status_code == 422
    assert response.json()["error"].startswith("body: ")
