"""Limits of the request line and the header, and credentials in the query."""

import httpx
import pytest

from tests.api.routes import ROUTES
from tests.support.running_app import RunningApp, bearer

HOST = "http://api.test"
CREDENTIALS = ("ticket", "ext_msg", "access_token", "refresh_token", "id_token", "token", "secret")


async def status_of(phone: httpx.AsyncClient, target: str) -> int:
    return (await phone.send(httpx.Request("GET", HOST + target))).status_code


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/livez?".ljust(2048, "x"), 200),
        ("/livez?".ljust(2049, "x"), 414),
        ("/livez?" + "%20" * 680, 200),  # counted as sent
        ("/livez?" + "%20" * 681, 414),
        *((f"/v1/launch?{q}", 200) for q in ("tickets=a", "platform=ios&x=ticket", "%ff=a")),
        *((f"/v1/launch?{q}", 200) for q in ("token_type=a", "utm=a&utm=b&platform=ios")),
    ],
)
async def test_the_target_may_have_two_kibibytes_and_any_unknown_parameters(
    phone: httpx.AsyncClient, target: str, status: int
) -> None:
    assert await status_of(phone, target) == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("X", "")] * 99, 200),  # and Host
        ([("X", "")] * 100, 431),
        ([("X", "x" * (16384 - len("Host: api.test\r\nX: \r\n")))], 200),
        ([("X", "x" * (16385 - len("Host: api.test\r\nX: \r\n")))], 431),
    ],
    ids=["100 fields", "101 fields", "16 KiB", "more than 16 KiB"],
)
async def test_a_hundred_header_fields_and_sixteen_kibibytes_of_them_pass(
    phone: httpx.AsyncClient, fields: list[tuple[str, str]], status: int
) -> None:
    headers = [("Host", "api.test"), *fields]
    response = await phone.send(httpx.Request("GET", f"{HOST}/livez", headers=headers))
    assert response.status_code == status


@pytest.mark.parametrize("path", [*ROUTES, "/v1/nothing"])
@pytest.mark.parametrize("name", CREDENTIALS)
async def test_a_credential_in_the_query_is_refused_on_every_path(
    phone: httpx.AsyncClient, name: str, path: str
) -> None:
    for method in ROUTES.get(path, {"GET"}):
        response = await phone.request(method, f"{path}?{name}=made-up")
        assert response.status_code == 400
        if method != "HEAD":
            assert response.json()["code"] == "malformed_request"


@pytest.mark.parametrize(
    "query",
    [
        *("TICKET=a", "Access_Token=a", "%74icket=a", "%54%49%43%4B%45%54=a"),
        *("refresh%5Ftoken=a", "ticket", "ticket=", "platform=ios&ticket=a"),
        *("ticket=a&platform=ios", "&&ticket=a"),
    ],
)
async def test_a_credential_is_known_however_its_name_is_written(
    phone: httpx.AsyncClient, query: str
) -> None:
    assert await status_of(phone, f"/v1/launch?{query}") == 400


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("DELETE", "/v1/sessions?scope=others&scope=all"),
        ("DELETE", "/v1/sessions?scope=all&scope=all"),
        ("DELETE", "/v1/sessions?scope=all&%73cope=others"),
        ("GET", "/v1/launch?platform=ios&platform=android"),
        ("HEAD", "/v1/launch?get_phone=1&platform=ios&get_phone=1"),
    ],
)
async def test_a_parameter_given_twice_is_malformed(
    app: RunningApp, method: str, target: str
) -> None:
    tokens = await app.log_in()
    response = await app.phone.request(method, target, headers=bearer(tokens))
    assert response.status_code == 400
    if method != "HEAD":
        assert response.json()["code"] == "malformed_request"
    assert (await app.get("/v1/me", tokens)).status_code == 200
