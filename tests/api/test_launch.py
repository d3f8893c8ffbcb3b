"""`GET /v1/launch`: the launch request for the WeChat SDK."""

from urllib.parse import parse_qsl

import httpx
import pytest

from tests.support.running_app import POOL_ID


async def test_the_launch_names_the_mini_program_and_carries_the_pool(
    phone: httpx.AsyncClient,
) -> None:
    response = await phone.get("/v1/launch")
    assert response.status_code == 200
    launch = response.json()
    path, _, query = launch.pop("path").partition("?")
    assert path == "/routes/explore"
    assert dict(parse_qsl(query)) == {
        "userPoolId": POOL_ID,
        "getPhone": "1",
        "fromApp": "1",
        "useSelfWxapp": "0",
    }
    assert launch == {
        "user_name": "gh_a781a791e29e",
        "mini_program_type": 0,
        "mini_program_type_name": "release",
    }


async def test_the_app_names_its_platform_and_may_decide_about_the_phone_number(
    phone: httpx.AsyncClient,
) -> None:
    response = await phone.get("/v1/launch", params={"platform": "ios", "get_phone": "false"})
    assert response.json()["mini_program_type_name"] == "WXMiniProgramTypeRelease"
    assert "getPhone=0&" in response.json()["path"]


@pytest.mark.parametrize(("name", "value"), [("platform", "symbian"), ("get_phone", "perhaps")])
async def test_an_unknown_choice_is_refused_by_name_and_not_cached(
    phone: httpx.AsyncClient, name: str, value: str
) -> None:
    response = await phone.get("/v1/launch", params={name: value})
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["pointer"].endswith(name)
    assert value not in response.text
    assert response.headers["Cache-Control"] == "no-store"
