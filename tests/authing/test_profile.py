"""Authing's fields as OpenID Connect claims; uncertain values are left out."""

from typing import Any

import pytest

from app.authing.profile import claims_of
from app.authing.response import AMBIGUOUS
from tests.authing.builders import make_user, oauth_profile


def test_a_user_of_2020_has_these_claims() -> None:
    assert claims_of(make_user()) == {
        "nickname": "小明",
        "preferred_username": "小明",
        "picture": "https://example.com/photo.png",
        "locale": "zh-CN",
        "gender": "male",
        "phone_number": "+8613800138000",
    }


KEPT: list[tuple[str, str, object]] = [
    ("name", "name", "王小明"),
    ("givenName", "given_name", "小明"),
    ("familyName", "family_name", "王"),
    ("middleName", "middle_name", "M"),
    ("nickname", "nickname", "明"),
    ("preferredUsername", "preferred_username", "ming"),
    ("profile", "profile", "https://example.com/ming"),
    ("picture", "picture", "HTTPS://example.com/ming.png"),
    ("website", "website", "http://example.com"),
    ("email", "email", "ming@example.com"),
    ("emailVerified", "email_verified", True),
    ("birthdate", "birthdate", "2000-02-29"),
    ("zoneinfo", "zoneinfo", "Asia/Shanghai"),
    ("phoneVerified", "phone_number_verified", False),
]


def test_every_standard_claim_that_authing_knows_is_kept() -> None:
    user = {field: value for field, _claim, value in KEPT}
    changed = {"username": "ming@pool", "locale": "zh_Hans_CN", "gender": "F"}
    assert claims_of(user | changed | {"phone": "13800138000"}) == {
        **{claim: value for _field, claim, value in KEPT},
        "locale": "zh-Hans-CN",
        "gender": "female",
        "phone_number": "+8613800138000",
    }


LEFT_OUT: dict[tuple[str, ...], list[Any]] = {
    ("name", "nickname", "username", "givenName"): [
        *(None, "", "  ", "\x00 \x7f", 7, True, [], {}, AMBIGUOUS)
    ],
    ("photo", "picture", "profile", "website"): [
        *("", 7, AMBIGUOUS, "https://", "javascript:alert(1)", "data:image/png;base64,AAAA"),
        *("//example.com/a.png", "ftp://example.com/a.png", "https://example.com/a b"),
        *('https://example.com/"onerror', "https://example.com/\ud83d.png"),
        *("https://example.com/" + "a" * 2000, "data:image/png;base64," + "A" * 70_000),
    ],
    ("birthdate",): ["2000-2-29", "29.02.2000", "2000-02-29T00:00:00Z", "200", 2000],
    ("locale",): ["", "_", "中文", "zh CN", "z", 7, None],
    ("email",): ["", "no address", "a@", "@b", "a@b@c", "m***@example.com", "\ud83d@b.c", 7],
    ("phone",): [13800138000, True, [], {}],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, v) for fields, values in LEFT_OUT.items() for field in fields for v in values],
)
def test_an_invalid_value_is_left_out(field: str, value: Any) -> None:
    assert claims_of({field: value, "emailVerified": True, "phoneVerified": True}) == {}


