"""The launch request for WeChat, and the ticket in its extMsg."""

from dataclasses import replace
from typing import Any, Literal
from urllib.parse import parse_qs, quote

import pytest

from app.errors import ExtMsgUnsupported, LoginCancelled
from app.sessions.miniprogram import MiniProgram, Platform, clean_ticket, ticket_from_ext_msg
from tests.authing.builders import POOL, sign_token

OPTIONS = MiniProgram(
    user_pool_id=POOL,
    user_name="gh_0000000000aa",
    path="/routes/explore",
    type="release",
    self_hosted=False,
    get_phone=True,
)
TICKET = "made-up.ticket_1~"
PATH, REST = "/routes/explore?userPoolId=", "&getPhone=1&fromApp=1&useSelfWxapp="


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({}, f"{PATH}{POOL}{REST}0"),
        ({"self_hosted": True}, f"{PATH}{POOL}{REST}1"),
        ({"path": "/a?b=c"}, f"/a?b=c&userPoolId={POOL}{REST}0"),
        ({"user_pool_id": "a&b=1"}, f"{PATH}a%26b%3D1{REST}0"),
    ],
)
def test_the_path_is_the_configured_one_with_authings_query(
    changes: dict[str, Any], path: str
) -> None:
    launch = replace(OPTIONS, **changes).launch()
    assert (launch.user_name, launch.path) == ("gh_0000000000aa", path)


@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize("asked", [True, False, None])
def test_the_app_may_choose_whether_to_ask_for_the_phone_number(
    configured: bool,  # noqa: FBT001
    asked: bool | None,  # noqa: FBT001
) -> None:
    path = replace(OPTIONS, get_phone=configured).launch(get_phone=asked).path
    wanted = configured if asked is None else asked
    assert parse_qs(path)["getPhone"] == ["1" if wanted else "0"]


@pytest.mark.parametrize(
    ("platform", "kind", "number", "name"),
    [
        ("ios", "release", 0, "WXMiniProgramTypeRelease"),
        ("ios", "test", 1, "WXMiniProgramTypeTest"),
        ("ios", "preview", 2, "WXMiniProgramTypePreview"),
        ("android", "release", 0, "MINIPTOGRAM_TYPE_RELEASE"),
        ("android", "test", 1, "MINIPROGRAM_TYPE_TEST"),
        ("android", "preview", 2, "MINIPROGRAM_TYPE_PREVIEW"),
        ("harmony", "release", 0, "release"),
        ("harmony", "preview", 2, "preview"),
        (None, "release", 0, "release"),
        (None, "test", 1, "test"),
    ],
)
def test_the_type_is_wechats_number_and_the_constant_of_the_platform(
    platform: Platform | None, kind: Literal["release", "test", "preview"], number: int, name: str
) -> None:
    launch = replace(OPTIONS, type=kind).launch(platform)
    assert (launch.mini_program_type, launch.mini_program_type_name) == (number, name)


# --- what comes back ---


@pytest.mark.parametrize(
    "ext_msg",
    [
        *(f"code=200&message=授权成功&ticket={TICKET}", f"?code=200&ticket={TICKET}"),
        *(f"  code=200&ticket={TICKET}\n", f"ticket={TICKET}&code=200", f"ticket={TICKET}"),
        *(f"ticket={TICKET}&ticket={TICKET}", f"code=200&message=%zz%ff%&ticket={TICKET}"),
        *(f"code=200&message=a=b==&ticket={TICKET}", f"&&code=200&&ticket={TICKET}&"),
        f"code=%32%30%30&ticket={TICKET}",
        f"code=200&ticket={quote(TICKET.replace('.', '%2E'))}",
        *(quote(f"?code=200&message=授权成功&ticket={TICKET}", safe=""), f"ticket%3d{TICKET}"),
        f" %20code%3D200%26ticket%3D{quote(quote(TICKET, safe=''), safe='')}\n",
    ],
)
def test_the_ticket_is_found_in_the_query_string(ext_msg: str) -> None:
    assert ticket_from_ext_msg(ext_msg) == TICKET


@pytest.mark.parametrize("ticket", ["a+b/c==", "a%2Bb%2Fc%3D%3D", "a%252Bb%252Fc%253D%253D"])
def test_plus_and_equals_signs_belong_to_the_ticket(ticket: str) -> None:
    assert ticket_from_ext_msg(f"code=200&ticket={ticket}") == "a+b/c=="


def test_a_ticket_may_be_a_jwt() -> None:
    assert ticket_from_ext_msg(f"code=200&ticket={sign_token()}") == sign_token()


@pytest.mark.parametrize(
    "ext_msg",
    [
        *("code=400&message=用户取消授权", "?code=400", f"code=400&ticket={TICKET}"),
        quote("code=400&message=用户取消授权", safe=""),
    ],
)
def test_code_400_means_that_the_user_declined(ext_msg: str) -> None:
    with pytest.raises(LoginCancelled):
        ticket_from_ext_msg(ext_msg)


@pytest.mark.parametrize(
    "ext_msg",
    [
        *("", "  ", "%", "%20", quote(quote(f"ticket={TICKET}", safe=""), safe="")),
        *("?", "code=200", "code=200&ticket=", "code=200&ticket", "code=200&Ticket=abc"),
        *(f"code=500&ticket={TICKET}", f"code=&ticket={TICKET}"),
        *(f"code=200&code=400&ticket={TICKET}", f"code=200&ticket={TICKET}&ticket=another"),
        *(f"code=200&ticket={TICKET}&ticket=", "code=200&ticket=two words"),
        *("code=200&ticket=%E4%B8%AD", "code=200&ticket=%zz", "just text"),
        # the JSON form of the newer SDKs
        '{"code": "wx-login-code", "phoneInfoCode": "abc"}',
        f' {{"code":200,"a":"&ticket={TICKET}&"}}',
        quote('{"code": "wx-login-code"}', safe=""),
    ],
)
def test_a_string_without_exactly_one_ticket_is_not_supported(ext_msg: str) -> None:
    with pytest.raises(ExtMsgUnsupported):
        ticket_from_ext_msg(ext_msg)


@pytest.mark.parametrize(
    ("raw", "ticket"),
    [
        *((TICKET, TICKET), (f"\t{TICKET} ", TICKET), ("a\n", "a"), ("a%2Fb%3D", "a/b=")),
        *(("a" * 4096, "a" * 4096), ("a" * 4097, None), ("", None), ("  ", None), ("a b", None)),
        *(("a%20b", None), ("a%252Fb", None), ("%", None), ("a\x00", None), ("\ud800", None)),
        ("\uff41", None),
    ],
)
def test_a_ticket_is_trimmed_and_decoded_once_and_has_a_form(raw: str, ticket: str | None) -> None:
    assert clean_ticket(raw) == ticket
