"""STORE_URL: each form that is taken apart, and each that is refused."""

import string
from pathlib import Path
from urllib.parse import quote

import pytest

from app.store_url import RedisUrl, SqliteUrl, StoreUrl, parse_store_url

PASSWORD = "made-up p@ss/word:1"
QUOTED = "made-up%20p%40ss%2Fword%3A1"
SECRET = "hunter2hunter2"


def redis(*hosts: tuple[str, int], tls: bool = False, **parts: str | int) -> RedisUrl:
    return RedisUrl(hosts=hosts, tls=tls, **parts)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("sqlite:///data/sessions.db", SqliteUrl(Path("data/sessions.db"))),
        ("sqlite:////data/sessions.db", SqliteUrl(Path("/data/sessions.db"))),
        ("redis://cache", redis(("cache", 6379))),
        ("redis://cache:6380/", redis(("cache", 6380))),
        ("redis://10.0.0.1:6380/15", redis(("10.0.0.1", 6380), database=15)),
        ("rediss://cache.example", redis(("cache.example", 6379), tls=True)),
        ("redis://[fd00::1]:6380", redis(("fd00::1", 6380))),
        ("redis://[::1]", redis(("::1", 6379))),
        (f"redis://:{QUOTED}@cache", redis(("cache", 6379), password=PASSWORD)),
        *(
            (f"redis://:{plain}@cache", redis(("cache", 6379), password=plain))
            for plain in ("pa[ss", "[::1]", "pa:ss", ":", "pa,ss%", "密碼+ &=", "a\\b\"c'")
        ),
        *(
            (f"redis://:{quote(char, safe='')}@cache", redis(("cache", 6379), password=char))
            for char in string.punctuation + " é\t"
        ),
        (
            "redis+sentinel://:a[,:b@c,d/m",
            redis(("c", 26379), ("d", 26379), service="m", password="a[,:b"),
        ),
        ("redis+unix:///run/redis.sock", redis(socket="/run/redis.sock")),
        (
            "redis+unix://u:p@/run/my%20redis.sock",
            redis(socket="/run/my redis.sock", username="u", password="p"),
        ),
        ("redis://gate:pw@cache", redis(("cache", 6379), username="gate", password="pw")),
        (
            "redis+sentinel://a,b:26380,[::1]/mymaster",
            redis(("a", 26379), ("b", 26380), ("::1", 26379), service="mymaster"),
        ),
        (
            "rediss+sentinel://u:p@a:1/m",
            redis(("a", 1), service="m", tls=True, username="u", password="p"),
        ),
    ],
)
def test_a_url_is_taken_apart(text: str, meant: StoreUrl) -> None:
    assert parse_store_url(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        *("sqlite://data/sessions.db", "sqlite:///", "sqlite:///:memory:"),
        *("sqlite:///data/sessions.db?mode=ro", "redis://", "redis://:@cache"),
        *(f"redis://{SECRET}@cache", f"redis://user:{SECRET}@", f"redis://user:{SECRET}@a@b"),
        *(f"redis://:{SECRET}#@cache", f"redis://cache?password={SECRET}"),
        *(f"redis://cache/{SECRET}", "redis://cache/1234", "redis://cache/-1"),
        *("redis://cache/0/1", "redis://a,b", "redis://cache:", "redis://cache:0"),
        *("redis://cache:65536", "redis://cache:6379x", "redis://[fd00::1", "redis://fd00::1"),
        *("redis://ca che", "redis+sentinel://a,b", "redis+sentinel://a,b/"),
        *("redis+sentinel://a,,b/mymaster", "redis+cluster://a,b", "rediss+cluster://a/"),
        *(
            "redis+unix://cache",
            "redis+unix://",
            "redis+unix:///",
            "rediss+unix:///s",
            "unix:///var/run/redis.sock",
        ),
    ],
)
def test_an_invalid_url_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must ") as refused:
        parse_store_url(text)
    assert "\n" not in str(refused.value)
    assert SECRET not in str(refused.value)


def test_no_text_of_a_url_shows_user_or_password() -> None:
    url = parse_store_url(f"redis://hugo:{SECRET}@cache")
    for shown in (str(url), repr(url)):
        assert SECRET not in shown
        assert "hugo" not in shown
    assert str(parse_store_url("sqlite:///data/sessions.db")) == "data/sessions.db"
