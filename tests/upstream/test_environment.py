"""The environment of the process does not change the way to Authing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.authing.builders import peer
from tests.support.authority import Authority
from tests.upstream.fault_server import GOOD
from tests.upstream.faulty_authing import faulty_authing

TICKET = "made-up.ticket_1~"


def proxies(*names: str) -> Callable[[Path, str], dict[str, str]]:
    def environment(_folder: Path, proxy: str) -> dict[str, str]:
        return {spelling: proxy for name in names for spelling in (name, name.lower())}

    return environment


def other_authorities(folder: Path, _proxy: str) -> dict[str, str]:
    return {"SSL_CERT_FILE": str(Authority(folder).file), "SSL_CERT_DIR": str(folder)}


def netrc(folder: Path, _proxy: str) -> dict[str, str]:
    file = folder / ".netrc"
    file.write_text("machine 127.0.0.1 login made password up\n")
    file.chmod(0o600)
    return {"HOME": str(folder), "NETRC": str(file)}


ENVIRONMENTS = {
    "http-and-https-proxy": proxies("HTTP_PROXY", "HTTPS_PROXY"),
    "all-proxy": proxies("ALL_PROXY"),
    "ssl-cert-file": other_authorities,
    "netrc": netrc,
}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("variant", ENVIRONMENTS)
async def test_the_environment_is_ignored(
    variant: str, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "environment"
    folder.mkdir()
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with peer(GOOD) as proxy:
        for name, value in ENVIRONMENTS[variant](folder, proxy.url).items():
            monkeypatch.setenv(name, value)
        async with faulty_authing(tmp_path, tls=scheme == "https") as authing:
            reply = await authing.log_in(TICKET)

            assert reply.status == 201, reply.response.text
            assert proxy.connections == 0
            [request] = authing.server.peer.requests
            assert "authorization" not in request.headers
