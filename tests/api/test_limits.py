"""Limits of the request line and the header, and credentials in the query."""

import httpx
import pytest

from tests.api.routes import ROUTES
from tests.support.running_app import RunningApp, bearer

HOST = "http://api.test"
CREDENTIALS = ("ticket", "ext_msg", "access_token", "refresh_token", "id_token", "token", "secret")


async def status_of(phone: httpx.AsyncClient, target: str) -> int:
    return (await phone.send(httpx.Request("GET", HOST + target))).status_code


async def test_an_address_of_two_kibibytes_passes_and_not_one_byte_more(
    phone: httpx.AsyncClient,
) -> None:
    assert await status_of(phone, "/livez?".ljust(2048, "x")) == 200
    assert await status_of(phone, "/livez?".ljust(2049, "x")) == 414


async def test_the_length_of_the_address_is_counted_as_sent(phone: httpx.AsyncClient) -> None:
    assert await status_of(phone, "/livez?" + "%20" * 680) == 200
    assert await status_of(phone, "/livez?" + "%20" * 681) == 414


@pytest.mark.parametrize(("fields", "status"), [(100, 200), (101, 431)])
async def test_a_hundred_header_fields_pass(
    phone: httpx.AsyncClient, fields: int, status: int
) -> None:
    headers = [("Host", "api.test"), *(("X", "") for _ in range(fields - 1))]
    response = await phone.send(httpx.Request("GET", f"{HOST}/livez", headers=headers))
    assert response.status_code == status


@pytest.mark.parametrize(("size", "status"), [(16384, 200), (16385, 431)])
async def test_sixteen_kibibytes_of_header_pass(
    phone: httpx.AsyncClient, size: int, status: int
) -> None:
    rest = size - len("Host: api.test\r\nX: \r\n")
    headers = {"Host": "api.test", "X": "x" * rest}
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


@pytest.mark.parametrize("query", ["tickets=a", "platform=ios&x=ticket", "token_type=a", "%ff=a"])
async def test_another_name_in_the_query_is_ignored(phone: httpx.AsyncClient, query: str) -> None:
    assert await status_of(phone, f"/v1/launch?{query}") == 200


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


async def test_an_unknown_parameter_may_be_given_twice(phone: httpx.AsyncClient) -> None:
    assert await status_of(phone, "/v1/launch?utm=a&utm=b&platform=ios") == 200