@pytest.mark.parametrize(
    ("user", "claims"),
    [
        ({}, {}),
        ({"nickname": "👩‍👧 Li"}, {"nickname": "👩‍👧 Li"}),  # joined emoji
        ({"preferredUsername": "\x00", "username": "lin"}, {"preferred_username": "lin"}),
        ({"photo": "", "picture": "https://a.test/p"}, {"picture": "https://a.test/p"}),
        ({"photo": "\thttps://a.test/p "}, {"picture": "https://a.test/p"}),
        ({"birthdate": "2000"}, {"birthdate": "2000"}),
        ({"email": " a@b.c\n"}, {"email": "a@b.c"}),
        ({"locale": "zh_CN "}, {"locale": "zh-CN"}),
        ({"oauth": {"language": "zh CN"}}, {}),
        *(({"email": "a@b.c", "emailVerified": f}, {"email": "a@b.c"}) for f in ("true", 1, None)),
    ],
)
def test_a_field_becomes_a_claim(user: dict[str, Any], claims: dict[str, Any]) -> None:
    assert claims_of(user) == claims


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("ab\ud83d", "ab\ufffd"),
        ("\udc3cab", "\ufffdab"),
        ("a\x00b\n\x1b[31m\x7f", "ab[31m"),
        (" \u3000小明\t", "小明"),
        ("a" * 257, "a" * 256),
        ("团" * 255 + "😀😀", "团" * 255 + "😀"),
        ("a" * 255 + " b", "a" * 255),
        ("x" * 70_000, "x" * 256),
    ],
)
@pytest.mark.parametrize("field", ["nickname", "username"])
def test_a_name_is_cleaned(field: str, value: str, name: str) -> None:
    claims = claims_of({field: value})
    assert [*claims.values()] == [name]
    name.encode()


@pytest.mark.parametrize(
    "neighbour", ['"nickName": "ab\\ud83d"', '"a": 1, "a": 2', '"a": 1e400', '"a": "\t"']
)
def test_the_number_inside_oauth_survives_a_broken_neighbour(neighbour: str) -> None:
    oauth = f'\ufeff{{{neighbour}, "phone": "13800138000"}}'
    assert claims_of({"phone": "138****8000", "oauth": oauth}) == {"phone_number": "+8613800138000"}


@pytest.mark.parametrize(
    ("value", "gender"), [("M", "male"), ("F", "female"), (1, "male"), (2, "female")]
)
def test_gender_is_a_letter_or_wechats_number(value: Any, gender: str) -> None:
    assert claims_of({"gender": value}) == {"gender": gender}
    assert claims_of({"gender": "U", "oauth": {"gender": value}}) == {"gender": gender}


@pytest.mark.parametrize("value", ["U", "", None, 0, 3, True, 1.0, [], {}, "X"])
def test_an_unknown_gender_is_left_out(value: Any) -> None:
    assert claims_of({"gender": value, "oauth": oauth_profile(gender=value, phone=None)}) == {
        "locale": "zh-CN"
    }


# --- phone numbers ---


@pytest.mark.parametrize(
    "phone",
    [
        *("138****8000", "138xxxx8000", "+86138****8000", "138••••8000", "138····8000"),
        *("", " ", None, "\x00", "abc", 13800138000, False, AMBIGUOUS),
    ],
)
def test_the_number_of_wechat_replaces_a_masked_absent_or_invalid_one(phone: Any) -> None:
    user = make_user(phone=phone, phoneVerified=True)
    assert claims_of(user)["phone_number"] == "+8613800138000"
    assert claims_of(user)["phone_number_verified"] is True


@pytest.mark.parametrize("clear", ["138****8000", "", None, 13800138000])
def test_a_masked_value_is_not_a_number(clear: Any) -> None:
    user = make_user(phone="138****8000", phoneVerified=True, oauth=oauth_profile(phone=clear))
    assert "phone_number" not in claims_of(user)
    assert "phone_number_verified" not in claims_of(user)


def test_wechats_number_does_not_replace_an_existing_one() -> None:
    assert claims_of(make_user(phone="13900139000"))["phone_number"] == "+8613900139000"


def test_the_country_code_is_that_of_authings_field() -> None:
    foreign = make_user(
        phone="612****7", phoneCountryCode=852, oauth=oauth_profile(phone="61234567")
    )
    assert claims_of(foreign)["phone_number"] == "+85261234567"


def test_a_claim_is_cleaned_before_it_is_judged() -> None:
    claims = claims_of(
        make_user(
            phone="13800138000\x07",
            email=" a@b.example\x00",
            photo="https://example.com/a\x01.png",
            locale="zh_CN\x00",
            gender="F\x00",
        )
    )
    assert (claims["phone_number"], claims["email"]) == ("+8613800138000", "a@b.example")
    assert claims["picture"] == "https://example.com/a.png"
    assert (claims["locale"], claims["gender"]) == ("zh-CN", "female")
