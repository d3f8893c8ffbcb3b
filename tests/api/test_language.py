"""English or Chinese, by Accept-Language (RFC 9110 section 12.5.4)."""

import httpx
import pytest

from app.api.problems import preferred_language

CHINESE = [
    *("zh", "zh-CN", "ZH-hans-cn", "zh, en;q=0.9", "en;q=0.8, zh;q=0.9", "en;q=0, zh;q=0.1"),
    *("zh_CN", "zh_Hans_CN", "zh-Hans_CN", "en;q=0.5, zh_TW;q=0.8", "zh_CN.UTF-8", "zh_CN_#Hans"),
    *("de, zh;q=0.3", "zh;q=0.5,en;q=0.4", "zh ; q=0.5", "fr;q=0.9, zh-TW;q=0.2, *;q=0.1"),
]
ENGLISH = [
    *("", "*", "de", "en", "en-GB, zh;q=0.9", "zh, en", "zh;q=0.8, en;q=0.9"),
    *("zh;Q=0.1, en;q=0.5", "zh;q=0"),
]
GARBAGE = ["zh;q=", "zh;q=nan", "zh;q=inf", "zh;q=much", "zhe", "z-h", ",,;;=", "_zh", "q=zh"]


@pytest.mark.parametrize("accepted", CHINESE)
def test_a_client_that_prefers_chinese_gets_chinese(accepted: str) -> None:
    assert preferred_language(accepted) == "zh"


@pytest.mark.parametrize("accepted", [*ENGLISH, *GARBAGE])
def test_all_other_clients_get_english(accepted: str) -> None:
    assert preferred_language(accepted) == "en"


async def test_an_error_is_worded_in_the_language_of_the_request(phone: httpx.AsyncClient) -> None:
    english = await phone.get("/v1/me", headers={"Accept-Language": "en"})
    chinese = await phone.get("/v1/me", headers={"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"})
    assert english.headers["Content-Language"] == "en"
    assert english.json()["title"] == "An access token is required"
    assert english.json()["detail"] == "Send it as Authorization: Bearer."
    assert chinese.headers["Content-Language"] == "zh"
    assert chinese.json()["title"] == "缺少访问凭证"
    assert chinese.json()["detail"] == "请在 Authorization 中以 Bearer 方式携带访问凭证。"
    differ = {name for name, value in english.json().items() if value != chinese.json()[name]}
    assert differ == {"title", "detail", "request_id", "instance"}


async def test_the_language_is_sought_in_all_lines_of_the_field(phone: httpx.AsyncClient) -> None:
    lines = [("Accept-Language", "en;q=0.1"), ("Accept-Language", "zh")]
    response = await phone.get("/v1/me", headers=lines)
    assert response.headers["Content-Language"] == "zh"
