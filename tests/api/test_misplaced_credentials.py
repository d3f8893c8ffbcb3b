"""Good credentials in wrong places: none is accepted, and none is used up."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.misplaced_credentials import ROWS, Row
from tests.support.running_app import RunningApp, bearer


def filled(text: str, held: dict[str, str]) -> str:
    for name, value in held.items():
        text = text.replace(name, value)
    return text


def request(confused: Row, held: dict[str, str]) -> httpx.Request:
    quoted = {name: quote(value, safe="") for name, value in held.items()}
    return httpx.Request(
        confused.method,
        f"http://api.test{filled(confused.path, quoted)}",
        content=filled(confused.body, held),
        headers=[(name, filled(value, held)) for name, value in confused.headers],
    )


@pytest.mark.parametrize("confused", [pytest.param(each, id=each.id) for each in ROWS])
async def test_a_misplaced_credential_is_neither_accepted_nor_used_up(
    app: RunningApp, confused: Row
) -> None:
    tokens: dict[str, Any] = await app.log_in()
    ticket, exchanges = app.ticket(), app.sandbox.state.exchanges
    held = {"TICKET": ticket, "ACCESS": tokens["access_token"], "REFRESH": tokens["refresh_token"]}
    response = await app.phone.send(request(confused, held))
    assert (response.status_code, response.json()["code"]) == confused.refusal
    assert app.sandbox.state.exchanges == exchanges
    assert (await app.phone.get("/v1/sessions", headers=bearer(tokens))).json()[0]["current"]
    assert (await app.refresh(tokens["refresh_token"]))["outcome"] == "rotated"
    assert (await app.try_log_in(ticket)).status_code == 201


async def test_every_row_has_a_unique_name() -> None:
    assert len({each.id for each in ROWS}) == len(ROWS)
