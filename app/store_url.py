"""Parses STORE_URL, once, for the settings and the store."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote

_SQLITE = re.compile(r"sqlite:///(?P<path>(?!:memory:)[^?#]+)")
_REDIS = re.compile(
    r"redis(?P<tls>s?)(?P<sentinel>(\+sentinel)?)://"
    r"((?P<username>[^:@/?#]*):(?P<password>[^@/?#]+)@)?"
    r"(?P<hosts>[^@/?#]+)(/(?P<path>[^/?#]*))?"
)
_UNIX = re.compile(
    r"redis\+unix://((?P<username>[^:@/?#]*):(?P<password>[^@/?#]+)@)?(?P<socket>/[^?#]+)"
)
_HOST = re.compile(
    r"(\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(:(?P<port>[0-9]{1,5}))?"
)
_REDIS_PORT = 6379
_SENTINEL_PORT = 26379


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """One file of one process. A relative path is relative to the working directory."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """One Redis or Valkey server, or the master that these Sentinels name for `service`.

    A server on this machine may have the path of a Unix `socket` instead of a host. The last two
    are no part of the URL: the only authorities that are trusted, and the password that Sentinels
    ask for.
    """

    hosts: tuple[tuple[str, int], ...] = ()
    tls: bool = False
    socket: str | None = None
    database: int = 0
    service: str | None = None
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return "Redis"  # an address may hold a password


StoreUrl: TypeAlias = SqliteUrl | RedisUrl


def parse_store_url(text: str) -> StoreUrl:
    """Parse STORE_URL. In a user and a password, `@ / ? #` and `%` must be percent-encoded.

    A ValueError lists the forms and does not quote the text, which may contain a password.
    """
    if sqlite := _SQLITE.fullmatch(text):
        return SqliteUrl(Path(sqlite["path"]))
    if redis := _REDIS.fullmatch(text):
        return _redis_url(redis)
    if unix := _UNIX.fullmatch(text):
        return RedisUrl(socket=unquote(unix["socket"]), **_login(unix))
    raise ValueError(
        "must be sqlite:///relative/path, sqlite:////absolute/path,"
        " redis[s]://[user:password@]host[:port][/database],"
        " redis[s]+sentinel://[user:password@]host[:port],…/service"
        " or redis+unix://[user:password@]/path; percent-encode @ / ? # % in a password"
    )


def _redis_url(parts: re.Match[str]) -> RedisUrl:
    sentinel, path = bool(parts["sentinel"]), parts["path"] or ""
    default_port = _SENTINEL_PORT if sentinel else _REDIS_PORT
    hosts = tuple(_host(text, default_port) for text in parts["hosts"].split(","))
    if sentinel and not path:
        raise ValueError("must name the service after the Sentinels: …/service")
    if not sentinel and (len(hosts) != 1 or not re.fullmatch(r"[0-9]{0,3}", path)):
        raise ValueError("must name one host, and after / the number of a database")
    return RedisUrl(
        hosts=hosts,
        tls=bool(parts["tls"]),
        database=0 if sentinel else int(path or 0),
        service=path if sentinel else None,
        **_login(parts),
    )


def _login(parts: re.Match[str]) -> dict[str, Any]:
    names = ("username", "password")
    return {name: unquote(parts[name]) for name in names if parts[name]}


def _host(text: str, default_port: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    port = int(found["port"] or default_port) if found else 0
    if found is None or not 0 < port < 65536:  # noqa: PLR2004  # the largest port
        raise ValueError("must name hosts as name, name:port or [address]:port")
    return found["v6"] or found["name"], port
