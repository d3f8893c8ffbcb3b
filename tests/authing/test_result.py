"""Every known shape of Authing's response and of the user object in it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from app.authing.response import Reply, loads
from app.authing.result import UserRecord, raise_for_code, read_user, unwrap
from app.errors import (
    AccountBlocked,
    AuthingBadAnswer,
    AuthingMisconfigured,
    AuthingUnavailable,
    TicketgateError,
    TicketRejected,
)
from tests.authing.builders import USER_ID, encoded, make_user
from tests.support.json_documents import REFUSED, YES


def read(document: Any) -> UserRecord:
    code, content = unwrap(document)
    assert code in (None, 200)
    return read_user(content)


def without(user: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in user.items() if name not in names}


SHAPES = {
    "bare": make_user(),
    "object": {"code": 200, "message": "获取用户信息成功", "data": make_user()},
    "string": {"code": 200, "message": "获取用户信息成功", "data": encoded(make_user())},
    "object_in_object": {"code": 200, "data": {"code": 200, "data": make_user()}},
    "string_in_object": {"code": 200, "data": {"code": 200, "data": encoded(make_user())}},
    "object_in_string": {"code": 200, "data": encoded({"code": 200, "data": make_user()})},
    "string_in_string": {"code": 200, "data": encoded({"code": 200, "data": encoded(make_user())})},
    "beside_the_code": {"code": 200, **make_user()},
    "null_data": {**make_user(), "data": None},
    "user_entity": {"code": 200, "data": {"userEntity": make_user()}},
    "user_entity_of_another_type": make_user(userEntity="text"),
    "message_misspelled": {"code": 200, "messgae": {"any": "thing"}, "data": make_user()},
    "message_shortened": {"code": 200, "msg": ["any"], "data": make_user()},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_known_shape_gives_the_same_user(shape: str) -> None:
    assert read(SHAPES[shape]) == read(make_user())


NOT_USERS: list[Any] = [None, "", "not JSON", '{"a": 1, "a": 2}', 7, {}, encoded(None)]


@pytest.mark.parametrize(
    "document",
    [
        *(None, [], "text", 7, True, {}, {"code": 200}),
        *({"code": 200, "data": data} for data in NOT_USERS),
        {"code": 200, "data": [make_user()]},
        {"code": 200, "data": encoded(encoded(make_user()))},
        {"code": 200, "data": {"code": 200, "data": {"code": 200, "data": make_user()}}},
        # GraphQL's form of an error: this endpoint is not GraphQL.
        {"data": None, "errors": [{"message": {"code": 2207, "message": "", "data": None}}]},
    ],
)
def test_an_answer_without_a_user_is_a_bad_answer(document: Any) -> None:
    with pytest.raises(AuthingBadAnswer) as refusal:
        read(document)
    assert refusal.value.outcome == "bad_shape"


# --- codes ---


@pytest.mark.parametrize(
    ("level", "code"),
    [
        *(({"code": code}, int(code)) for code in (200, "200", 2040, "2040", 0, -1, "-1")),
        *(({"apiCode": code}, 2011) for code in (2011, "2011")),
        ({"statusCode": 499}, 499),
        ({"code": None, "apiCode": None, "statusCode": 403}, 403),
        ({"statusCode": 499, "apiCode": "2011", "uniqueId": "u", "data": {}}, 2011),
        ({"statusCode": 499, "apiCode": "2011", "code": "2206"}, 2206),
        ({"statusCode": 500, "code": 200}, 200),
        ({"message": "no code"}, None),
    ],
)
def test_a_code_is_a_number_or_its_text_under_one_of_three_names(
    level: dict[str, Any], code: int | None
) -> None:
    assert unwrap(level)[0] == code


@pytest.mark.parametrize(
    "junk",
    [True, False, 200.0, 200.5, "", "ok", "2e2", " 200", "２００", "9" * 10, 10**9, [], {}],  # noqa: RUF001
)
@pytest.mark.parametrize("name", ["code", "apiCode", "statusCode"])
def test_a_code_that_is_not_a_number_is_a_bad_answer(junk: Any, name: str) -> None:
    with pytest.raises(AuthingBadAnswer) as refusal:
        unwrap({name: junk, "data": make_user()})
    assert refusal.value.outcome == "bad_shape"


OUR_FAULT = (1001, 2002, 2011, 2031, 2036, 2040, 2101, 2224, 2231, 4212)
CLASSES: dict[int, type[TicketgateError]] = {
    **dict.fromkeys((429, 500, 503, 599, 1000, 2100), AuthingUnavailable),
    **dict.fromkeys(OUR_FAULT, AuthingMisconfigured),
    **dict.fromkeys((-1, 0, 199, 201, 400, 401, 404, 499, 600, 2004, 2206, 99999), TicketRejected),
    2005: AccountBlocked,
}


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 499])
@pytest.mark.parametrize(("code", "error"), CLASSES.items())
def test_a_business_code_decides_in_every_status(
    code: int, error: type[TicketgateError], status: int
) -> None:
    with pytest.raises(error) as refusal:
        raise_for_code(code, Reply(status, None, 7))
    assert type(refusal.value) is error
    assert getattr(refusal.value, "authing_code", None) == code
    assert getattr(refusal.value, "retry_after", 7) == (2 if code in OUR_FAULT else 7)


OURS_TO_FIX = (401, 403, 404)


@pytest.mark.parametrize("status", [202, 204, 299, 400, *OURS_TO_FIX, 405, 451, 499, 600, 999])
@pytest.mark.parametrize("code", [None, 200])
def test_another_status_without_a_code_of_refusal_is_an_error(
    code: int | None, status: int
) -> None:
    ours = code is None and status in OURS_TO_FIX
    with pytest.raises(AuthingMisconfigured if ours else AuthingBadAnswer) as refusal:
        raise_for_code(code, Reply(status, None, 7))
    assert refusal.value.outcome == ("auth_config" if ours else "bad_status")


@pytest.mark.parametrize("inner", [{"code": 2206}, encoded({"code": 2206}), {"statusCode": 2206}])
def test_a_code_inside_decides_as_well(inner: Any) -> None:
    assert unwrap({"code": 200, "data": inner})[0] == 2206


@pytest.mark.parametrize("data", [None, "", {}, "not JSON", [], make_user(), {"code": 200}])
def test_a_refusal_with_any_data_is_a_refusal(data: Any) -> None:
    assert unwrap({"code": 400, "message": "", "data": data})[0] == 400


def test_the_repr_of_a_reply_holds_no_user_data() -> None:
    assert repr(Reply(200, make_user(), 2)) == "Reply(status=200, retry_after=2)"
    assert repr(read(make_user())) == f"UserRecord(user_id='{USER_ID}')"


# --- the user ---


@pytest.mark.parametrize("user", [without(make_user(), "_id"), make_user()])
def test_both_names_of_the_id_are_accepted(user: dict[str, Any]) -> None:
    assert read({**user, "id": USER_ID}).user_id == USER_ID


NOT_IDS = [7, True, ["a"], {"$oid": USER_ID}, "a/b", "a b", "ä", "a\r\nb", "a" * 129]


@pytest.mark.parametrize(
    "user",
    [
        make_user(id="5e00000000000000000000bb"),  # another one than `_id`
        *(without(make_user(), "_id") | {n: v} for n in ("_id", "id") for v in NOT_IDS),
        *(make_user(_id=absent) for absent in (None, "")),
        *(make_user(token=v) for v in (None, "", 7, True, ["a.b.c"], {"token": "a.b.c"})),
    ],
)
def test_a_user_without_one_id_and_a_token_is_refused(user: dict[str, Any]) -> None:
    with pytest.raises(AuthingBadAnswer):
        read(user)


@pytest.mark.parametrize(
    ("user", "token"),
    [
        (make_user(id_token="h.id_token.s", token="h.token.s"), "h.id_token.s"),
        *((make_user(id_token=absent, token="h.token.s"), "h.token.s") for absent in (None, "")),
        ({"token": "h.token.s", "userEntity": without(make_user(), "token")}, "h.token.s"),
    ],
)
def test_an_id_token_is_preferred_and_a_token_may_stand_beside_the_user_entity(
    user: dict[str, Any], token: str
) -> None:
    assert read(user).unverified_token == token


@pytest.mark.parametrize(
    "member",
    [
        *(f'"{name}": 200, "{name}": 200' for name in ("code", "apiCode", "statusCode")),
        *(f'"{name}": "{USER_ID}", "{name}": "{USER_ID}"' for name in ("_id", "id", "unionid")),
        *(f'"{name}": "h.t.s", "{name}": "h.t.s"' for name in ("token", "id_token")),
        f'"id": "{USER_ID}", "\\u0069d": "{USER_ID}"',
        *('"blocked": false, "blocked": false', '"isDeleted": false, "isDeleted": true'),
        *('"data": {}, "data": {}', '"userEntity": {}, "userEntity": {}'),
        *('"code": NaN', '"code": 1234567890123456800', '"blocked": 1e400'),
    ],
)
def test_a_field_that_decides_must_have_one_value(member: str) -> None:
    user = without(make_user(), *(name for name in make_user() if f'"{name}"' in member))
    with pytest.raises(AuthingBadAnswer) as refusal:
        read(loads(f"{encoded(user)[:-1]}, {member}}}"))
    assert refusal.value.outcome == "bad_json"


def test_no_json_document_without_a_user_is_read_as_one() -> None:
    for document in (REFUSED | YES).values():
        with pytest.raises(AuthingBadAnswer):
            read(loads(document))


NOT_FALSE: list[Any] = [True, "true", "True", "1", 1, "yes", "no", [], {}, 2, "unknown"]
FALSE: list[Any] = [False, None, 0, "", "false", "False", "0"]


@pytest.mark.parametrize("name", ["blocked", "isDeleted"])
@pytest.mark.parametrize(
    ("flag", "outcome"),
    [
        *((flag, pytest.raises(AccountBlocked)) for flag in NOT_FALSE),
        *((f, nullcontext()) for f in FALSE),
    ],
)
def test_any_flag_that_is_not_clearly_false_is_blocked(
    name: str, flag: Any, outcome: AbstractContextManager[Any]
) -> None:
    with outcome:
        assert read(make_user(**{name: flag})).user_id == USER_ID


@pytest.mark.parametrize(
    "user",
    [
        make_user(blocked=True, token=None),
        {"userEntity": make_user(blocked=False), "blocked": True},
    ],
)
def test_a_block_counts_without_a_token_and_outside_the_user_entity(user: dict[str, Any]) -> None:
    with pytest.raises(AccountBlocked):
        read(user)


@pytest.mark.parametrize("oauth", ["{broken", "", None, 7, [], '"text"', "[]", {"phone": 7}])
def test_a_broken_provider_profile_does_not_fail_the_login(oauth: Any) -> None:
    assert read(make_user(oauth=oauth)).user_id == USER_ID


def test_unknown_fields_are_dropped() -> None:
    user = make_user(salt="made-up-salt", password="made-up-hash", openid="made-up-openid")
    kept = read(user)
    everything = f"{kept.user_id} {kept.unverified_token} {kept.unionid} {kept.claims}"
    for dropped in ("made-up-salt", "made-up-hash", "made-up-openid"):
        assert dropped not in everything


def test_a_user_of_the_second_generation_is_read() -> None:
    user = {
        "id": USER_ID,
        "status": "Activated",
        **dict.fromkeys(("username", "photo")),
        "nickname": "小红",
        "gender": "F",
        "registerSource": ["wechat:miniprogram:app-launch"],
        "identities": [{"provider": "wechat", "userInfo": {"nested": {"deeply": [1]}}}],
        "customData": {"level": 3},
        "token": "h.token.s",
        "tokenExpiredAt": "2026-12-07T19:59:55+08:00",
        "phone": "+8613800138000",
        "phoneVerified": True,
    }
    phone = {"phone_number": "+8613800138000", "phone_number_verified": True}
    assert read(user).claims == {"nickname": "小红", "gender": "female", **phone}
